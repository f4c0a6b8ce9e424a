"""Reads the config of a Keras model, as Keras 1, 2 and 3 save it.

A config lists the layers of a model. Each layer has its class, its own config, and its
calls (``inbound_nodes``). A call names the tensors that it reads by layer, number of
the call, and number of the output.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from receptive_field.arrays import np
from receptive_field.frameworks.keras.calls import (
    Call,
    CalledModel,
    Input,
    Layer,
    NoRuleError,
    Read,
)
from receptive_field.frameworks.keras.operations.tensorflow_functions import FUNCTIONS
from receptive_field.frameworks.keras.options import (
    checked,
    is_of_keras_1,
    translated,
)
from receptive_field.graph.model import unique_name

Config = Mapping[str, Any]

MODELS = ("Functional", "Model", "Sequential")
"""The classes of models whose config says everything about their layers."""

OF_APPLICATIONS = ("CustomScaleLayer", "LayerScale", "StochasticDepth")
"""Layer classes of `keras.applications`, which are not in `keras.layers`."""

OF_KERAS = ("keras", "tf_keras")
"""The packages whose classes have rules."""

UNFIT = (AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What goes wrong if a part of a config has another form than is expected."""


def called_model(saved: Config) -> CalledModel:
    """Returns the calls of a saved model.

    Raises:
      NoRuleError: if the class of the model is custom, or the config has an unknown
        form.
    """
    try:
        if not _is_model(saved):
            raise NoRuleError(
                f"it is of the class {saved['class_name']!r}, whose own code says what "
                "it does"
            )
        return _model(saved)
    except UNFIT as error:
        raise NoRuleError(f"the config has an unknown form ({error!r})") from error


def version_of(saved: Config) -> int:
    """Returns the version of Keras that wrote a config: 1, 2 or 3."""
    stated = str(saved.get("keras_version") or "")[:1]
    waiting: list[Any] = [saved]
    while waiting:
        thing = waiting.pop()
        if isinstance(thing, Mapping):
            config = thing.get("config")
            if isinstance(config, Mapping) and "class_name" in thing:
                if thing.get("module") is None and is_of_keras_1(
                    str(thing["class_name"]), config
                ):
                    return 1
                if "batch_shape" in config or "registered_name" in str(
                    config.get("dtype")
                ):
                    return 3
            if isinstance(thing.get("args"), list) and "kwargs" in thing:
                return 3
            waiting += thing.values()
        elif isinstance(thing, list):
            waiting += thing
    return 1 if stated == "1" else 2


def is_custom(saved: Config) -> bool:
    """Returns whether the class of a layer or model is not one of Keras.

    Keras 2 does not state where a class is defined. A name then means what it means for
    Keras, which does not know the classes of its applications by name.
    """
    if ">" in f"{saved.get('registered_name')}{saved['class_name']}":
        return True
    if saved.get("module") is None:
        return saved["class_name"] in OF_APPLICATIONS
    return module_of(saved)[0] not in OF_KERAS


def module_of(saved: Config) -> list[str]:
    """Returns the parts of the name of the module that defines a class.

    TensorFlow is another name for its Keras, and ``src`` and ``api`` for `keras`.
    """
    parts = str(saved.get("module") or "").split(".")
    if parts[0] in ("keras", "tensorflow") and "keras" in parts:
        while "keras" in parts[1:]:
            parts = parts[parts.index("keras", 1) :]
    return [part for part in parts if part not in ("src", "api")]


def _is_operation(saved: Config) -> bool:
    """Returns whether the entry of a layer is a call of a function of `keras.ops`.

    A layer and a function may have the same name. If the entry does not say where the
    class is defined, it is taken for a layer only if it can be trainable.
    """
    if saved["class_name"] in MODELS:
        return False
    if saved.get("module"):
        return module_of(saved)[1:2] == ["ops"]
    nodes = saved.get("inbound_nodes") or [()]
    return isinstance(nodes[0], Mapping) and "trainable" not in saved["config"]


def _is_model(saved: Config) -> bool:
    return saved["class_name"] in MODELS and not is_custom(saved)


def layer_of(saved: Config) -> Layer:
    """Returns the layer of an entry of a config."""
    if _is_model(saved):
        name = saved.get("name") or saved["config"]["name"]
        return Layer(name, saved["class_name"], model=_model(saved))
    custom = is_custom(saved)
    kind, config = saved["class_name"], saved["config"]
    name = saved.get("name") or config["name"]
    if not custom:
        try:
            kind, config = translated(kind, config)
            config = checked(kind, config)
        except NoRuleError as error:
            raise NoRuleError(f"the layer {name!r} ({kind}): {error}") from error
    return Layer(name, kind, lambda: config, _is_operation(saved), custom)


