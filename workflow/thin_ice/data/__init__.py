"""Datasets: one file a dataset, the partition into train, validation and test, the dataset artifact."""
