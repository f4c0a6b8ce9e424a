"""The TensorFlow wing: graph files, TensorFlow objects, Keras models and op types."""
