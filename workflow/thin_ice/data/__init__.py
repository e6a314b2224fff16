"""Datasets: one file a dataset, the partition into three parts, the dataset artifact."""
