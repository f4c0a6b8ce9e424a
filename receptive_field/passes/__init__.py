"""Passes over a network: regions, sets of positions, gradients, zeros."""
