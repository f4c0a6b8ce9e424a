"""How the axes of one tensor follow those of another."""
