"""Figures and the report, from finished tables only."""
