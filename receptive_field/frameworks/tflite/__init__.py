"""The wing of TensorFlow Lite (LiteRT): flatbuffer files and their op types."""
