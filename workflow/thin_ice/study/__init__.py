"""The typed study: the only reader of the YAML; says which jobs exist and what each one needs."""
