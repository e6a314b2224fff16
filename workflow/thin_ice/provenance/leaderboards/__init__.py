"""Finished studies in the forms that the field's leaderboards take."""
