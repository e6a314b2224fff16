"""A finished study as a Workflow Run RO-Crate, for people and machines elsewhere."""
