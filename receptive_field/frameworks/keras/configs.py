"""Reads the config of a Keras model, as Keras 2 and Keras 3 save it.

A config lists the layers of a model. Each layer has its class, its own config, and its
calls (``inbound_nodes``). A call names the tensors that it reads by layer, number of
the call, and number of the output.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
from receptive_field.graph.model import unique_name

Config = Mapping[str, Any]

MODELS = ("Functional", "Model", "Sequential")
"""The classes of models whose config says everything about their layers."""

OF_APPLICATIONS = ("CustomScaleLayer", "LayerScale", "StochasticDepth")
"""Layer classes of `keras.applications`, which are not in `keras.layers`."""

OF_KERAS_1 = frozenset({"border_mode", "dim_ordering"})
"""Options that have other names since Keras 2."""

UNFIT = (AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What goes wrong if a part of a config has another form than is expected."""


def called_model(saved: Config) -> CalledModel:
    """Returns the calls of a saved model.

    Raises:
      NoRuleError: if the class of the model is custom, or the config has an unknown
        form.
    """
    try:
        if saved["class_name"] not in MODELS or _is_custom(saved):
            raise NoRuleError(f"the model class {saved['class_name']!r}")
        return _model(saved)
    except UNFIT as error:
        raise NoRuleError(f"the config has an unknown form ({error!r})") from error


def _is_custom(saved: Config) -> bool:
    """Returns whether the class of a layer or model is not one of Keras.

    Keras 2 does not state where a class is defined. A name then means what it means for
    Keras, which does not know the classes of its applications by name.
    """
    if ">" in str(saved.get("registered_name") or ""):
        return True
    module = saved.get("module")
    if module is None:
        return saved["class_name"] in OF_APPLICATIONS
    return str(module).partition(".")[0] != "keras"


def _is_operation(saved: Config) -> bool:
    """Returns whether the entry of a layer is a call of a function of `keras.ops`.

    A layer and a function may have the same name. If the entry does not say where the
    class is defined, it is taken for a layer only if it can be trainable.
    """
    if saved["class_name"] in MODELS:
        return False
    if saved.get("module"):
        return str(saved["module"]).startswith("keras.src.ops")
    return "trainable" not in saved["config"]


def layer_of(saved: Config) -> Layer:
    """Returns the layer of an entry of a config."""
    config, kind = saved["config"], saved["class_name"]
    name = saved.get("name") or config["name"]
    is_model = kind in MODELS and not _is_custom(saved)
    if not is_model and not OF_KERAS_1.isdisjoint(config):
        raise NoRuleError(f"the layer {name!r} was saved by Keras 1")
    return Layer(
        name,
        kind,
        dict if is_model else lambda: config,
        _is_operation(saved),
        _is_custom(saved),
        _model(saved) if is_model else None,
    )


def _model(saved: Config) -> CalledModel:
    config = saved["config"]
    if saved["class_name"] == "Sequential":
        return _sequence(config)
    return _functional(config)


def _input(saved: Config, key: Any) -> Input:
    config = saved["config"]
    shape = config.get("batch_shape") or config.get("batch_input_shape")
    return Input(key, config["name"], list(shape), _dtype(config))


def _dtype(config: Config) -> str:
    found = config.get("dtype")
    return found if isinstance(found, str) else "float32"


def _sequence(config: Config | Sequence[Any]) -> CalledModel:
    layers = config if isinstance(config, Sequence) else config["layers"]
    given: Input | None = None
    calls: list[Call] = []
    for number, saved in enumerate(layers):
        if saved["class_name"] == "InputLayer":
            given = given or _input(saved, -1)
            continue
        if given is None:
            shape = saved["config"].get("batch_input_shape") or _built_shape(config)
            name = saved["config"]["name"] + "_input"
            given = Input(-1, name, list(shape), _dtype(saved["config"]))
        before = calls[-1].key if calls else given.key
        calls.append(Call(number, layer_of(saved), [Read(before)]))
    if given is None or not calls:
        raise NoRuleError("the model has no layers")
    return CalledModel([given], calls, [(calls[-1].layer.name, Read(calls[-1].key))])


def _built_shape(config: Any) -> Sequence[int | None]:
    """Returns the shape with which a model without an input layer was built."""
    shape = config.get("build_input_shape") if isinstance(config, Mapping) else None
    if not shape:
        raise NoRuleError("the model was never built")
    return list(shape)


def _functional(config: Config) -> CalledModel:
    layers = {saved["name"]: saved for saved in config["layers"]}
    inputs = [
        _input(layers[read.call[0]], read.call)
        for read in _tensors(config["input_layers"])
    ]
    first = _first_calls(config, layers)
    starts = {given.key for given in inputs}
    calls = []
    for name, saved in layers.items():
        layer = None
        for number, node in enumerate(saved["inbound_nodes"]):
            key = name, number + first.get(name, 0)
            if key in starts or not (node or saved["class_name"] != "InputLayer"):
                continue
            layer = layer or layer_of(saved)
            calls.append(Call(key, layer, *_arguments(node)))
    outputs: dict[str, Read] = {}
    for read in _tensors(config["output_layers"]):
        outputs[unique_name(read.call[0], outputs)] = read
    return CalledModel(inputs, calls, list(outputs.items()))


def _first_calls(config: Config, layers: Mapping[str, Config]) -> dict[str, int]:
    """Returns the number of the first call of each layer; 0 for those left out.

    In some formats, the calls of a nested model are counted from 1, because it was
    already called when it was made. The largest number that is read says so.
    """
    largest: dict[str, int] = {}
    nodes = (node for layer in layers.values() for node in layer["inbound_nodes"])
    read = [_arguments(node) for node in nodes]
    for tensor in [*_tensors(read), *_tensors(config["output_layers"])]:
        name, call = tensor.call
        largest[name] = max(largest.get(name, 0), call)
    return {
        name: most + 1 - len(layers[name]["inbound_nodes"])
        for name, most in largest.items()
        if most >= max(len(layers[name]["inbound_nodes"]), 1)
    }


# --- What calls read -----------------------------------------------------------------


def _arguments(node: Any) -> tuple[list[Any], dict[str, Any]]:
    """Returns the arguments and keyword arguments of a call, in either format."""
    if isinstance(node, Mapping):  # Keras 3
        arguments, keywords = value_of(node["args"]), value_of(node.get("kwargs", {}))
        return list(arguments), dict(keywords)
    others: dict[str, Any] = {}
    for read in node:
        if len(read) > 3 and read[3]:
            others |= read[3]
    if others:
        raise NoRuleError("keyword arguments")
    found = [_read(read[:3]) for read in node]
    return (found if len(found) == 1 else [found]), {}


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
