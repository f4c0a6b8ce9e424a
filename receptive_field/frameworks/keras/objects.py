"""Reads the layers and calls of a Keras model in memory.

Keras 3 and Keras 2 (the package tf_keras) keep the calls of layers on symbolic tensors
alike: each tensor knows the call that it comes from.
"""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from receptive_field.arrays import np
from receptive_field.errors import quoted
from receptive_field.frameworks.alone import ALONE
from receptive_field.frameworks.keras.calls import (
    KERAS,
    Call,
    CalledModel,
    Input,
    Layer,
    NoRuleError,
    Read,
    Weight,
    leaves,
    replaced,
)
from receptive_field.frameworks.keras.masks import KERAS_OF_MASKS, added
from receptive_field.frameworks.tensorflow.objects import keras_of, maker_of

NEVER_BUILT = "the model was never built: call it once on data, or call build(shape)"


def called_model(model: Any) -> CalledModel:
    """Returns the calls of a model.

    Raises:
      NoRuleError: if the model was never built, or cannot be called with symbolic
        tensors.
    """
    found = _functional(model)
    if found is None:
        return opened(model, [_symbols(model)], {})
    names = list(getattr(model, "output_names", None) or ())
    layers = getattr(found, "operations", None) or found.layers
    called = calls_between(found.inputs, found.outputs, names, layers)
    given = getattr(found, "_inputs_struct", getattr(found, "_nested_inputs", None))
    keys = sorted(given) if isinstance(given, Mapping) else ()
    return replace(called, keys=keys, knows_masks=_knows_masks(model))


def calls_between(
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    names: Sequence[str] = (),
    listed: Sequence[Any] = (),
    masks: Sequence[Any] = (),
) -> CalledModel:
    """Returns the calls by which symbolic tensors are computed from others.

    Args:
      inputs: the symbolic tensors at which the model begins.
      outputs: the symbolic tensors that it returns.
      names: a name for each output. By default, they are named after their layers.
      listed: the layers in the order in which their calls are listed.
      masks: the mask of each output, or None.
    """
    given = {id(tensor): number for number, tensor in enumerate(inputs)}
    layers: dict[int, Layer] = {}
    order = {id(layer): number for number, layer in enumerate(listed)}

    def part(thing: Any) -> Any:
        if id(thing) in given:
            return Read(given[id(thing)], 0, _dtype(thing))
        maker = maker_of(thing)
        if maker is None:
            return _constant(thing)
        _, number, place = thing._keras_history
        return Read((id(maker), number), place, _dtype(thing))

    def place(call: Call) -> tuple[int, int]:
        maker, number = call.key
        return order[maker], number

    calls: dict[tuple[int, int], Call] = {}
    waiting = [*outputs, *(mask for mask in masks if mask is not None)]
    while waiting:
        tensor = waiting.pop()
        maker = maker_of(tensor)
        if id(tensor) in given or maker is None:
            continue
        if mask_of(tensor) is not None and not is_layer(maker):
            raise NoRuleError("it gives a tensor a mask")
        number = tensor._keras_history[1]
        key = id(maker), number
        if key in calls:
            continue
        if id(maker) not in layers:
            layers[id(maker)] = _layer(maker)
        arguments, keywords = _arguments(maker._inbound_nodes[number])
        call = Call(
            key,
            layers[id(maker)],
            [replaced(thing, part) for thing in arguments],
            {key: replaced(thing, part) for key, thing in keywords.items()},
        )
        calls[key] = call
        waiting += reversed(list(_symbolic([arguments, keywords])))
    for maker, _ in reversed(calls):
        order.setdefault(maker, len(order))
    named: list[tuple[str, Read]] = []
    for number, tensor in enumerate(outputs):
        maker = maker_of(tensor)
        found = _read(part(tensor))
        own = names[number] if len(names) == len(outputs) else _name(tensor)
        named.append((own, found))
    return CalledModel(
        [
            Input(key, _name(tensor), list(tensor.shape), _dtype(tensor))
            for key, tensor in enumerate(inputs)
        ],
        sorted(calls.values(), key=place),
        named,
        masks=[None if mask is None else _read(part(mask)) for mask in masks],
    )


def _read(found: Any) -> Read:
    if not isinstance(found, Read):
        raise NoRuleError("an output is not a tensor of the model")
    return found


