"""Passes over a network for regions, sets of positions, gradients and zeros."""