def _model(saved: Config) -> CalledModel:
    if saved["class_name"] == "Sequential":
        return _sequence(saved)
    return _functional(saved["config"])


def _input(saved: Config, key: Any) -> Input:
    config = saved["config"]
    shape = config.get("batch_shape") or config.get("batch_input_shape")
    return Input(key, config["name"], list(shape), _dtype(config))


def _dtype(config: Config) -> str:
    found = config.get("dtype")
    return found if isinstance(found, str) else "float32"


def _sequence(saved: Config) -> CalledModel:
    config = saved["config"]
    layers = config if isinstance(config, Sequence) else config["layers"]
    layers, first = list(layers), layers[0] if layers else None
    if first is None:
        raise NoRuleError("the model has no layers")
    branches: list[Layer] = []
    if first["class_name"] == "InputLayer":
        inputs = [_input(layers.pop(0), -1)]
    elif first["class_name"] == "Merge":
        branches = [layer_of(_named(part)) for part in first["config"]["layers"]]
        inputs = [
            replace(given, key=(number, given.key))
            for number, branch in enumerate(branches)
            for given in (branch.model.inputs if branch.model else ())
        ]
    else:
        inputs = _first_inputs(saved, first)
    calls = [
        Call(
            ("branch", number),
            branch,
            [Read(given.key) for given in inputs if given.key[0] == number],
        )
        for number, branch in enumerate(branches)
    ]
    read: Any = [Read(call.key) for call in calls] or Read(inputs[0].key)
    for number, entry in enumerate(layers):
        if entry["class_name"] != "InputLayer":
            calls.append(Call(number, layer_of(_named(entry)), [read]))
            read = Read(number)
    name = calls[-1].layer.name if calls else inputs[0].name
    return CalledModel(inputs, calls, [(name, read)])


def _named(saved: Config) -> Config:
    """Returns the entry of a layer with a name; of Keras 1, some have none."""
    config = saved["config"]
    if saved.get("name") or (isinstance(config, Mapping) and "name" in config):
        return saved
    return {**saved, "name": saved["class_name"].lower()}


def _first_inputs(saved: Config, first: Config) -> list[Input]:
    """Returns the input of a model that does not begin with an input layer."""
    if _is_model(first):
        inputs = _model(first).inputs
        if len(inputs) != 1:
            raise NoRuleError("its first layer is a model with several inputs")
        return [replace(inputs[0], key=-1)]
    config, own = saved["config"], first["config"]
    built = [config] if isinstance(config, Mapping) else []
    shape = (
        own.get("batch_input_shape")
        or next((part.get("build_input_shape") for part in built), None)
        or (saved.get("build_config") or {}).get("input_shape")
    )
    if not shape:
        raise NoRuleError(
            "the model was never built, so its input has no shape: begin it with an "
            "input layer, or call build(shape) before you save it"
        )
    return [Input(-1, f"{_named(first).get('name') or own['name']}_input", list(shape))]


def _functional(config: Config) -> CalledModel:
    layers = {saved["name"]: saved for saved in config["layers"]}
    if len(layers) != len(config["layers"]):
        raise NoRuleError("two layers have the same name")
    inputs = [
        _input(layers[read.call[0]], read.call)
        for read in _tensors(config["input_layers"])
    ]
    outputs = list(_tensors(config["output_layers"]))
    first: Mapping[str, int] = {}
    if any(isinstance(n, Mapping) for s in layers.values() for n in _nodes(s)):
        outputs = [_counted_from_0(read, layers) for read in outputs]
    else:
        first = _first_calls(layers, outputs)
    starts = {given.key for given in inputs}
    calls = []
    for name, saved in layers.items():
        layer = None
        for number, node in enumerate(_nodes(saved)):
            key = name, number + first.get(name, 0)
            if key in starts or not (node or saved["class_name"] != "InputLayer"):
                continue
            layer = layer or layer_of(saved)
            calls.append(Call(key, layer, *_arguments(node, saved)))
    named: dict[str, Read] = {}
    for read in outputs:
        named[unique_name(read.call[0], named)] = read
    return CalledModel(inputs, calls, list(named.items()))


def _nodes(saved: Config) -> Sequence[Any]:
    found = saved["inbound_nodes"]
    if not isinstance(found, list):
        raise NoRuleError(f"the calls of {saved['name']!r} are {found!r:.80}")
    return found


