"""Plots and HTML pages of results. They need optional packages."""
