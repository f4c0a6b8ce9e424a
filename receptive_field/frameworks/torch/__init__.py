"""PyTorch: modules, exported programs and their files."""
