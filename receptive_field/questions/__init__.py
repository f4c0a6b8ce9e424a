"""Answers questions: from a model, and what the caller names, to a result."""
