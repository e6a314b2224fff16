"""Signed distance to the boundary, the thin-ice partition, statistics."""
