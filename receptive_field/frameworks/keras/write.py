"""Writes the graph of a model from the calls of its layers.

A layer is written by the rule of its class. If there is none, a layer in memory is
opened: Keras calls it with symbolic tensors, and the calls that it makes are written in
its place. If this fails, too, TensorFlow traces the layer, and the nodes of its graph
are added.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from receptive_field.budget import ExhaustedError, spend
from receptive_field.errors import ReceptiveFieldError, quoted
from receptive_field.frameworks.keras.calls import (
    KERAS,
    UNFIT,
    Call,
    CalledModel,
    Layer,
    NoRuleError,
    Read,
    Weight,
    as_inputs,
    in_order,
    leaves,
    replaced,
    tensor_of,
)
from receptive_field.frameworks.keras.configs import MOST_CALLS, layer_of
from receptive_field.frameworks.keras.layers import (
    LAYERS,
    MASKS,
    WITH_ARGUMENTS,
    LayerCall,
)
from receptive_field.frameworks.keras.masks import (
    KERAS_OF_MASKS,
    SAME,
    MasksError,
)
from receptive_field.frameworks.keras.operations.tensorflow_functions import FUNCTIONS
from receptive_field.frameworks.keras.options import check_rank
from receptive_field.frameworks.keras.stated import STATED
from receptive_field.frameworks.keras.writer import Writer
from receptive_field.graph.graph import Tensor
from receptive_field.graph.model import output_name, unique_name
from receptive_field.graph.source import Source
from receptive_field.rules.op import Op
from receptive_field.rules.stated import Rule, op_of

STEPS_OF_CALL = 256
"""The steps that a call takes beyond the first `MOST_CALLS`."""


@dataclass(slots=True)
class WrittenModel:
    """A graph, and the tensors of its inputs, outputs and layer calls."""

    writer: Writer
    inputs: dict[str, Tensor] = field(default_factory=dict)
    outputs: dict[str, Tensor] = field(default_factory=dict)
    layers: dict[str, Tensor] = field(default_factory=dict)
    layer_inputs: dict[str, Sequence[Tensor]] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    """Name of a layer call -> the class of the layer."""
    calls: dict[int, list[str]] = field(default_factory=dict)
    """``id`` of a layer in memory -> the names of its calls, in order."""
    names: dict[Hashable, str] = field(default_factory=dict)
    """`Call.key` -> the name of the call."""
    operations: dict[str, Tensor] = field(default_factory=dict)
    opened: dict[str, str] = field(default_factory=dict)
    traced: dict[str, str] = field(default_factory=dict)
    """Name of a call that has no rule -> the reason, for both."""
    stated: list[str] = field(default_factory=list)
    """The names of calls for which the caller has stated a rule."""


def write(
    called: CalledModel,
    name: str,
    overrides: Mapping[Any, Rule] | None = None,
    batch: int | None = None,
) -> WrittenModel:
    """Returns the graph of a model.

    Args:
      called: the calls of its layers.
      name: the name of the graph in results.
      overrides: rules of the caller, by the name of a layer or call, or by the layer.
      batch: the size of the batch, if the inputs do not state it.

    Raises:
      NoRuleError: if a layer can be written in no way.
    """
    model = WrittenModel(Writer(name))
    found: dict[Hashable, Sequence[Tensor]] = {}
    for given in called.inputs:
        shape = [given.shape[0] or batch, *given.shape[1:]] if given.shape else []
        tensor = model.writer.placeholder(given.name, shape, given.dtype)
        model.inputs[given.name] = tensor
        found[given.key] = [tensor]
    try:
        outputs = _Writing(model, overrides or {}, called.knows_masks).model(
            called, found
        )
    except (ReceptiveFieldError, *UNFIT) as error:
        raise NoRuleError(f"{error}") from error
    for (own, _), tensor in zip(called.outputs, outputs, strict=True):
        model.outputs[output_name(own, tensor, model.layers, model.outputs)] = tensor
    model.writer.graph.source = Source(
        "layers", model.opened, model.traced, tuple(model.stated)
    )
    return model


class _Writing:
    """The calls of a model, and of the models in it, as they are written."""

    def __init__(
        self, model: WrittenModel, overrides: Mapping[Any, Rule], knows_masks: bool
    ) -> None:
        self._model = model
        self._overrides = overrides
        self._knows_masks = knows_masks
        self._parts: dict[Hashable, Layer] = {}
        """The layers that are parts of others, by their owners and names."""
        self._free_calls = MOST_CALLS
        self._in_training = False
        """Whether the model that is written is called in training mode."""

    def model(
        self, called: CalledModel, found: dict[Hashable, Sequence[Tensor]]
    ) -> list[Tensor]:
        """Writes the calls of a model, and returns its outputs.

        ``found`` holds its inputs.
        """
        for call in in_order(called):
            found[call.key] = self._call(call, found)

        def tensor(read: Read) -> Tensor:
            return tensor_of(found, read)

        for (_, read), mask in zip(called.outputs, called.masks, strict=False):
            if mask is not None:
                self._model.writer.masks.put(tensor(read), tensor(mask))
        return [tensor(read) for _, read in called.outputs]

    def _inner(self, called: CalledModel, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Writes a call of a model in the model."""
        if len(tensors) != len(called.inputs):
            raise NoRuleError(
                f"{len(tensors)} tensors are given for {len(called.inputs)} inputs"
            )
        pairs = zip(called.inputs, tensors, strict=True)
        return self.model(called, {given.key: [tensor] for given, tensor in pairs})

    def _call(
        self, call: Call, found: Mapping[Hashable, Sequence[Tensor]]
    ) -> Sequence[Tensor]:
        """Writes a call of a layer, records it, and returns its outputs."""
        writer = self._model.writer

        def part(thing: Any) -> Any:
            if isinstance(thing, Read):
                tensor = tensor_of(found, thing)
                if thing.dtype is not None:
                    writer.dtypes[tensor] = thing.dtype
                return tensor
            if isinstance(thing, Weight):
                return writer.variable(thing.owner, thing.shape)
            return thing

        arguments = [replaced(thing, part) for thing in call.arguments]
        keywords = {key: replaced(thing, part) for key, thing in call.keywords.items()}
        return self._called(call, arguments, keywords, found)

    def _inside(
        self,
        saved: Mapping[str, Any],
        arguments: Sequence[Any],
        keywords: Mapping[str, Any],
        recorded: bool,
    ) -> Sequence[Tensor]:
        """Writes a call of a layer that is a part of the layer that is written."""
        new = layer_of(saved)
        layer = self._parts.setdefault((self._model.writer.owner, new.name), new)
        call = Call(None, layer, [])
        if recorded and not self._model.writer.is_in_loop:
            return self._called(call, arguments, keywords, {})
        tensors = _tensors([list(arguments), dict(keywords)])
        return self._outputs(call, arguments, keywords, tensors, {})

    def _called(
        self,
        call: Call,
        arguments: Sequence[Any],
        keywords: Mapping[str, Any],
        found: Mapping[Hashable, Sequence[Tensor]],
    ) -> Sequence[Tensor]:
        layer = call.layer
        tensors = _tensors([list(arguments), dict(keywords)])
        outputs = self._outputs(call, arguments, keywords, tensors, found)
        if layer.is_operation:
            operations = self._model.operations
            called = unique_name(layer.name, operations)
            operations[called] = outputs[0]
        else:
            called = self._record(layer.name, layer.thing, outputs[0], tensors)
            self._model.kinds[called] = layer.kind
        self._model.names.setdefault(call.key, called)
        return outputs

    def _record(
        self, name: str, layer: Any, output: Tensor, inputs: Sequence[Tensor]
    ) -> str:
        """Adds a call of a layer to those with a name, and returns the name."""
        called = unique_name(name, self._model.layers)
        if layer is not None:
            self._model.calls.setdefault(id(layer), []).append(called)
        self._model.layers[called] = output
        self._model.layer_inputs[called] = inputs
        return called

    def _outputs(
        self,
        call: Call,
        arguments: Sequence[Any],
        keywords: Mapping[str, Any],
        tensors: Sequence[Tensor],
        found: Mapping[Hashable, Sequence[Tensor]],
    ) -> Sequence[Tensor]:
        layer, writer = call.layer, self._model.writer
        self._count_call()
        if layer.model is not None:
            given = [part for key, part in keywords.items() if key != "mask"]
            parts = [as_inputs(part, layer.model) for part in [*arguments, *given]]
            inputs = _tensors(parts)
            masks = leaves(keywords.get("mask"))
            for tensor, mask in zip(inputs, masks, strict=False):
                if mask not in (None, writer.masks.peek(tensor)):
                    raise MasksError(
                        f"the model {layer.name!r} is called with a mask, which its "
                        "input then has for other layers, too"
                    )
            before = self._in_training
            self._in_training = self._is_in_training(keywords)
            try:
                return self._inner(layer.model, inputs)
            finally:
                self._in_training = before
        name = unique_name(layer.name, self._model.layers)
        owner = id(layer if layer.thing is None else layer.thing)
        with writer.scope(name.replace(":", "_"), owner):
            try:
                with self._attempt():
                    return self._by_rule(layer, arguments, keywords, tensors)
            except MasksError:
                raise
            except NoRuleError as error:
                reason = str(error)
            for key in (name, layer.name, layer.thing):
                if key is not None and key in self._overrides:
                    op = op_of(self._overrides[key])
                    return self._as_stated(layer, op, tensors)
            what = f"the layer {layer.name!r} ({layer.kind})"
            if layer.thing is None:
                raise NoRuleError(f"{what}: {reason}")
            from receptive_field.frameworks.keras import tracing
            from receptive_field.frameworks.keras.objects import opened

            if not layer.is_operation:
                try:
                    inside = opened(layer.thing, *tracing.symbols(call, found, writer))
                    with self._attempt():
                        masked = keywords.get("mask") is not None
                        outputs = self._opened(inside, _read(call, found), masked)
                    self._model.opened[name] = reason
                    return outputs
                except MasksError:
                    raise
                except NoRuleError as error:
                    reason = f"{reason}; it cannot be opened: {error}"
            try:
                done = tracing.traced(call, found, writer)
            except NoRuleError as error:
                raise NoRuleError(f"{what}: {reason}; {error}") from error
            self._model.traced[name] = reason
            for output, mask in zip(done.outputs, done.masks, strict=True):
                writer.masks.put(output, mask)
            writer.masks.called(tensors, done.outputs[0])
            for inner, output, read in done.inside:
                called = self._record(str(inner.name), inner, output, read)
                self._model.kinds[called] = type(inner).__name__
            return done.outputs

    def _is_in_training(self, keywords: Mapping[str, Any]) -> bool:
        """Returns whether a call stays in training mode at inference.

        Only Keras 2 keeps what a call states, or the call of the model around it.
        """
        if self._knows_masks:
            return False
        stated = keywords.get("training")
        return self._in_training if stated is None else stated not in (False, 0)

    def _count_call(self) -> None:
        """Counts a call, because models that call each other multiply.

        Raises:
          ExhaustedError: if there are too many.
        """
        self._free_calls -= 1
        if self._free_calls < 0:
            try:
                spend(STEPS_OF_CALL)
            except ExhaustedError as error:
                raise error.at("writing the calls of layers, one by one,") from None

    def _opened(
        self, inside: CalledModel, tensors: list[Tensor], masked: bool
    ) -> list[Tensor]:
        """Writes the calls in an opened layer, which also reads the masks.

        ``masked`` says whether it is called with a mask.
        """
        masks = self._model.writer.masks
        read = [masks.peek(tensor) for tensor in tensors]
        given = [*tensors, *(mask for mask in read if mask is not None)]
        outputs = self._inner(inside, given)
        if not masked and read == [None] * len(read):
            return outputs
        is_same = any(tensor in outputs for tensor in tensors)
        if is_same or [masks.peek(tensor) for tensor in tensors] != read:
            raise MasksError("it changes the mask of its input, which others may read")
        return outputs

    @contextmanager
    def _attempt(self) -> Iterator[None]:
        """Removes what was written in the context if it fails."""
        model = self._model
        named: list[dict[Any, Any]] = [model.layers, model.layer_inputs]
        named += [model.operations, model.names, model.opened, model.traced]
        counts = [len(names) for names in named]
        calls = {layer: len(called) for layer, called in model.calls.items()}
        try:
            with model.writer.attempt():
                yield
        except NoRuleError:
            for names, count in zip(named, counts, strict=True):
                while len(names) > count:
                    names.popitem()
            for layer, called in model.calls.items():
                del called[calls.get(layer, 0) :]
            raise

    def _as_stated(
        self, layer: Layer, op: Op, tensors: Sequence[Tensor]
    ) -> list[Tensor]:
        """Writes a call of a layer as a node with a rule of the caller.

        Raises:
          NoRuleError: if the layer may give its output a mask.
        """
        masks = self._model.writer.masks
        is_masked = any(masks.peek(tensor) is not None for tensor in tensors)
        keeps = is_masked if layer.thing is None else layer.thing.supports_masking
        if keeps and (is_masked or _may_mask(layer.thing)):
            raise NoRuleError(
                f"the rule that is stated for {layer.name!r} does not say whether its "
                "output has a mask"
            )
        self._model.stated.append(unique_name(layer.name, self._model.layers))
        return [self._model.writer.stated(layer.kind, op, tensors)]

    def _by_rule(
        self,
        layer: Layer,
        arguments: Sequence[Any],
        keywords: Mapping[str, Any],
        tensors: Sequence[Tensor],
    ) -> Sequence[Tensor]:
        """Writes a call by the rule of the layer's class.

        Raises:
          NoRuleError: if there is none, or it does not know the arguments.
        """
        if layer.kind in STATED and not layer.is_operation:
            return self._as_stated(layer, STATED[layer.kind], tensors)
        if layer.is_custom:
            if not self._knows_masks and _may_mask(layer.thing):
                raise MasksError(f"the layer {layer.name!r} may mask time steps")
            raise NoRuleError("the class is custom")
        config = layer.configured()
        makes_masks = layer.kind == "Masking" or config.get("mask_zero")
        if makes_masks and not self._knows_masks:
            raise MasksError(
                f"the layer {layer.name!r} masks time steps, and only of Keras "
                f"{'.'.join(map(str, KERAS_OF_MASKS))} and later is it known which "
                "layers read masks"
            )
        rules = _rules_for(layer)
        if layer.kind not in rules:
            raise NoRuleError("there is no rule for it")
        if _is_quantized(config):
            raise NoRuleError("its weights are quantized")
        writer = self._model.writer
        try:
            if layer.is_operation:
                stated = {key: part for key, part in config.items() if key != "name"}
                found = rules[layer.kind](writer, *arguments, **{**stated, **keywords})
                masked = [t for t in tensors if writer.masks.peek(t) is not None]
                if masked and (layer.kind in SAME or found in masked):
                    raise MasksError(
                        f"{layer.name!r} may return the tensor itself, with its mask"
                    )
            elif layer.kind in FUNCTIONS:
                found = rules[layer.kind](writer, config, arguments, keywords)
            else:
                found = self._by_layer_rule(layer.kind, config, arguments, keywords)
                writer.masks.called(tensors, found[0])
        except MasksError:
            raise
        except ReceptiveFieldError as error:
            raise NoRuleError(str(error)) from error
        except UNFIT as error:
            raise NoRuleError(
                f"its config has an unknown form ({quoted(repr(error))})"
            ) from error
        return found if isinstance(found, list) else [found]

    def _by_layer_rule(
        self,
        kind: str,
        config: Mapping[str, Any],
        arguments: Sequence[Any],
        keywords: Mapping[str, Any],
    ) -> list[Tensor]:
        given = {k: v for k, v in keywords.items() if k != "training"}
        unmasked = {k: v for k, v in given.items() if k != "mask"}
        parts = [p for p in leaves([*arguments, unmasked]) if p is not None]
        plain = all(isinstance(part, tuple) for part in parts)
        if kind not in WITH_ARGUMENTS:
            if not plain:
                raise NoRuleError("it is called with constants")
            if given.get("mask") is not None and kind not in MASKS:
                raise NoRuleError("it is called with a mask")
        writer, tensors = self._model.writer, _tensors(parts)
        for tensor in tensors[:1]:
            check_rank(kind, writer.rank(tensor))
        in_training = self._is_in_training(keywords)
        if in_training and kind.startswith("Random"):
            raise MasksError(f"a layer ({kind}) is called in training mode")
        call = LayerCall(
            writer, config, tensors, arguments, given, self._inside, in_training
        )
        masks = MASKS[kind](call) if kind in MASKS else None
        found = LAYERS[kind](call)
        outputs = found if isinstance(found, list) else [found]
        for output, mask in zip(outputs, leaves(masks), strict=False):
            writer.masks.put(output, mask)
        return outputs


