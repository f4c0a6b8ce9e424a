"""Plots and pages of results. They need extras, and change nothing."""