def _counted_from_0(read: Read, layers: Mapping[str, Config]) -> Read:
    """Returns an output of a model of Keras 3, with the number of its call from 0.

    Where layers read a call, Keras 3 counts from 0. In the list of outputs, it counts
    the calls of functional models from 1.
    """
    name, call = read.call
    is_functional = layers[name]["class_name"] in ("Functional", "Model")
    return replace(read, call=(name, call - (is_functional and call > 0)))


def _first_calls(
    layers: Mapping[str, Config], outputs: Sequence[Read]
) -> dict[str, int]:
    """Returns the number of the first call of each layer of Keras 1 or 2.

    The calls of a model that had an input when it was made are counted from 1. Every
    call is read, so the largest number that is read says so.
    """
    largest: dict[str, int] = {}
    read = [
        _arguments(node, saved) for saved in layers.values() for node in _nodes(saved)
    ]
    for tensor in [*_tensors(read), *outputs]:
        name, call = tensor.call
        largest[name] = max(largest.get(name, 0), call)
    return {
        name: most + 1 - len(_nodes(layers[name]))
        for name, most in largest.items()
        if name in layers and most >= max(len(_nodes(layers[name])), 1)
    }


# --- What calls read -----------------------------------------------------------------


def _arguments(node: Any, saved: Config) -> tuple[list[Any], dict[str, Any]]:
    """Returns the arguments and keyword arguments of a call, in either format."""
    if isinstance(node, Mapping) and "args" in node:  # Keras 3
        arguments, keywords = value_of(node["args"]), value_of(node.get("kwargs", {}))
        return list(arguments), dict(keywords)
    keywords = {}
    found = _structure(node, keywords)
    if saved["class_name"] not in FUNCTIONS and isinstance(found, list):
        found = found[0] if len(found) == 1 else found
    return [found], keywords


def _structure(node: Any, keywords: dict[str, Any]) -> Any:
    """Returns the first argument of a call of Keras 1 or 2.

    Each tensor in it is written with all keyword arguments of the call.
    """
    if isinstance(node, Mapping):
        return {key: _structure(part, keywords) for key, part in node.items()}
    if not isinstance(node, list) or not _is_history(node):
        return [_structure(part, keywords) for part in node]
    if len(node) > 3:
        keywords |= {key: _keyword(part) for key, part in (node[3] or {}).items()}
    if node[0] == "_CONSTANT_VALUE":
        return np.asarray(node[2]) if isinstance(node[2], list) else node[2]
    return _read(node[:3])


def _is_history(thing: Sequence[Any]) -> bool:
    return len(thing) in (3, 4) and isinstance(thing[0], str)


def _keyword(saved: Any) -> Any:
    """Returns the value of a keyword argument in a config of Keras 2."""
    if isinstance(saved, Mapping):
        return {key: _keyword(part) for key, part in saved.items()}
    if not isinstance(saved, list):
        return saved
    if _is_history(saved):
        return _read(saved[:3])
    return [_keyword(part) for part in saved]


def _read(history: Sequence[Any], dtype: str | None = None) -> Read:
    name, call, number = history
    if not (isinstance(name, str) and type(call) is type(number) is int):
        raise NoRuleError(f"{history!r} is no tensor")
    return Read((name, call), number, dtype)


def _tensors(thing: Any) -> Iterator[Read]:
    """Yields the tensors that a part of a config refers to, in order.

    The inputs and outputs of a model are listed without a class.
    """
    if isinstance(thing, Read):
        yield thing
    elif isinstance(thing, Mapping):
        for part in thing.values():
            yield from _tensors(part)
    elif isinstance(thing, (list, tuple)):
        if len(thing) == 3 and isinstance(thing[0], str) and type(thing[1]) is int:
            yield _read(thing)
        else:
            for part in thing:
                yield from _tensors(part)


def value_of(saved: Any) -> Any:
    """Returns the value of an argument in a config of Keras 3.

    Tensors of the model become `Read` objects, and constants become arrays.
    """
    if isinstance(saved, list):
        return [value_of(part) for part in saved]
    if not isinstance(saved, Mapping):
        return saved
    kind = saved.get("class_name")
    if kind == "__keras_tensor__":
        return _read(saved["config"]["keras_history"], saved["config"].get("dtype"))
    if kind in ("__tensor__", "__numpy__"):
        return np.asarray(saved["config"]["value"], saved["config"].get("dtype"))
    if kind == "__slice__":
        parts = (saved["config"].get(part) for part in ("start", "stop", "step"))
        return slice(*map(value_of, parts))
    if kind == "__ellipsis__":
        return ...
    if kind is not None and "module" in saved:
        return saved  # Another object.
    return {key: value_of(part) for key, part in saved.items()}
