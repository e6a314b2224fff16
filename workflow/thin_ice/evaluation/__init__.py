"""Per-sample tables of what attacks did to a network, and the metrics that follow."""
