"""Thin Ice: how robust pruned networks really are, and which samples pruning loses."""
