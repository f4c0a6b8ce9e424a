"""Reads the config of a Keras model, as Keras 1, 2 and 3 save it.

A config lists the layers of a model. Each layer has its class, its own config, and its
calls (``inbound_nodes``). A call names the tensors that it reads by layer, number of
the call, and number of the output.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from receptive_field.arrays import np
from receptive_field.errors import quoted
from receptive_field.frameworks.keras.calls import (
    UNFIT,
    Call,
    CalledModel,
    Input,
    Layer,
    NoModelError,
    NoRuleError,
    Read,
    TooManyCallsError,
    in_order,
)
from receptive_field.frameworks.keras.operations.tensorflow_functions import FUNCTIONS
from receptive_field.frameworks.keras.options import (
    MOST,
    checked,
    is_of_keras_1,
    translated,
)
from receptive_field.frameworks.keras.stated import MODEL_CLASSES

Config = Mapping[str, Any]

MODELS = ("Functional", "Model", "Sequential")
"""The classes of models whose config says everything about their layers."""

OF_APPLICATIONS = ("CustomScaleLayer", "LayerScale", "StochasticDepth")
"""Layer classes of `keras.applications`, which are not in `keras.layers`."""

OF_KERAS = ("keras", "tf_keras")
"""The packages whose classes have rules."""

MOST_CALLS = 20_000
"""The most calls of layers in a model, with those in its models."""


def called_model(saved: Config) -> CalledModel:
    """Returns the calls of a saved model.

    Raises:
      NoRuleError: if the class of the model is custom, or the config has an unknown
        form.
      TooManyCallsError: if it has more than `MOST_CALLS`.
    """
    try:
        if not _is_model(saved):
            raise NoRuleError(
                f"{saved['class_name']!r} is no class of Keras whose config says how "
                "layers are called"
            )
        found = replace(_model(saved), knows_masks=version_of(saved) == 3)
        if _count(found) > MOST_CALLS:
            raise TooManyCallsError(f"it calls layers more than {MOST_CALLS} times")
        return found
    except UNFIT as error:
        raise NoRuleError(
            f"the config has an unknown form ({quoted(repr(error))})"
        ) from error


def check_order(saved: Config) -> None:
    """Checks that the layers of a model, and of models in it, have an order.

    Keras 2 would look for the order without end. Nothing else of the layers is read.

    Raises:
      NoModelError: if calls read each other, or something that is not in the model.
    """
    waiting: list[Any] = [saved]
    while waiting:
        thing = waiting.pop()
        if isinstance(thing, Mapping):
            waiting += thing.values()
            config = thing.get("config")
            if isinstance(config, Mapping) and "input_layers" in config:
                try:
                    model = _functional(config, _only_named, _only_placed)
                    deque(in_order(model), maxlen=0)
                except NoModelError:
                    raise
                except (NoRuleError, *UNFIT):
                    continue  # Keras tells what is wrong.
        elif isinstance(thing, list):
            waiting += thing


def _only_named(saved: Config) -> Layer:
    return Layer(_name_of(saved), saved["class_name"])


def _only_placed(saved: Config, key: Any) -> Input:
    return Input(key, _name_of(saved), ())


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


def _count(model: CalledModel) -> int:
    """Returns how many calls of layers a model makes."""
    inside: dict[int, int] = {}
    for call in model.calls:
        inner, key = call.layer.model, id(call.layer)
        if key not in inside:
            inside[key] = 0 if inner is None else _count(inner)
    return len(model.calls) + sum(inside[id(call.layer)] for call in model.calls)


def is_custom(saved: Config) -> bool:
    """Returns whether the class of a layer or model is not one of Keras.

    Keras 2 registers a class of its applications under a name that a user may give to
    another class, too. The module then decides. Older formats do not state where a
    class is defined. A name then means what it means for Keras, which does not know the
    classes of its applications by name. Of a custom class, other formats state only the
    name under which it is registered.
    """
    registered, kind = saved.get("registered_name"), saved["class_name"]
    if saved.get("module") is None:
        return registered is not None or ">" in kind or kind in OF_APPLICATIONS
    package, *rest = module_of(saved)
    is_own = ">" not in f"{registered}{kind}" or rest[:1] == ["applications"]
    return package not in OF_KERAS or not is_own


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
    kind = saved["class_name"]
    return kind in MODEL_CLASSES or (kind in MODELS and not is_custom(saved))


def _is_functional(saved: Config) -> bool:
    return isinstance(saved["config"], Mapping) and "input_layers" in saved["config"]


def holds_layers(config: Any) -> bool:
    """Returns whether the config of a layer has the form of that of a model."""
    return isinstance(config, Mapping) and isinstance(config.get("layers"), list)


def layer_of(saved: Config) -> Layer:
    """Returns the layer of an entry of a config."""
    if _is_model(saved):
        return Layer(_name_of(saved), saved["class_name"], model=_model(saved))
    custom = is_custom(saved)
    kind, config = saved["class_name"], saved["config"]
    name = _name_of(saved)
    is_operation = _is_operation(saved)
    if not custom:
        try:
            kind, config = translated(kind, config)
            config = checked(kind, config, is_operation)
        except NoRuleError as error:
            raise NoRuleError(f"the layer {name!r} ({kind}): {error}") from error
    return Layer(name, kind, lambda: config, is_operation, custom)


def _name_of(saved: Config) -> str:
    return _checked_name(saved.get("name") or saved["config"]["name"])


def _checked_name(name: Any) -> str:
    if not isinstance(name, str):
        raise NoRuleError(f"the name of a layer is {name!r:.80}")
    return name


def _model(saved: Config) -> CalledModel:
    if _is_functional(saved):
        return _functional(saved["config"])
    return _sequence(saved)


def _input(saved: Config, key: Any) -> Input:
    config = saved["config"]
    shape = config.get("batch_shape") or config.get("batch_input_shape")
    name = _checked_name(config["name"])
    return Input(key, name, _shape(shape), _dtype(config))


def _shape(saved: Any) -> list[int | None]:
    sizes = list(saved) if isinstance(saved, list) else [-1]
    if not all(n is None or (type(n) is int and 0 <= n <= MOST) for n in sizes):
        raise NoRuleError(f"the shape of an input is {saved!r:.80}")
    return sizes


def _dtype(config: Config) -> str:
    found = config.get("dtype")
    return found if isinstance(found, str) else "float32"


def _entries(layers: Any) -> list[Config]:
    """Returns the entries of the layers of a model.

    Raises:
      NoModelError: if they do not have the form that Keras writes.
    """
    if not isinstance(layers, list):
        raise NoModelError(f"the layers of the model are {layers!r:.80}")
    for entry in layers:
        if not (
            isinstance(entry, Mapping)
            and isinstance(entry.get("class_name"), str)
            and isinstance(entry.get("config"), (Mapping, list))
        ):
            raise NoModelError(f"one of the layers of the model is {entry!r:.80}")
    return list(layers)


def _sequence(saved: Config) -> CalledModel:
    config = saved["config"]
    entries = _entries(config if isinstance(config, list) else config["layers"])
    if not entries:
        raise NoRuleError("the model has no layers")
    if entries[0]["class_name"] == "Merge":
        inputs, calls, read = _merged(entries.pop(0))
    else:
        inputs, calls, read = [], [], Read(-1)
        if entries[0]["class_name"] == "InputLayer":
            inputs = [_input(entries.pop(0), -1)]
    layers = [layer_of(_named(e)) for e in entries if e["class_name"] != "InputLayer"]
    inputs = inputs or [_first_input(saved, entries[0], layers[0])]
    for number, layer in enumerate(layers):
        calls.append(Call(number, layer, [read]))
        read = Read(number)
    name = calls[-1].layer.name if calls else inputs[0].name
    return CalledModel(inputs, calls, [(name, read)])


def _merged(saved: Config) -> tuple[list[Input], list[Call], Read]:
    """Returns what begins a model of Keras 1 that merges the outputs of other models.

    These are its inputs, its first calls, and the tensor that the next layer reads.
    """
    inputs: list[Input] = []
    calls: list[Call] = []
    for number, entry in enumerate(_entries(saved["config"]["layers"])):
        branch = layer_of(_named(entry))
        if branch.model is None:
            raise NoRuleError(f"the layer {branch.name!r} is merged and is no model")
        own = [replace(g, key=(number, g.key)) for g in branch.model.inputs]
        calls.append(Call(("branch", number), branch, [Read(g.key) for g in own]))
        inputs += own
    merged = layer_of(_named(saved))
    calls.append(Call("merged", merged, [[Read(call.key) for call in calls]]))
    return inputs, calls, Read("merged")


def _named(saved: Config) -> Config:
    """Returns the entry of a layer with a name; of Keras 1, some have none."""
    config = saved["config"]
    if saved.get("name") or (isinstance(config, Mapping) and "name" in config):
        return saved
    return {**saved, "name": saved["class_name"].lower()}


def _first_input(saved: Config, first: Config, layer: Layer) -> Input:
    """Returns the input of a model whose first layer is no input layer."""
    if layer.model is not None:
        if len(layer.model.inputs) != 1:
            raise NoRuleError("its first layer is a model with several inputs")
        return replace(layer.model.inputs[0], key=-1)
    config = saved["config"]
    built = config.get("build_input_shape") if isinstance(config, Mapping) else None
    shape = (
        first["config"].get("batch_input_shape")
        or built
        or (saved.get("build_config") or {}).get("input_shape")
    )
    if not shape:
        raise NoRuleError(
            "the model was never built, so its input has no shape: begin it with an "
            "input layer, or call build(shape) before you save it"
        )
    return Input(-1, f"{layer.name}_input", _shape(shape))


def _functional(
    config: Config,
    layer_of: Callable[[Config], Layer] = layer_of,
    input_of: Callable[[Config, Any], Input] = _input,
) -> CalledModel:
    layers: dict[str, Config] = {}
    for saved in _entries(config["layers"]):
        if layers.setdefault(_checked_name(saved["name"]), saved) is not saved:
            raise NoModelError(f"two layers have the name {saved['name']!r:.80}")
    inputs = [
        input_of(_entry(layers, read), read.call)
        for read in _tensors(config["input_layers"])
    ]
    outputs = list(_tensors(config["output_layers"]))
    if not outputs:
        raise NoRuleError("the model has no outputs")
    first: Mapping[str, int] = {}
    is_of_3 = any(isinstance(n, Mapping) for s in layers.values() for n in _nodes(s))
    if is_of_3:
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
    named = _named_outputs(outputs, ":" if is_of_3 else "_")
    listed = config["input_layers"]
    keys = sorted(listed) if isinstance(listed, Mapping) else ()
    return CalledModel(inputs, calls, named, keys)


def _named_outputs(outputs: Sequence[Read], joint: str) -> list[tuple[str, Read]]:
    """Returns the outputs of a model with their names.

    Keras 2 appends ``_1`` to the name of the second output of a layer.
    """
    named: list[tuple[str, Read]] = []
    again: Counter[str] = Counter()
    for read in outputs:
        name = read.call[0]
        suffix = f"_{again[name]}" if joint == "_" and again[name] else ""
        named.append((f"{name}{suffix}", read))
        again[name] += 1
    return named


def _nodes(saved: Config) -> Sequence[Any]:
    found = saved["inbound_nodes"]
    if not isinstance(found, list):
        raise NoModelError(f"the calls of {saved['name']!r} are {found!r:.80}")
    return found


def _entry(layers: Mapping[str, Config], read: Read) -> Config:
    if read.call[0] not in layers:
        raise NoModelError(f"{read.call[0]!r:.80} is no layer of the model")
    return layers[read.call[0]]


def _counted_from_0(read: Read, layers: Mapping[str, Config]) -> Read:
    """Returns an output of a model of Keras 3, with the number of its call from 0.

    Where layers read a call, Keras 3 counts from 0. In the list of outputs, it counts
    the calls of functional models from 1.
    """
    name, call = read.call
    is_functional = _is_functional(_entry(layers, read))
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
    if not isinstance(node, list):
        raise NoModelError(f"{node!r:.80} is no tensor")
    if not _is_history(node):
        return [_structure(part, keywords) for part in node]
    if len(node) > 3:
        if not isinstance(node[3] or {}, Mapping):  # Keras 2 may take it for a tensor.
            raise NoModelError(f"{node[3]!r:.80} are no keyword arguments")
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
    if not (
        isinstance(name, str)
        and type(call) is type(number) is int
        and min(call, number) >= 0
    ):
        raise NoModelError(f"{history!r} is no tensor")
    return Read((name, call), number, dtype)


def _tensors(thing: Any) -> Iterator[Read]:
    """Yields the tensors that a part of a config refers to, in order.

    The inputs and outputs of a model are listed without a class.
    """
    if isinstance(thing, Read):
        yield thing
    elif isinstance(thing, Mapping):
        for key in sorted(thing):
            yield from _tensors(thing[key])
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
