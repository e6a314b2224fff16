"""Figures from finished tables, and the report: one HTML file that needs nothing else."""

TORCH = False
INPUTS = ("accuracy", "thin_ice", "samples")