def _rules_for(layer: Layer) -> Mapping[str, Any]:
    """Returns the table that has the rule of a layer's class, if there is one."""
    if layer.is_operation:
        # Most models call no operations.
        from receptive_field.frameworks.keras.operations.table import OPERATIONS

        return OPERATIONS
    return FUNCTIONS if layer.kind in FUNCTIONS else LAYERS


def _tensors(thing: Any) -> list[Tensor]:
    return [part for part in leaves(thing) if isinstance(part, tuple)]


def _read(call: Call, found: Mapping[Hashable, Sequence[Tensor]]) -> list[Tensor]:
    """Returns the tensors that a call reads, in the order of its arguments."""
    parts = leaves([*call.arguments, dict(call.keywords)])
    return [tensor_of(found, p) for p in parts if isinstance(p, Read)]


def _may_mask(thing: Any) -> bool:
    """Returns whether the class of a layer says how a mask is computed."""
    bases = [base for base in type(thing).__mro__ if "compute_mask" in vars(base)]
    return bool(bases) and bases[0].__module__.partition(".")[0] not in KERAS


def _is_quantized(config: Mapping[str, Any]) -> bool:
    """Returns whether the weights of a layer are not plain numbers."""
    policy = config.get("dtype")
    return isinstance(policy, Mapping) and policy.get("class_name") != "DTypePolicy"
