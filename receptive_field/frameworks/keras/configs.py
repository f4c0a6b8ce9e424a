"""Writes the graph of a model from its config, as Keras 2 and Keras 3 save it.

A config lists the layers of a model. Each layer has its class, its own config, and its
calls (``inbound_nodes``). A call names the tensors that it reads by layer, number of
the call, and number of the output.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from receptive_field.errors import ReceptiveFieldError
from receptive_field.frameworks.keras.layers import (
    LAYERS,
    OF_APPLICATIONS,
    LayerCall,
    NoRuleError,
)
from receptive_field.frameworks.keras.operations import OPERATIONS
from receptive_field.frameworks.keras.writer import Writer
from receptive_field.graph.graph import Tensor
from receptive_field.graph.model import unique_name

Config = Mapping[str, Any]

MODELS = ("Functional", "Model", "Sequential")
"""The classes of models whose config says everything about their layers."""


@dataclass(slots=True)
class WrittenModel:
    """A graph, and the tensors of its inputs, outputs and layer calls."""

    writer: Writer
    inputs: dict[str, Tensor] = field(default_factory=dict)
    outputs: dict[str, Tensor] = field(default_factory=dict)
    layers: dict[str, Tensor] = field(default_factory=dict)
    layer_inputs: dict[str, Sequence[Tensor]] = field(default_factory=dict)
    calls: dict[str, list[str]] = field(default_factory=dict)
    """Name of a layer -> the names of its calls, in order."""


OF_KERAS_1 = frozenset({"border_mode", "dim_ordering"})
"""Options that have other names since Keras 2."""

MODES = ("mask", "training")
"""Arguments that do not change what a layer does to an image at inference."""

UNFIT = (AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What goes wrong if a part of a config has another form than is expected."""

Key = tuple[str, int]
"""The name of a layer, and the number of its call."""


def write(saved: Config, name: str) -> WrittenModel:
    """Returns the graph of a saved model.

    Raises:
      NoRuleError: if a layer cannot be written, or the config has an unknown form.
    """
    model = WrittenModel(Writer(name))
    try:
        if saved["class_name"] not in MODELS or not _is_own(saved):
            raise NoRuleError(f"the model class {saved['class_name']!r}")
        outputs = _Calls(model).of_model(saved, None)
    except ReceptiveFieldError as error:
        raise NoRuleError(str(error)) from None
    except UNFIT as error:
        raise NoRuleError(f"the config has an unknown form ({error!r})") from error
    model.outputs.update(outputs)
    return model


def _is_own(saved: Config) -> bool:
    """Returns whether the class of a layer or model is Keras's own.

    Keras 2 does not state where a class is defined. A name then means what it means for
    Keras, which does not know the classes of its applications by name.
    """
    module = saved.get("module")
    if module is None:
        return saved["class_name"] not in OF_APPLICATIONS
    return str(module).partition(".")[0] == "keras"


