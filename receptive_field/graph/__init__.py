"""Graphs: nodes and tensors, sizes, axes and their factors, order."""
