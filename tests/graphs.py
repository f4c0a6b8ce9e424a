"""Small GraphDefs as text, for tests that need no TensorFlow."""

import numpy as np
from google.protobuf import text_format

from receptive_field.frameworks.tensorflow.messages import GraphDef


def shape_text(sizes):
    """An AttrValue with a shape; None stands for an unknown size."""
    dims = " ".join(f"dim {{ size: {-1 if s is None else s} }}" for s in sizes)
    return f"shape {{ {dims} }}"


def node(name, op, inputs=(), **attributes):
    """The text of one node; attributes are given as the text of an AttrValue."""
    lines = [f'name: "{name}"', f'op: "{op}"']
    lines += [f'input: "{text}"' for text in inputs]
    lines += [
        f'attr {{ key: "{key}" value {{ {value} }} }}'
        for key, value in attributes.items()
    ]
    return "node { " + " ".join(lines) + " }\n"


def integers(values):
    """An AttrValue with a list of integers."""
    return "list { " + " ".join(f"i: {value}" for value in values) + " }"


def placeholder(name="input", sizes=(1, None, None, 1)):
    return node(name, "Placeholder", shape=shape_text(sizes))


def variable(name, sizes):
    return node(name, "VariableV2", shape=shape_text(sizes))


def conv(name, below, kernel=3, stride=1, padding="VALID", dilation=1):
    """A kernel variable and the convolution that reads it; kernel may be (h, w)."""
    height, width = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    return variable(f"{name}/weights", (height, width, 1, 1)) + node(
        name,
        "Conv2D",
        [below, f"{name}/weights"],
        strides=integers([1, stride, stride, 1]),
        dilations=integers([1, dilation, dilation, 1]),
        padding=f's: "{padding}"',
    )


def pool(name, below, size=2, stride=2, padding="VALID"):
    return node(
        name,
        "MaxPool",
        [below],
        ksize=integers([1, size, size, 1]),
        strides=integers([1, stride, stride, 1]),
        padding=f's: "{padding}"',
    )


def constant(name, values, sizes=None):
    """An int32 constant; a vector unless sizes are given."""
    dims = shape_text([len(values)] if sizes is None else sizes)
    numbers = " ".join(f"int_val: {value}" for value in values)
    tensor = f"dtype: DT_INT32 tensor_{dims} {numbers}"
    return node(name, "Const", value=f"tensor {{ {tensor} }}")


def pad(name, below, before, after, op="Pad"):
    """Zeros around height and width."""
    values = [0, 0, before, after, before, after, 0, 0]
    mode = {"mode": 's: "REFLECT"'} if op == "MirrorPad" else {}
    return constant(f"{name}/paddings", values, [4, 2]) + node(
        name, op, [below, f"{name}/paddings"], **mode
    )


def add(name, one, two):
    return node(name, "AddV2", [one, two])


def graph_def(*nodes):
    """The message that these texts describe."""
    return text_format.Parse("".join(nodes), GraphDef())


IMAGE = "input"
"""An image of 6 x 4 pixels with 3 channels, the input of the graphs below."""

SCALAR = "sum"
"""The sum over the image."""


def single(op, inputs, **attributes):
    """A graph of one op; inputs that have no name are constants, or unknown.

    A constant is given as its values, and a tensor with unknown values as its shape, a
    tuple.
    """
    nodes = [placeholder(IMAGE, (1, 6, 4, 3)), constant("axes", [0, 1, 2, 3])]
    nodes.append(node(SCALAR, "Sum", [IMAGE, "axes"]))
    names = []
    for number, given in enumerate(inputs):
        names.append(given if isinstance(given, str) else f"given{number}")
        if isinstance(given, tuple):
            nodes.append(placeholder(names[-1], given))
        elif not isinstance(given, str):
            values = np.array(given)
            nodes.append(constant(names[-1], values.ravel().tolist(), values.shape))
    return graph_def(*nodes, node("out", op, names, **attributes))
