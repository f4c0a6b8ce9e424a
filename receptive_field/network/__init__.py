"""The nodes between the input and the outputs of a question, and walks over them."""