def opened(
    thing: Any, arguments: Sequence[Any], keywords: Mapping[str, Any]
) -> CalledModel:
    """Returns the calls that a layer makes when it is called with symbolic tensors.

    The layer is left as it was. Its inputs are the tensors, and then their masks.

    Raises:
      NoRuleError: if the layer fails on symbolic tensors.
    """
    keras = sys.modules.get("keras")
    if not is_of_keras_3(thing) or keras is None:
        raise NoRuleError("only layers of Keras 3 can be called with symbolic tensors")
    if getattr(thing, "quantization_mode", None):
        raise NoRuleError("its weights are quantized")
    more = dict(keywords)
    symbols = list(_symbolic([list(arguments), keywords]))
    masks = [mask_of(symbol) for symbol in symbols]
    with _nodes_kept(thing):
        try:
            signature = inspect.signature(thing.call)
            if "training" in signature.parameters:
                more["training"] = False
            given = signature.bind(*arguments, **more).arguments
            more |= added(signature.parameters, given, _masks_of, is_symbolic)
            outputs = keras.tree.flatten(thing.call(*arguments, **more))
            found: list[Any] = []
            if getattr(thing, "supports_masking", False):
                first = next(iter(given.values()))
                before = _masks_of(first) if more.get("mask") is None else more["mask"]
                found = keras.tree.flatten(thing.compute_mask(first, before))
        except Exception as error:  # The layer may be a user's, and fail in any way.
            raise NoRuleError(quoted(f"{type(error).__name__}: {error}")) from error
        if [mask_of(symbol) for symbol in symbols] != masks:
            raise NoRuleError("it gives a tensor a mask")
        inputs = [*symbols, *(mask for mask in masks if mask is not None)]
        return calls_between(inputs, outputs, masks=found[: len(outputs)])


def mask_of(symbol: Any) -> Any:
    """Returns the mask of a symbolic tensor, or None."""
    return getattr(symbol, "_keras_mask", None)


def _masks_of(given: Any) -> Any:
    """Returns the masks of the symbolic tensors in an argument, in the same lists."""
    masks = replaced(given, mask_of)
    return masks if any(mask is not None for mask in leaves(masks)) else None


@contextmanager
def _nodes_kept(thing: Any) -> Iterator[None]:
    """Removes the calls that layers have recorded when the context ends."""
    layers = list(thing._flatten_layers()) if hasattr(thing, "_flatten_layers") else []
    with ALONE.held():
        lists = [
            (found, len(found))
            for layer in layers
            for found in (layer._inbound_nodes, layer._outbound_nodes)
        ]
        try:
            yield
        finally:
            for found, count in lists:
                del found[count:]


def is_of_keras(thing: Any) -> bool:
    """Returns whether the class of an object is one of Keras."""
    return type(thing).__module__.partition(".")[0] in KERAS


def is_of_keras_3(thing: Any) -> bool:
    """Returns whether an object is a layer or an operation of Keras 3."""
    kind = getattr(sys.modules.get("keras"), "Operation", None)
    return kind is not None and isinstance(thing, kind)


def _knows_masks(model: Any) -> bool:
    """Returns whether the rules of masks are those of the version of Keras."""
    release = getattr(sys.modules.get("keras"), "__version__", "").split(".")[:2]
    return is_of_keras_3(model) and tuple(map(int, release)) >= KERAS_OF_MASKS


def backend_of(thing: Any) -> str:
    """Returns the name of the backend on which a layer or an operation runs."""
    backend: Any = getattr(keras_of(thing) or sys.modules.get("keras"), "backend", None)
    return str(backend.backend()) if hasattr(backend, "backend") else "tensorflow"


def is_layer(thing: Any) -> bool:
    """Returns whether an object is a layer of Keras, or of a user."""
    kinds = [getattr(sys.modules.get(name), "layers", None) for name in KERAS]
    return isinstance(thing, tuple(kind.Layer for kind in kinds if kind is not None))


def _functional(model: Any) -> Any | None:
    """Returns the functional model that is called when a model is.

    Returns None if the model may do more than call its layers, as a user's class may.
    """
    bases = type(model).__mro__
    own = [base for base in bases if "call" in vars(base)][:1]
    if "__call__" in vars(type(model)) or not own or not _is_keras_class(own[0]):
        return None
    if own[0].__name__ == "Sequential":
        inner = getattr(model, "_functional", model)
        if inner is None or not getattr(inner, "outputs", None):
            raise NoRuleError(NEVER_BUILT)
        return inner
    return model if own[0].__name__ == "Functional" else None


