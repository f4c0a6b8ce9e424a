"""What lies between the input and the outputs of a question."""