class _Calls:
    """The calls of the layers of a model, and of the models in it."""

    def __init__(self, model: WrittenModel) -> None:
        self._model = model

    def of_model(
        self, saved: Config, given: Sequence[Tensor] | None
    ) -> dict[str, Tensor]:
        """Writes a call of a model, and returns its outputs by name."""
        config = saved["config"]
        if saved["class_name"] == "Sequential":
            return self._of_sequence(config, given)
        return self._of_functional(config, given)

    def _of_sequence(
        self, config: Config | Sequence[Any], given: Sequence[Tensor] | None
    ) -> dict[str, Tensor]:
        layers = config if isinstance(config, Sequence) else config["layers"]
        tensors = list(given or ())
        name = "output"
        for layer in layers:
            if layer["class_name"] == "InputLayer":
                if not given:
                    tensors = [self._input(layer)]
                continue
            if not tensors:
                shape = layer["config"].get("batch_input_shape")
                shape = shape or _built_shape(config)
                name = layer["config"]["name"] + "_input"
                tensors = [self._placeholder(name, shape)]
            tensors = self._call(layer, tensors, [])
            name = layer["config"]["name"]
        return {name: tensors[0]}

    def _of_functional(
        self, config: Config, given: Sequence[Tensor] | None
    ) -> dict[str, Tensor]:
        layers = {layer["name"]: layer for layer in config["layers"]}
        found: dict[Key, list[Tensor]] = {}
        ends = list(_references(config["input_layers"]))
        if given is not None and len(given) != len(ends):
            raise NoRuleError(f"{len(given)} tensors are given for {len(ends)} inputs")
        for number, (name, call, _) in enumerate(ends):
            inputs = (
                [given[number]] if given is not None else [self._input(layers[name])]
            )
            found[name, call] = inputs
        waiting = [
            (name, number, node)
            for name, layer in layers.items()
            for number, node in enumerate(layer["inbound_nodes"])
            if node or layer["class_name"] != "InputLayer"
        ]
        first = _first_calls(config, layers)
        while waiting:
            left = []
            for name, number, node in waiting:
                key = name, number + first.get(name, 0)
                if key in found:
                    continue
                arguments, others = _arguments(node)
                needed = list(_references([arguments, others]))
                if any((layer, call) not in found for layer, call, _ in needed):
                    left.append((name, number, node))
                    continue
                read = _filled([arguments, others], found)
                found[key] = self._call(layers[name], *read)
            if len(left) == len(waiting):
                raise NoRuleError(f"the calls of {left[0][0]!r} read each other")
            waiting = left
        outputs: dict[str, Tensor] = {}
        for name, call, number in _references(config["output_layers"]):
            outputs[unique_name(name, outputs)] = found[name, call][number]
        return outputs

    def _input(self, layer: Config) -> Tensor:
        config = layer["config"]
        shape = config.get("batch_shape") or config.get("batch_input_shape")
        return self._placeholder(config["name"], shape)

    def _placeholder(self, name: str, shape: Sequence[int | None]) -> Tensor:
        tensor = self._model.writer.placeholder(name, shape)
        self._model.inputs[name] = tensor
        return tensor

    def _call(
        self, layer: Config, arguments: Sequence[Any], others: Any
    ) -> list[Tensor]:
        """Writes a call of a layer, and records it."""
        model, name = self._model, layer["config"]["name"]
        kind = layer["class_name"]
        tensors = list(_tensors(arguments))
        given = [part for key, part in (others or {}).items() if key not in MODES]
        plain = len(tensors) == _count(arguments) == _count([arguments, given])
        if not _is_own(layer):
            raise NoRuleError(f"the class {kind!r} of the layer {name!r} is custom")
        called = unique_name(name, model.layers)
        operation = OPERATIONS.get(kind)
        try:
            if _is_quantized(layer["config"]):
                raise NoRuleError("its weights are quantized")
            if not OF_KERAS_1.isdisjoint(layer["config"]):
                raise NoRuleError("it was saved by Keras 1")
            if not plain and not _is_operation(layer):
                raise NoRuleError("it is called with constants or keyword arguments")
            if kind in MODELS:
                outputs = list(self.of_model(layer, tensors).values())
            elif _is_operation(layer):
                if operation is None:
                    raise NoRuleError("there is no rule for the operation")
                with model.writer.scope(called, id(layer)):
                    return [operation(model.writer, *arguments, **(others or {}))]
            elif kind in LAYERS:
                with model.writer.scope(called, id(layer)):
                    call = LayerCall(model.writer, layer["config"], tensors)
                    outputs = [LAYERS[kind](call)]
            else:
                raise NoRuleError("there is no rule for the class")
        except NoRuleError as error:
            raise NoRuleError(f"the layer {name!r} ({kind}): {error}") from None
        called = unique_name(name, model.layers)
        model.calls.setdefault(name, []).append(called)
        model.layers[called] = outputs[0]
        model.layer_inputs[called] = tensors
        return outputs


