"""How the axes of one tensor follow the axes of another."""
