"""What families of ops do, from numbers; knows no framework and no op type."""
