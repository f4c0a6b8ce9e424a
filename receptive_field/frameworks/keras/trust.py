"""Finds what in a config could run code if Keras loaded it.

Keras builds a model from the classes and functions that its config names. From some
files, it also runs code that the file holds. Therefore, Keras loads a file only if all
that the file names is known to be harmless.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

from receptive_field.frameworks.keras.calls import NoRuleError
from receptive_field.frameworks.keras.configs import (
    MODELS,
    holds_layers,
    is_custom,
    module_of,
)
from receptive_field.frameworks.keras.operations.tensorflow_functions import (
    FUNCTIONS,
    check_function,
)
from receptive_field.frameworks.quiet import imported

CODE = frozenset(
    (
        *("FlaxLayer", "JaxLayer", "Lambda", "TFSMLayer", "TorchModuleWrapper"),
        "__lambda__",
    )
)
"""Classes that hold or load code."""

VALUES = frozenset(
    (
        *("__bytes__", "__complex__", "__ellipsis__", "__keras_tensor__", "__none__"),
        *("__numpy__", "__slice__", "__tensor__", "__tuple__", "__typespec__"),
    )
)
"""Classes in configs that stand for plain values."""

METHODS = frozenset(("ClassMethod", "InstanceMethod", "InstanceProperty"))
"""Classes that call any method of TensorFlow."""

PACKAGES = frozenset(("keras", "keras_cv", "keras_hub", "keras_nlp", "tf_keras"))

MODULES = frozenset(
    (
        *("activations", "constraints", "dtype_policies", "initializers", "layers"),
        *("losses", "metrics", "models", "ops", "optimizers", "quantizers"),
        "regularizers",
    )
)
"""Modules of Keras that hold what a model is made of."""

FUNCTIONS_IN = MODULES - {"layers", "models", "ops"}
"""Modules of Keras whose functions a model may name."""

AT_TOP = frozenset(("DTypePolicy", "Variable", *MODELS))
"""Classes that Keras names without a module of these."""


class Distrust(NamedTuple):
    """What Keras may not load."""

    where: str
    reason: str
    model: str | None = None
    """The name of the class, if the config has the form of that of a model."""


def distrust_of(
    config: Mapping[str, Any], package: str | None = None
) -> Distrust | None:
    """Returns what a config names that Keras may not load; None if there is nothing.

    Args:
      config: the config of a model.
      package: the package that is to load it, ``"keras"`` or ``"tf_keras"``, whose
        classes are known; None if it will not be loaded.
    """
    classes = imported(package).layers if package else None
    waiting: list[tuple[Any, str]] = [(config, "the model")]
    while waiting:
        thing, where = waiting.pop()
        if isinstance(thing, list):
            waiting += [(part, where) for part in thing]
        elif isinstance(thing, Mapping):
            kind, inner = thing.get("class_name"), thing.get("config")
            if isinstance(kind, str):
                if isinstance(inner, Mapping) and isinstance(inner.get("name"), str):
                    where = f"{inner['name']!r} ({kind})"
                reason = _reason(thing)
                is_layer = thing is config or "inbound_nodes" in thing
                is_layer = is_layer and classes is not None
                if reason is None and is_layer and not _is_known(thing, classes):
                    reason = f"is of the custom class {kind!r}"
                if reason is not None:
                    return Distrust(
                        where, reason, kind if holds_layers(inner) else None
                    )
            waiting += [(part, where) for part in reversed(list(thing.values()))]
    return None


def _is_known(saved: Mapping[str, Any], classes: Any) -> bool:
    """Returns whether Keras has a layer of a class, or defines it elsewhere."""
    kind = saved["class_name"]
    return bool(
        saved.get("module") or hasattr(classes, kind) or kind in MODELS
    ) or _is_registered(saved)


def _reason(saved: Mapping[str, Any]) -> str | None:
    kind = saved["class_name"]
    if kind in CODE:
        return "holds code, which is never run from a file"
    if kind in METHODS:
        return "calls a method of TensorFlow, which has no rule"
    if kind in FUNCTIONS:
        try:
            check_function(kind, saved["config"])
        except (NoRuleError, AttributeError, LookupError, TypeError) as error:
            return f"calls a function of TensorFlow that it may not: {error}"
    if kind in VALUES or _is_registered(saved):
        return None
    parts = module_of(saved)
    if kind.startswith("__") or (parts == ["builtins"] and kind != "function"):
        return f"is of the class {kind!r}, which is not loaded"
    if parts == ["builtins"]:
        return None
    if parts == [""]:
        return f"is of the custom class {kind!r}" if is_custom(saved) else None
    is_known = parts[1:2] and parts[1] in (
        FUNCTIONS_IN if kind == "function" else MODULES
    )
    package, registered, _ = str(saved.get("registered_name")).partition(">")
    if parts[0] not in PACKAGES or (registered and package != parts[0]):
        return f"is of the custom class {'.'.join([*parts, kind])!r}"
    if parts[0] in ("keras", "tf_keras") and not (is_known or kind in AT_TOP):
        return f"names {'.'.join([*parts, kind])}, which is no part of a model"
    return None


def _is_registered(saved: Mapping[str, Any]) -> bool:
    """Returns whether the user told Keras the class."""
    names = saved.get("registered_name"), saved["class_name"]
    told = {name for name in names if isinstance(name, str)}
    for package in ("keras", "tf_keras"):
        saving = getattr(sys.modules.get(package), "saving", None)
        known = saving.get_custom_objects() if saving is not None else {}
        if not told.isdisjoint(known):
            return True
    return False
