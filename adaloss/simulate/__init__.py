"""Exact dynamics of many cells (method x b0 x seed x ...) at once, each as one batched program."""
