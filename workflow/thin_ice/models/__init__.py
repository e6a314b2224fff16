"""Networks: one file an architecture, normalisation inside the model, the model artifact."""
