"""One file a method, each a Pruner."""
