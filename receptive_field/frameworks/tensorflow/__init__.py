"""TensorFlow: its files, objects and op types, and Keras models, which it traces."""
