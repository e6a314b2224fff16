"""Fingerprints of code and records of jobs."""
