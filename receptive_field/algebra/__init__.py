"""How positions of one axis follow those of another, and sizes that are not known."""
