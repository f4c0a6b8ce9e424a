"""Names of output arguments, for ops that have more than one.

Inside of functions an input is written ``node:argument:number``; elsewhere outputs
are plainly numbered. These are TensorFlow's op definitions; a test compares them.
"""

from __future__ import annotations

_BATCH_NORM = (
    "y",
    "batch_mean",
    "batch_variance",
    "reserve_space_1",
    "reserve_space_2",
)

OUTPUT_ARGUMENTS: dict[str, tuple[str, ...]] = {
    "FusedBatchNorm": _BATCH_NORM,
    "FusedBatchNormV2": _BATCH_NORM,
    "FusedBatchNormV3": (*_BATCH_NORM, "reserve_space_3"),
    "_FusedBatchNormEx": (*_BATCH_NORM, "reserve_space_3"),
    "MaxPoolWithArgmax": ("output", "argmax"),
    "TopKV2": ("values", "indices"),
    "Merge": ("output", "value_index"),
    "RefMerge": ("output", "value_index"),
    "RefSwitch": ("output_false", "output_true"),
    "StatelessRandomGetKeyCounter": ("key", "counter"),
    "Switch": ("output_false", "output_true"),
}


def first_output(op: str, argument: str) -> int:
    """The number of the first output that an output argument stands for."""
    names = OUTPUT_ARGUMENTS.get(op, ())
    return names.index(argument) if argument in names else 0