def _is_keras_class(kind: type) -> bool:
    return kind.__module__.partition(".")[0] in KERAS


def _layer(maker: Any) -> Layer:
    is_operation = not is_layer(maker)
    model = None
    if not is_operation and _is_model(maker):
        found = _functional(maker)
        model = None if found is None else called_model(maker)
    return Layer(
        str(maker.name),
        type(maker).__name__,
        partial(_made_with if is_operation else _config, maker),
        is_operation,
        not is_of_keras(maker),
        model,
        maker,
    )


def _is_model(thing: Any) -> bool:
    kinds = [getattr(sys.modules.get(name), "Model", None) for name in KERAS]
    return isinstance(thing, tuple(kind for kind in kinds if kind is not None))


def _config(layer: Any) -> Mapping[str, Any]:
    """Returns the config of a layer, with lists in place of tuples, as in a file."""
    try:
        found = layer.get_config()
    except Exception as error:
        raise NoRuleError(f"its config cannot be read ({quoted(error)})") from error
    return replaced(found, lambda part: part) if isinstance(found, Mapping) else {}


def _made_with(operation: Any) -> Mapping[str, Any]:
    """Returns the arguments with which an operation was made."""
    stated = getattr(operation, "_auto_config", None)
    if stated is not None:
        found = dict(stated.config)
    else:
        names = inspect.signature(type(operation).__init__).parameters
        found = {
            name: getattr(operation, name) for name in names if hasattr(operation, name)
        }
    found.pop("name", None)
    return {key: replaced(value, _constant) for key, value in found.items()}


# --- Symbolic tensors ----------------------------------------------------------------


def _symbols(model: Any) -> Any:
    """Returns new symbolic tensors with which a model can be called."""
    keras: Any = sys.modules.get("keras")
    if not is_of_keras_3(model):
        raise NoRuleError("a subclass of Model")
    inputs = getattr(model, "_inputs_struct", None)
    if inputs is not None:
        return keras.tree.map_structure(
            lambda tensor: keras.KerasTensor(
                tensor.shape, tensor.dtype, name=tensor.name
            ),
            inputs,
        )
    shapes = getattr(model, "_build_shapes_dict", None) or {}
    if len(shapes) == 1:
        (sizes,) = shapes.values()
        if isinstance(sizes, (tuple, list)) and not any(
            isinstance(size, (tuple, list)) for size in sizes
        ):
            return keras.KerasTensor((None, *sizes[1:]), name="inputs")
    raise NoRuleError(NEVER_BUILT)


def _name(tensor: Any) -> str:
    """Returns the name of a tensor's layer, or its own name if it has none."""
    maker = maker_of(tensor)
    name = tensor.name if maker is None else maker.name
    return str(name).partition(":")[0]


def _dtype(tensor: Any) -> str:
    dtype = tensor.dtype
    return str(getattr(dtype, "name", dtype))


def _arguments(node: Any) -> tuple[Sequence[Any], Mapping[str, Any]]:
    """Returns the arguments and keyword arguments of a call."""
    given = getattr(node, "arguments", None)
    if given is None:  # Keras 2
        return node.call_args, node.call_kwargs
    return given.args, given.kwargs


def _symbolic(thing: Any) -> Iterator[Any]:
    """Yields the symbolic tensors in arguments, in order."""
    found: list[Any] = []
    replaced(thing, found.append)
    for part in found:
        if is_symbolic(part):
            yield part


def is_symbolic(thing: Any) -> bool:
    """Returns whether an object is a symbolic tensor of Keras."""
    return type(thing).__name__ == "KerasTensor" and is_of_keras(thing)


LARGEST_CONSTANT = 1 << 16
"""Constants with more elements are taken for weights."""


def _constant(thing: Any) -> Any:
    """Returns a constant as an array or number, and a variable as a `Weight`."""
    if not hasattr(thing, "shape") or not hasattr(thing, "dtype"):
        return thing
    shape = tuple(thing.shape)
    is_variable = hasattr(thing, "assign") or getattr(thing, "requires_grad", False)
    if is_variable or math.prod(shape) > LARGEST_CONSTANT:
        return Weight(id(thing), shape, thing)
    return np.asarray(thing)
