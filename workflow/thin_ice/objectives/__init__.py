"""What is optimised: one loss per file, the same object in every stage."""
