"""Rules for families of ops, from numbers. Knows no framework and no op type."""
