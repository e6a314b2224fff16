"""The one training loop, its plan, schedules, checkpoints and progress."""