def _is_operation(layer: Config) -> bool:
    """Returns whether the entry of a layer is a call of a function of `keras.ops`.

    A layer and a function may have the same name. If the entry does not say where the
    class is defined, it is taken for a layer only if it can be trainable.
    """
    if layer["class_name"] in MODELS:
        return False
    if layer.get("module"):
        return str(layer["module"]).startswith("keras.src.ops")
    return "trainable" not in layer["config"]


def _is_quantized(config: Config) -> bool:
    """Returns whether the weights of a layer are not plain numbers."""
    policy = config.get("dtype")
    return isinstance(policy, Mapping) and policy.get("class_name") != "DTypePolicy"


def _built_shape(config: Any) -> Sequence[int | None]:
    """Returns the shape with which a model without an input layer was built."""
    shape = config.get("build_input_shape")
    if not shape:
        raise NoRuleError("the model was never built")
    return list(shape)


def _first_calls(config: Config, layers: Mapping[str, Config]) -> dict[str, int]:
    """Returns the number of the first call of each layer; 0 for those left out.

    In some formats, the calls of a nested model are counted from 1, because it was
    already called when it was made. The largest number that is read says so.
    """
    largest: dict[str, int] = {}
    nodes = (node for layer in layers.values() for node in layer["inbound_nodes"])
    read = [_arguments(node) for node in nodes]
    for name, call, _ in _references([read, config["output_layers"]]):
        largest[name] = max(largest.get(name, 0), call)
    return {
        name: most + 1 - len(layers[name]["inbound_nodes"])
        for name, most in largest.items()
        if most >= max(len(layers[name]["inbound_nodes"]), 1)
    }


# --- What calls read -----------------------------------------------------------------


def _arguments(node: Any) -> tuple[Any, Any]:
    """Returns the arguments and keyword arguments of a call, in either format."""
    if isinstance(node, Mapping):  # Keras 3
        return node["args"], node.get("kwargs", {})
    others: dict[str, Any] = {}
    for read in node:
        if len(read) > 3 and read[3]:
            others |= read[3]
    if others:
        raise NoRuleError("keyword arguments")
    return [read[:3] for read in node], {}


def _reference(thing: Any) -> tuple[str, int, int] | None:
    """Returns the tensor that a part of a config refers to, or None."""
    if isinstance(thing, Mapping) and thing.get("class_name") == "__keras_tensor__":
        thing = thing["config"]["keras_history"]
    if isinstance(thing, Sequence) and len(thing) == 3:
        name, call, number = thing
        if isinstance(name, str) and type(call) is type(number) is int:
            return name, call, number
    return None


def _references(thing: Any) -> Iterator[tuple[str, int, int]]:
    """Yields the tensors that a config refers to, in order."""
    found = _reference(thing)
    if found is not None:
        yield found
    elif isinstance(thing, Mapping):
        for part in thing.values():
            yield from _references(part)
    elif isinstance(thing, Sequence) and not isinstance(thing, str):
        for part in thing:
            yield from _references(part)


def _filled(thing: Any, found: Mapping[Key, Sequence[Tensor]]) -> Any:
    """Returns a structure with tensors in the place of references."""
    reference = _reference(thing)
    if reference is not None:
        name, call, number = reference
        return found[name, call][number]
    if isinstance(thing, Mapping):
        return {key: _filled(part, found) for key, part in thing.items()}
    if isinstance(thing, Sequence) and not isinstance(thing, str):
        return [_filled(part, found) for part in thing]
    return thing


def _tensors(thing: Any) -> Iterator[Tensor]:
    """Yields the tensors of a structure, in order."""
    if isinstance(thing, tuple):
        yield thing
    elif isinstance(thing, Mapping):
        for part in thing.values():
            yield from _tensors(part)
    elif isinstance(thing, list):
        for part in thing:
            yield from _tensors(part)


def _count(thing: Any) -> int:
    """Returns the number of arguments in a structure, other than None."""
    if isinstance(thing, list):
        return sum(map(_count, thing))
    return int(thing is not None)
