"""Prints the receptive field parameters of a graph file.

Without any flags, those of the Inception-ResNet-v2 graph that comes with the package.

Example:
  python compute_rf.py --graph_path graph.pbtxt \
    --input_node input_image --output_node InceptionResnetV2/Conv2d_7b_1x1/Relu
"""

import itertools
import sys

from absl import app, flags

import receptive_field as rf
from receptive_field.whole_files import STANDARD_OUTPUT, check_writable, write_whole

FLAGS = flags.FLAGS

flags.DEFINE_string(
    "graph_path",
    None,
    "Path of the graph: a GraphDef, binary or text, gzip-compressed or not. The "
    "Inception-ResNet-v2 graph of the package if not given.",
)
flags.DEFINE_string("output_path", None, "Path of a file to write the parameters to.")
flags.DEFINE_string(
    "input_node", None, "Name of the input node. Found if there is only one."
)
flags.DEFINE_string(
    "output_node", None, "Name of the output node. Found if there is only one."
)
flags.DEFINE_list(
    "input_resolution",
    None,
    "Height and width of the input, such as 224,224. Unknown if not given.",
)


def describe(field: rf.ReceptiveField) -> str:
    """The six lines of the original library's README."""
    if len(field.axes) != 2:
        raise rf.ReceptiveFieldError(
            f"the input {field.input!r} has {len(field.axes)} spatial axes; this "
            "script prints those of images, which have two."
        )
    names = ("Receptive field size", "Effective stride", "Effective padding")
    pairs = itertools.product(names, ("horizontal", "vertical"))
    return "".join(
        f"{name} ({direction}) = {value}\n"
        for (name, direction), value in zip(pairs, field, strict=True)
    )


def resolution() -> list[int] | None:
    """The flag as ``[height, width]``."""
    if FLAGS.input_resolution is None:
        return None
    try:
        return [int(size) for size in FLAGS.input_resolution]
    except ValueError:
        given = ",".join(FLAGS.input_resolution)
        raise rf.ReceptiveFieldError(
            f"--input_resolution must be HEIGHT,WIDTH such as 224,224; it is {given!r}."
        ) from None


def main(arguments: list[str]) -> int:
    """Analyses, prints and writes; returns the exit status."""
    if len(arguments) > 1:
        print(f"error: unexpected argument {arguments[1]!r}", file=sys.stderr)
        return 1
    try:
        if FLAGS.output_path:
            check_writable(FLAGS.output_path, FLAGS.graph_path)
        field = rf.compute_receptive_field_from_graph_def(
            FLAGS.graph_path or rf.EXAMPLE_GRAPH,
            FLAGS.input_node,
            FLAGS.output_node,
            input_resolution=resolution(),
        )
        text = describe(field)
        if FLAGS.output_path:
            write_whole(FLAGS.output_path, text.encode())
    except rf.ReceptiveFieldError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if FLAGS.output_path != STANDARD_OUTPUT:
        print(text, end="")
    return 0


if __name__ == "__main__":
    app.run(main)
