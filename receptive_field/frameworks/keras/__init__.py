"""The wing for Keras models: their layers are written as the ops that they run."""
