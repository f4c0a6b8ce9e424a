"""The options of layers as the versions of Keras name them, and what they can be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from receptive_field.frameworks.keras.calls import NoRuleError

Config = Mapping[str, Any]

OF_KERAS_1 = {
    "atrous_rate": "dilation_rate",
    "bias": "use_bias",
    "border_mode": "padding",
    "dim_ordering": "data_format",
    "filter_length": "kernel_size",
    "inner_activation": "recurrent_activation",
    "length": "size",
    "nb_filter": "filters",
    "output_dim": "units",
    "p": "rate",
    "pool_length": "pool_size",
    "sigma": "stddev",
    "stride": "strides",
    "subsample": "strides",
    "subsample_length": "strides",
}
"""The name of an option in Keras 1 -> its name today."""

KERNELS = (("nb_row", "nb_col"), ("kernel_dim1", "kernel_dim2", "kernel_dim3"))
"""The names of the sizes of a kernel in Keras 1."""

ORDERS = {"th": "channels_first", "tf": "channels_last", "default": None}

RENAMED = {
    "AtrousConvolution1D": "Conv1D",
    "AtrousConvolution2D": "Conv2D",
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "Convolution3D": "Conv3D",
    "SeparableConvolution2D": "SeparableConv2D",
    "TimeDistributedDense": "Dense",
}
"""The name of a class in Keras 1 -> its name today."""

MERGED = {
    "ave": "Average",
    "concat": "Concatenate",
    "max": "Maximum",
    "mul": "Multiply",
    "sum": "Add",
}
"""The mode of a Merge layer of Keras 1 -> the class that does it today."""

ALIASES = {
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "SyncBatchNormalization": "BatchNormalization",
}
"""The name of a class in some versions of Keras 2 -> its name today."""

NOT_ALIKE = ("Deconvolution2D", "Highway", "MaxoutDense", "ParametricSoftplus", "SReLU")
"""The classes of Keras 1 that no class of today replaces."""


def is_of_keras_1(kind: str, config: Config) -> bool:
    """Returns whether a layer has a name or an option that only Keras 1 has."""
    if kind in ("Merge", "TimeDistributedDense", *NOT_ALIKE[1:]):
        return True
    olds = {*OF_KERAS_1, *(name for names in KERNELS for name in names)}
    return kind != "Embedding" and not olds.isdisjoint(config)


def translated(kind: str, config: Config) -> tuple[str, Config]:
    """Returns the class and the options of a layer, by the names of today.

    Raises:
      NoRuleError: if no class of today does the same.
    """
    found = dict(config)
    policy = found.get("dtype")
    if isinstance(policy, Mapping) and policy.get("class_name") in (
        "Policy",
        "PolicyV1",
    ):
        found["dtype"] = policy["config"]["name"]
    if not is_of_keras_1(kind, config):
        return ALIASES.get(kind, kind), found
    if kind == "Merge":
        mode = found.get("mode", "sum")
        if mode not in MERGED:
            raise NoRuleError(f"the mode {mode!r} of Keras 1")
        return MERGED[mode], {
            "name": found.get("name"),
            "axis": found.get("concat_axis", -1),
        }
    if kind in NOT_ALIKE:
        raise NoRuleError("Keras 1 has this class, and later versions have not")
    if found.pop("mode", 0) and kind == "BatchNormalization":
        raise NoRuleError("a mode of Keras 1 that depends on the batch")
    for names in KERNELS:
        if names[0] in found:
            found["kernel_size"] = [found.pop(name) for name in names]
    for old, new in OF_KERAS_1.items():
        if old in found:
            found[new] = found.pop(old)
    if "data_format" in found:
        found["data_format"] = ORDERS[found["data_format"]]
    padding = found.get("padding")
    if kind == "ZeroPadding2D" and isinstance(padding, list) and len(padding) == 4:
        found["padding"] = [padding[:2], padding[2:]]
    return RENAMED.get(kind, kind), found


# --- What options can be -------------------------------------------------------------

LARGEST = (1 << 31) - 1

POSITIVE = frozenset(
    "depth_multiplier dilation_rate filters groups kernel_size n pool_size size strides "
    "units".split()
)
"""Options that are positive numbers."""

NOT_NEGATIVE = frozenset(("cropping", "output_padding", "padding"))
"""Options that are numbers from 0, or words."""


def checked(config: Config) -> Config:
    """Returns the options of a layer.

    Raises:
      NoRuleError: if one is a number that no layer can have.
    """
    for name, least in [*dict.fromkeys(POSITIVE, 1).items()] + [
        *dict.fromkeys(NOT_NEGATIVE, 0).items()
    ]:
        if not _fits(config.get(name), least, 0):
            raise NoRuleError(
                f"{name} is {config[name]!r:.60}, which no layer can have"
            )
    padding = config.get("padding")
    if isinstance(padding, str) and padding not in PADDINGS:
        raise NoRuleError(f"the padding {padding!r:.60}")
    return config


PADDINGS = ("causal", "same", "valid")


def _fits(value: Any, least: int, depth: int) -> bool:
    if isinstance(value, list):
        return (
            depth < 2
            and len(value) < 5
            and all(_fits(part, least, depth + 1) for part in value)
        )
    if value is None or isinstance(value, str):
        return depth == 0 and (value is None or least == 0)
    return type(value) is int and least <= value <= LARGEST
