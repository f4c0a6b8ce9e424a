"""How the positions of one axis depend on those of another, and unknown sizes."""
