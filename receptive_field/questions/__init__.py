"""Answers questions about a model and the tensors that the caller names."""
