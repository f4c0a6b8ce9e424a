"""Finds the tensor that an input text of a NodeDef refers to.

Inside functions, an input is written as ``node:argument:number``. Elsewhere, it is
written as ``node:number``. This file lists the output arguments of ops with several
output arguments. A test compares the lists with TensorFlow's op definitions.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from receptive_field.graph.graph import Frame, Graph, Tensor

_NUMBER = re.compile("[0-9]{1,9}")
"""The number of an output."""

_OPS = {
    "nmsed_boxes nmsed_scores nmsed_classes valid_detections": (
        "CombinedNonMaxSuppression"
    ),
    "output row_pooling_sequence col_pooling_sequence": (
        "FractionalAvgPool FractionalMaxPool"
    ),
    "y batch_mean batch_variance reserve_space_1 reserve_space_2": (
        "FusedBatchNorm FusedBatchNormV2"
    ),
    "y batch_mean batch_variance reserve_space_1 reserve_space_2 reserve_space_3": (
        "FusedBatchNormV3 _FusedBatchNormEx"
    ),
    "output argmax": ("MaxPoolWithArgmax"),
    "output value_index": ("Merge RefMerge"),
    "selected_indices valid_outputs": ("NonMaxSuppressionV4"),
    "selected_indices selected_scores valid_outputs": ("NonMaxSuppressionV5"),
    "output output_min output_max": (
        "QuantizeDownAndShrinkRange QuantizeV2 Requantize"
    ),
    "z min_z max_z": ("QuantizedAdd QuantizedMul"),
    "output min_output max_output": (
        "QuantizedAvgPool QuantizedConv2D QuantizedConv2DAndRelu "
        "QuantizedConv2DAndReluAndRequantize QuantizedConv2DAndRequantize "
        "QuantizedConv2DPerChannel QuantizedConv2DWithBias "
        "QuantizedConv2DWithBiasAndRelu "
        "QuantizedConv2DWithBiasAndReluAndRequantize "
        "QuantizedConv2DWithBiasAndRequantize QuantizedDepthwiseConv2D "
        "QuantizedDepthwiseConv2DWithBias "
        "QuantizedDepthwiseConv2DWithBiasAndRelu "
        "QuantizedDepthwiseConv2DWithBiasAndReluAndRequantize QuantizedMaxPool"
    ),
    "activations min_activations max_activations": (
        "QuantizedRelu QuantizedRelu6 QuantizedReluX"
    ),
    "output_false output_true": ("RefSwitch Switch"),
    "key counter": ("StatelessRandomGetKeyCounter"),
    "handle flow": ("TensorArrayV3"),
    "tensor lengths": ("TensorListConcat TensorListConcatV2"),
    "output_handle tensor": ("TensorListPopBack"),
    "values indices": ("TopKV2"),
    "y idx": ("Unique UniqueV2"),
    "y idx count": ("UniqueWithCounts UniqueWithCountsV2"),
}
"""Names of output arguments -> the ops with these output arguments."""

OUTPUT_ARGUMENTS = {
    op: tuple(arguments.split())
    for arguments, ops in _OPS.items()
    for op in ops.split()
}


def data_inputs(definition: Any) -> Sequence[str]:
    """Returns the input texts of a node, without control inputs."""
    return [text for text in definition.input if not text.startswith("^")]


def resolve(graph: Graph, text: str, frame: Frame) -> Tensor | None:
    """Returns the tensor that an input text refers to, or None if it does not exist.

    The text is ``name`` or ``name:number``. In a function, the text may also be the
    name of an argument, or ``name:output_argument:number``.
    """
    name, *rest = text.split(":")
    if name in frame.arguments:
        return frame.arguments[name]
    index = frame.names.get(name)
    if index is None or not all(map(_NUMBER.fullmatch, rest[-1:])):
        return None
    number = int(rest[-1]) if rest else 0
    if len(rest) == 2:
        arguments = OUTPUT_ARGUMENTS.get(graph.op(index), ())
        number += arguments.index(rest[0]) if rest[0] in arguments else 0
    return index, number
