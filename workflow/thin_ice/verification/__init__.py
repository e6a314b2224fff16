"""Bounds that hold for every perturbation, and certificates of smoothed networks."""
