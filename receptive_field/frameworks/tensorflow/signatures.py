"""Names of output arguments, for ops that have more than one.

Inside functions, an input is written as ``node:argument:number``. Elsewhere, outputs
only have numbers. A test compares these names with TensorFlow's op definitions.
"""

from __future__ import annotations

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
"""Names of output arguments -> the ops that have them."""

OUTPUT_ARGUMENTS = {
    op: tuple(arguments.split())
    for arguments, ops in _OPS.items()
    for op in ops.split()
}


def first_output(op: str, argument: str) -> int:
    """Returns the number of the first output of an output argument."""
    names = OUTPUT_ARGUMENTS.get(op, ())
    return names.index(argument) if argument in names else 0
