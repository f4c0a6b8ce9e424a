"""Writes the graph of Inception-ResNet-v2 as a text protobuf. Needs TensorFlow.

Example:
  python write_inception_resnet_v2_graph.py --graph_dir . --graph_filename graph.pbtxt

The graph that comes with the package is what this writes, compressed:
  gzip --no-name --best graph.pbtxt
  mv graph.pbtxt.gz receptive_field/data/inception_resnet_v2.pbtxt.gz
"""

import os
import sys

from absl import app, flags

import receptive_field as rf

FLAGS = flags.FLAGS

flags.DEFINE_string("graph_dir", ".", "Directory to write the graph to.")
flags.DEFINE_string("graph_filename", "graph.pbtxt", "Name of the file to write.")


def main(arguments: list[str]) -> int:
    """Builds and writes the graph; returns the exit status."""
    if len(arguments) > 1:
        print(f"error: unexpected argument {arguments[1]!r}", file=sys.stderr)
        return 1
    path = os.path.join(FLAGS.graph_dir, FLAGS.graph_filename)
    try:
        network = rf.zoo.build("inception_resnet_v2")
        import tensorflow as tf

        tf.io.write_graph(network.graph, FLAGS.graph_dir, FLAGS.graph_filename)
    except rf.ReceptiveFieldError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except (OSError, tf.errors.OpError) as error:
        print(f"error: cannot write {path!r}: {error}", file=sys.stderr)
        return 1
    print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    app.run(main)
