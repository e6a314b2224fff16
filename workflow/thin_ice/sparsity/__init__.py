"""Masks, how a weight carries one, budgets per layer, accounting."""
