"""The command line that a rule runs, one file a stage."""
