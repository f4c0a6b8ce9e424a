"""The options of layers as the versions of Keras name them, and what they can be."""

from __future__ import annotations

import itertools
import re
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


ONLY_OF_KERAS_1 = {"Merge", "TimeDistributedDense", *NOT_ALIKE} - {"Deconvolution2D"}
"""Classes that tell the version. Keras 2 has another class of the excepted name."""


def is_of_keras_1(kind: str, config: Config) -> bool:
    """Returns whether a layer has a name or an option that only Keras 1 has."""
    olds = {*OF_KERAS_1, *itertools.chain(*KERNELS)}
    has_old = not kind.endswith("Embedding") and not olds.isdisjoint(config)
    has_mode = kind == "BatchNormalization" and "mode" in config
    return has_old or has_mode or kind in ONLY_OF_KERAS_1


def translated(kind: str, config: Config) -> tuple[str, Config]:
    """Returns the class and the options of a layer, by the names of today.

    Raises:
      NoRuleError: if no class of today does the same.
    """
    found = {key: _plain(value) for key, value in config.items()}
    policy = found.get("dtype")
    if isinstance(policy, Mapping) and policy.get("class_name") in POLICIES:
        found["dtype"] = policy["config"]["name"]
    if kind in SIDES and "padding" in found:
        found["padding"] = _pairs(kind, found["padding"])
    if not is_of_keras_1(kind, config):
        return ALIASES.get(kind, kind), found
    if kind == "Merge":
        mode = found.get("mode", "sum")
        if mode not in MERGED:
            raise NoRuleError(f"the mode {mode!r:.60} of Keras 1")
        return MERGED[mode], {"axis": found.get("concat_axis", -1)}
    if kind in NOT_ALIKE:
        raise NoRuleError("no class of later versions does what it does in Keras 1")
    if kind == "BatchNormalization" and found.get("mode", 0):
        raise NoRuleError("a mode of Keras 1 that depends on the batch")
    for names in KERNELS:
        if names[0] in found:
            found["kernel_size"] = [found.pop(name) for name in names]
    for old, new in OF_KERAS_1.items():
        if old in found:
            found[new] = found.pop(old)
    if "data_format" in found:
        found["data_format"] = ORDERS[found["data_format"]]
    return RENAMED.get(kind, kind), found


def _plain(value: Any) -> Any:
    """Returns the name of a function of Keras, of whose config nothing else matters."""
    if (
        isinstance(value, Mapping)
        and value.get("class_name") == "function"
        and value.get("module") in (None, "builtins", "keras.activations")
        and value.get("registered_name") in (None, "function", value.get("config"))
    ):
        return value.get("config")
    return value


def _pairs(kind: str, padding: Any) -> Any:
    """Returns the padding of a layer as it is written today.

    Keras 1 also writes it as a dict, or as one list for all sides.
    """
    if isinstance(padding, Mapping):
        padding = [padding.get(f"{side}_pad", 0) for side in SIDES[kind]]
    if isinstance(padding, list) and len(padding) == 4:
        return [padding[:2], padding[2:]]
    return padding


SIDES = {
    "ZeroPadding1D": ("left", "right"),
    "ZeroPadding2D": ("top", "bottom", "left", "right"),
}

POLICIES = ("Policy", "PolicyV1")
"""Classes of Keras 2 for the type of numbers."""

# --- What options can be -------------------------------------------------------------

MOST, MOST_POSITIONS, MOST_STEPS = 1 << 31, 1 << 20, 1 << 16

LIMITS = {
    "cropping": (0, MOST_POSITIONS),
    "depth_multiplier": (1, MOST),
    "dilation_rate": (1, MOST_STEPS),
    "filters": (1, MOST),
    "groups": (-1, MOST),
    "kernel_size": (1, MOST_POSITIONS),
    "n": (0, MOST),
    "output_size": (1, MOST_POSITIONS),
    "output_padding": (0, MOST_POSITIONS),
    "padding": (0, MOST_POSITIONS),
    "pool_size": (1, MOST_POSITIONS),
    "size": (1, MOST_STEPS),
    "strides": (1, MOST_STEPS),
    "units": (1, MOST),
}
"""Name of an option -> the least and the largest number that it can be."""

WORDS = {
    "data_format": ("channels_first", "channels_last"),
    "padding": ("causal", "same", "valid"),
}
"""Name of an option -> the words that it can be."""


def checked(kind: str, config: Config, is_operation: bool = False) -> Config:
    """Returns the options of a layer, or of a function of `keras.ops`.

    Raises:
      NoRuleError: if one is a number or a word that no layer can have.
    """
    # Functions are called with their kernels.
    is_pool = "Pool" in kind and not kind.startswith(("Adaptive", "Global"))
    needed = "kernel_size" if "Conv" in kind else "pool_size" if is_pool else ""
    needed = "" if is_operation else needed
    for name in {*LIMITS, *WORDS}:
        value = config.get(name)
        is_there = value is not None or name == needed
        is_word = isinstance(value, str) and value in WORDS.get(name, ())
        if is_there and not (is_word or _fits(value, *LIMITS.get(name, (1, 0)), 2)):
            raise NoRuleError(f"{name} is {value!r:.60}, which no layer can have")
    return config


def check_rank(kind: str, rank: int) -> None:
    """Checks that a layer of this class can read an image with so many axes.

    Raises:
      NoRuleError: if it cannot. (Only convolutions may have several axes of a batch.)
    """
    found = re.search(r"\d(?=D)", kind)
    needed = int(found[0]) + 2 if found else rank
    if rank < needed or (rank > needed and "Conv" not in kind):
        raise NoRuleError(f"it reads {needed} axes, and its input has {rank}")


def _fits(value: Any, least: int, most: int, depth: int) -> bool:
    """Returns whether a value is a number, or lists of numbers, that can be."""
    if isinstance(value, (list, tuple)):
        return 0 < len(value) < 5 and all(
            depth > 0 and _fits(part, least, most, depth - 1) for part in value
        )
    return type(value) is int and least <= value <= most
