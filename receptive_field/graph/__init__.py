"""Graphs: nodes, tensors and their order."""
