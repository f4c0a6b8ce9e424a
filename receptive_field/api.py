"""The public functions: find the graph, analyse it, hand over the result."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from receptive_field.analysis import (
    Scope,
    backward,
    find_misalignment,
    find_scope,
    forward,
    upstream,
)
from receptive_field.axis_map import INFINITY, AxisMap, constant
from receptive_field.errors import (
    GraphError,
    MisalignedError,
    NodeNotFoundError,
    ReceptiveFieldError,
)
from receptive_field.graph.axes import SAME, Axis, Relation, ranked, source
from receptive_field.graph.graph import Graph, Tensor
from receptive_field.graph.sizes import Size, unknown
from receptive_field.inference import RESOURCE, Inference
from receptive_field.ops import Call, rule_of
from receptive_field.ops.custom import Rule
from receptive_field.ops.moments import batch_moments
from receptive_field.overrides import apply_overrides
from receptive_field.result import ReceptiveField, SpatialAxis
from receptive_field.sources import load
from receptive_field.sources.model import Model

EXAMPLE_GRAPH = str(Path(__file__).parent / "data" / "inception_resnet_v2.pbtxt.gz")
"""The path of a graph to try things on: Inception-ResNet-v2, without weights."""

Resolution = Sequence[int | None] | Literal["unknown"] | None
StopPropagation = Sequence[str] | str | None
GlobalContext = Literal["include", "exclude"]
BatchNorm = Literal["inference", "graph"]


def compute_receptive_field(
    model: Any,
    *,
    output: Any = None,
    input: Any = None,
    input_resolution: Resolution = None,
    stop_propagation: StopPropagation = None,
    global_context: GlobalContext = "include",
    batch_norm: BatchNorm = "inference",
    overrides: Mapping[Any, Rule] | None = None,
    require_aligned: bool = False,
    signature: str | None = None,
) -> ReceptiveField:
    """The receptive field of one tensor of a model.

    Args:
      model: a path to a graph file, a GraphDef, a ``tf.Graph``, or a ``tf.Tensor``
        (which then is the output).
      output: the tensor whose features are asked about: its name, or the tensor.
        Found where only one candidate exists; if that has no spatial axes with more
        than one position (the scores of a classifier), the last feature map before it
        is taken, and ``ReceptiveField.output`` names it.
      input: the tensor that they see: likewise.
      input_resolution: the size of the input's spatial axes, ``[height, width]`` for
        images; None for an axis of any size. None alone takes what the graph says,
        "unknown" ignores that.
      stop_propagation: inputs whose name starts with one of these strings are not
        followed.
      global_context: whether paths over a whole axis (global pooling, attention) count:
        "include" or "exclude". `ReceptiveField.local` is the answer without them.
      batch_norm: whether a batch normalisation counts as at "inference", or as it is in
        the "graph": in training mode it depends on the whole batch.
      overrides: node, scope or layer -> how its outputs depend on its inputs, whatever
        the graph says; a rule as in `register_op`.
      require_aligned: whether a misaligned graph is an error.
      signature: which signature of a SavedModel is meant, if it has several.

    Returns:
      The receptive field. In a misaligned graph, regions are the hull of what the
      paths see, and ``aligned`` is False.

    Raises:
      ReceptiveFieldError: if the model cannot be read or analysed; the message says
        what is wrong, where, and what to do.

    >>> import receptive_field as rf
    >>> field = rf.compute_receptive_field(rf.EXAMPLE_GRAPH)
    >>> list(field)
    [3039, 3039, 32, 32, 1482, 1482]
    """
    options = Options(input_resolution, stop_propagation, batch_norm, overrides)
    exclude = _excludes(global_context)
    question, field = ask(load(model, signature), output, input, options)
    if require_aligned:
        question.check_aligned(field)
    return _only_local(field) if exclude else field


def _excludes(global_context: str) -> bool:
    if global_context not in ("include", "exclude"):
        raise ReceptiveFieldError(
            f"global_context is {global_context!r}; it is 'include' or 'exclude'."
        )
    return global_context == "exclude"


def _only_local(field: ReceptiveField) -> ReceptiveField:
    """The field without the paths over a whole axis.

    Raises:
      ReceptiveFieldError: if there are no others.
    """
    if field.local is None:
        raise ReceptiveFieldError(
            f"without global context {field.output!r} does not depend on "
            f"{field.input!r}: all paths see a whole axis, by "
            f"{', '.join(map(repr, field.global_nodes))}."
        )
    return replace(field.local, global_nodes=field.global_nodes)


class Options(NamedTuple):
    """How a question is meant; see `compute_receptive_field`."""

    input_resolution: Resolution = None
    stop_propagation: StopPropagation = None
    batch_norm: str = "inference"
    overrides: Mapping[Any, Rule] | None = None


def ask(
    model: Model, output: Any, input: Any, options: Options
) -> tuple[Question, ReceptiveField]:
    """The question about one output, by default the last that has positions, and its
    answer."""
    question = Question.ask(model, input, [output], options)
    field = question.answer()
    if output is None and not question.output_has_positions(field):
        question, field = question.at_last_feature_map() or (question, field)
    return question, field


def compute_receptive_fields(
    model: Any,
    *,
    outputs: Sequence[Any] | None = None,
    input: Any = None,
    input_resolution: Resolution = None,
    stop_propagation: StopPropagation = None,
    global_context: GlobalContext = "include",
    batch_norm: BatchNorm = "inference",
    overrides: Mapping[Any, Rule] | None = None,
    require_aligned: bool = False,
    signature: str | None = None,
) -> ReceptiveFields:
    """The receptive fields of all nodes that depend on the input, in one pass.

    Args:
      model, input, input_resolution, stop_propagation, global_context, batch_norm,
        overrides, require_aligned, signature: as in `compute_receptive_field`.
      outputs: the tensors that are asked for; all that depend on the input if None.

    Returns:
      A mapping from the names of the tensors to their receptive fields, in
      topological order. A node that cannot be analysed is in its ``errors`` instead,
      with all that depend on it; the others are not affected.

    Raises:
      ReceptiveFieldError: if the model cannot be read, or an output that is asked for
        cannot be analysed.

    >>> import receptive_field as rf
    >>> fields = rf.compute_receptive_fields(rf.EXAMPLE_GRAPH)
    >>> list(fields["InceptionResnetV2/MaxPool_3a_3x3/MaxPool"])
    [15, 15, 4, 4, 2, 2]
    """
    options = Options(input_resolution, stop_propagation, batch_norm, overrides)
    exclude = _excludes(global_context)
    question = Question.ask(load(model, signature), input, outputs, options)
    fields = question.answers(strict=outputs is not None)
    if require_aligned:
        for field in fields.values():
            question.check_aligned(field)
    return fields.without_global_context() if exclude else fields


def unsupported_ops(
    model: Any,
    *,
    output: Any = None,
    input: Any = None,
    stop_propagation: StopPropagation = None,
    overrides: Mapping[Any, Rule] | None = None,
    signature: str | None = None,
) -> dict[str, list[str]]:
    """The ops without a rule on the way from the input to the output.

    Args:
      model, input, stop_propagation, overrides, signature: as in
        `compute_receptive_field`.
      output: the tensor that is asked about; all that depend on the input if None.

    Returns:
      Op type -> the names of its nodes. Empty if all can be analysed.

    Raises:
      ReceptiveFieldError: if the model cannot be read, or the input not be found.

    >>> import receptive_field as rf
    >>> rf.unsupported_ops(rf.EXAMPLE_GRAPH)
    {}
    """
    options = Options(stop_propagation=stop_propagation, overrides=overrides)
    outputs = None if output is None else [output]
    question = Question.ask(load(model, signature), input, outputs, options)
    scope = question.scope
    found: dict[str, list[str]] = {}
    for node in (scope.graph.nodes[index] for index in scope.order):
        if rule_of(node) is None:
            found.setdefault(node.op, []).append(node.name)
    return found


@dataclass(frozen=True, slots=True)
class ReceptiveFields(Mapping[str, ReceptiveField]):
    """Receptive fields by tensor name, in topological order.

    Attributes:
      errors: name -> why this tensor could not be analysed. Asking for one of these
        raises that error.
    """

    _fields: Mapping[str, ReceptiveField]
    errors: Mapping[str, ReceptiveFieldError]

    def __getitem__(self, name: str) -> ReceptiveField:
        if name in self.errors:
            raise self.errors[name]
        return self._fields[name]

    def without_global_context(self) -> ReceptiveFields:
        """The same without paths over a whole axis; what has no others is an error."""
        fields, errors = {}, dict(self.errors)
        for name, field in self._fields.items():
            try:
                fields[name] = _only_local(field)
            except ReceptiveFieldError as error:
                errors[name] = error
        return ReceptiveFields(fields, errors)

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)


@dataclass(frozen=True, slots=True)
class Question:
    """An input, outputs, and all that is needed to relate them."""

    scope: Scope
    inference: Inference
    input: str
    outputs: Mapping[str, Tensor] | None
    """By name; None for everything that depends on the input."""
    rank: int
    spatial: tuple[int, ...]
    """The spatial axes of the input, height before width."""
    layers: Mapping[str, Tensor]

    @classmethod
    def ask(
        cls,
        model: Model,
        input_thing: Any,
        output_things: Sequence[Any] | None,
        options: Options,
    ) -> Question:
        """Finds what the caller named; without outputs, everything is asked about.

        An output that is None is found, where there is only one candidate.
        """
        resolution, stop_propagation, batch_norm, overrides = options
        if batch_norm not in ("inference", "graph"):
            raise ReceptiveFieldError(
                f"batch_norm is {batch_norm!r}; it is 'inference' or 'graph'."
            )
        as_in_graph = batch_norm == "graph"
        apply_overrides(model, overrides)
        graph = model.graph
        one = isinstance(stop_propagation, str)
        stop = [str(stop_propagation)] if one else list(stop_propagation or ())
        outputs: dict[str, Tensor] | None = None
        if output_things is not None:
            named = [thing for thing in output_things if thing is not None]
            outputs = dict(map(model.find, named))
            if len(named) < len(output_things):
                outputs |= _only_of_model(model.outputs, "output")
        elif model.layers:
            outputs = dict(model.layers)
        known = [tensor[0] for tensor in (outputs or {}).values()]
        if input_thing is not None:
            input_name, start = model.find(input_thing)
        elif model.inputs:
            ((input_name, start),) = _only_of_model(model.inputs, "input").items()
        else:
            start = _only_input(graph, known, stop)
            input_name = graph.name_of(start)
        if outputs is not None and not known:
            end = _only_output(graph, start, stop), 0
            outputs, known = {graph.name_of(end): end}, [end[0]]
        reached = range(len(graph)) if outputs is None else known
        inference = Inference(graph, trains_batch_norm=as_in_graph)
        moments = set() if as_in_graph else batch_moments(graph, inference)
        scope = find_scope(graph, start, reached, stop, moments)
        for name, (index, number) in (outputs or {}).items():
            count = inference.output_count(index) if number else None
            if count is not None and number >= count:
                raise NodeNotFoundError(
                    f"there is no output {name!r}: the node has {count} output(s)."
                )
        rank, spatial = _layout(scope, inference)
        shape = _input_shape(scope, inference, rank, spatial, resolution)
        if shape is not None:
            inference = Inference(graph, {start: shape}, scope.carries, as_in_graph)
        return cls(scope, inference, input_name, outputs, rank, spatial, model.layers)

    def answer(self) -> ReceptiveField:
        """The receptive field of the only output, by the backward pass."""
        ((name, output),) = (self.outputs or {}).items()
        start = self.scope.input
        state = backward(self.scope, self.inference, output)
        if start not in state:
            raise self._independent(name)
        field = self._field(name, output, state[start])
        if not field.is_global:
            return field
        found = forward(self.scope, self.inference, self.spatial, [output])
        names = upstream(self.scope, found.global_edges).get(output[0], ())
        return self._with_local(field, found.local(output), output, names)

    def output_has_positions(self, field: ReceptiveField) -> bool:
        """Whether the only output has spatial axes with more than one position."""
        ((_, output),) = (self.outputs or {}).items()
        shape = self.inference.shape(output)
        if shape is None:
            return field.local is not None
        sizes = list(shape)
        del sizes[self._channel_axis(len(shape))]
        return any(size != 1 for size in sizes[1:])

    def at_last_feature_map(self) -> tuple[Question, ReceptiveField] | None:
        """The question about the last tensor below the output that still has positions,
        and its answer."""
        order = {tensor: name for name, tensor in self.layers.items()}
        tensors = list(order) or [(index, 0) for index in self.scope.order]
        found = forward(self.scope, self.inference, self.spatial, tensors)
        for tensor in reversed(tensors):
            local = found.local(tensor)
            if local is not None:
                name = order.get(tensor) or self.scope.graph.name_of(tensor)
                axes = self._field(name, tensor, local).axes
                if all(axis.output_axis is not None for axis in axes):
                    question = replace(self, outputs={name: tensor})
                    return question, question.answer()
        return None

    def answers(self, strict: bool) -> ReceptiveFields:
        """All receptive fields, by the forward pass.

        If it is ``strict``, an output that cannot be analysed is an error.
        """
        asked = list((self.outputs or {}).values())
        found = forward(self.scope, self.inference, self.spatial, asked)
        state, errors = found.state, found.errors
        names = upstream(self.scope, found.global_edges)
        name_of = self.scope.graph.name_of
        outputs = self.outputs
        if outputs is None:
            reached = (*state, *errors)
            outputs = {name_of(t): t for t in reached if t != self.scope.input}
        fields, failed = {}, {}
        for name, tensor in outputs.items():
            if tensor in errors:
                failed[name] = errors[tensor]
            elif tensor in state:
                try:
                    field = self._field(name, tensor, state[tensor])
                except ReceptiveFieldError as error:  # Its shape makes no sense.
                    failed[name] = error
                    continue
                if field.is_global:
                    nodes = names.get(tensor[0], ())
                    local = found.local(tensor)
                    field = self._with_local(field, local, tensor, nodes)
                fields[name] = field
            if strict and name not in fields:
                raise failed.get(name) or self._independent(name)
        return ReceptiveFields(fields, failed)

    def _with_local(
        self,
        field: ReceptiveField,
        relation: Relation | None,
        output: Tensor,
        global_nodes: tuple[str, ...],
    ) -> ReceptiveField:
        """A field that sees a whole axis, beside what its other paths see."""
        local = None
        if relation is not None:
            local = self._field(field.output, output, relation)
        return replace(field, global_nodes=global_nodes, local_paths=local)

    def check_aligned(self, field: ReceptiveField) -> None:
        """Raises the error of a field that is known to be misaligned.

        Raises:
          MisalignedError: names the tensor where paths meet, and how they differ.
        """
        if field.aligned is False:
            outputs = self.outputs or {}
            tensor = outputs.get(field.output) or self.scope.graph.tensor(field.output)
            raise self._misaligned(field.output, tensor)

    def _independent(self, output: str) -> GraphError:
        return GraphError(
            f"the output {output!r} does not depend on the input {self.input!r}. Check "
            "both names; does a stop_propagation cut the way?"
        )

    def _field(self, name: str, output: Tensor, relation: Relation) -> ReceptiveField:
        relation = ranked(relation, self.rank)
        axes = [self._axis(output, axis, relation.axes[axis]) for axis in self.spatial]
        shape = self.inference.shape(output)
        channels = None if shape is None else self._channel_axis(len(shape))
        bounds = {below for above, below in relation.parts if above != channels}
        axes = [
            replace(a, map=a.map.as_bound()) if a.input_axis in bounds else a
            for a in axes
        ]
        return ReceptiveField(self.input, name, tuple(axes[::-1]))

    def _axis(self, output: Tensor, input_axis: int, axis: Axis) -> SpatialAxis:
        output_axis, axis_map = source(axis)
        shape = self.inference.shape(output) if output_axis is not None else None
        input_shape = self.inference.shape(self.scope.input) or ()
        size = shape[output_axis] if shape and output_axis is not None else None
        if shape and output_axis == self._channel_axis(len(shape)):
            # A feature is one position with all its channels.
            axis_map = _over_all(axis_map, size)
            output_axis, size = None, None
        return SpatialAxis(
            axis_map,
            input_axis,
            output_axis,
            _number(input_shape[input_axis]) if input_shape else None,
            _number(size),
        )

    def _channel_axis(self, rank: int) -> int:
        channels_first = self.rank > 2 and self.spatial == tuple(range(2, self.rank))
        return 1 if channels_first else rank - 1

    def _misaligned(self, name: str, output: Tensor) -> MisalignedError:
        scope = self.scope
        start = "the graph is not aligned: "
        meeting = find_misalignment(
            scope, self.inference, output, self.spatial, self.rank
        )
        if meeting is None:
            return MisalignedError(
                f"{start}paths from {self.input!r} to {name!r} disagree about which "
                "axis they follow."
            )
        described = ", the other ".join(
            f"through {node!r} with {_described(axis_map)}"
            for node, axis_map in zip(meeting.paths, meeting.maps, strict=True)
        )
        return MisalignedError(
            f"{start}two paths from {meeting.tensor!r} to {name!r} differ: one "
            f"{described}. compute_receptive_field gives the hull of both."
        )


def _described(axis_map: AxisMap) -> str:
    stride = " and ".join(map(str, axis_map.rates)) or "none"
    window = None if axis_map.is_floating else axis_map.window(0)
    if window is None or INFINITY in map(abs, window):
        return f"stride {stride}"
    return f"stride {stride} and the first centre at {sum(window) / 2:g}"


def _over_all(axis_map: AxisMap, size: Size | None) -> AxisMap:
    positions = range(size) if isinstance(size, int) else ()
    windows = [w for w in map(axis_map.window, positions) if w is not None]
    if not windows:
        return constant(-INFINITY, INFINITY, exact=False)
    first, last = min(w[0] for w in windows), max(w[1] for w in windows)
    return constant(first, last, axis_map.exact)


def _number(size: Size | None) -> int | None:
    return size if isinstance(size, int) else None


def _only_of_model(named: Mapping[str, Tensor], what: str) -> dict[str, Tensor]:
    """The only input or output that a model states, if it states any."""
    if len(named) > 1:
        raise NodeNotFoundError(
            f"the model has {len(named)} {what}s: {', '.join(map(repr, named))}. Say "
            f"which with {what}=."
        )
    return dict(named)


def _only_input(graph: Graph, outputs: Sequence[int], stop: Sequence[str]) -> Tensor:
    """The placeholder that the outputs depend on, if there is one that can be meant."""
    inference = Inference(graph)
    found = []
    for node in graph:
        dtype = Call(node, inference).attribute("dtype")
        if node.op in ("Placeholder", "PlaceholderV2") and dtype != RESOURCE:
            shape = inference.shape((node.index, 0))
            if shape is None or len(shape) > 2:
                scope = find_scope(graph, (node.index, 0), outputs, stop)
                if scope.order or not outputs or node.index in outputs:
                    found.append(node)
    if len(found) != 1:
        names = ", ".join(repr(node.name) for node in found[:10])
        whose = " or ".join(repr(graph.nodes[index].name) for index in outputs)
        raise NodeNotFoundError(
            f"{len(found) or 'no'} placeholders could be the input"
            + (f" of {whose}" if whose else "")
            + (f" ({names}). Say which with input=." if found else ". Name it: input=.")
        )
    return found[0].index, 0


def _only_output(graph: Graph, start: Tensor, stop: Sequence[str]) -> int:
    """The last node that depends on the input, if there is only one."""
    scope = find_scope(graph, start, range(len(graph)), stop)
    read = {tensor[0] for index in scope.order for _, tensor in scope.edges(index)}
    ends = [index for index in scope.order if index not in read]
    known = [index for index in ends if rule_of(graph.nodes[index])]
    if len(known) != 1:
        names = ", ".join(repr(graph.nodes[index].name) for index in known[:10])
        raise NodeNotFoundError(
            f"{len(known)} nodes could be the output: they depend on "
            f"{graph.name_of(start)!r} and nothing reads them"
            + (f" ({names})" if known else "")
            + ". Say which with output=."
        )
    return known[0]


Places = dict[int, int]
"""For axes of a tensor, the axis of the input whose positions they hold."""


def _layout(scope: Scope, inference: Inference) -> tuple[int, tuple[int, ...]]:
    """The rank of the input and its spatial axes, height before width.

    Told by the first op that has a layout; without one, all axes but the first (the
    batch) and the last (the channels). What comes between the batch and the axes that
    it names, such as the time of a video, is spatial too. Of two axes, the last is.
    """
    shape = inference.shape(scope.input)
    rank = None if shape is None else len(shape)
    places: dict[Tensor, Places] = {scope.input: {a: a for a in range(rank or 0)}}
    for index in scope.order:
        node = scope.graph.nodes[index]
        op = rule_of(node)
        edges = [(n, t) for n, t in scope.edges(index) if t in places]
        if op is None or not edges:
            continue
        number, tensor = edges[0]
        call = Call(node, inference)
        if op.layout is not None and op.layout(call)[0] == number:
            axes = list(op.layout(call)[1])
            if rank is None:
                rank = len(op.shapes(call)[0] or ())
                return rank, tuple(axes)
            named = [places[tensor][axis] for axis in axes if axis in places[tensor]]
            if named and (len(named) == len(axes) or rank == len(named) + 2):
                outer = range(1, rank - 1 - len(named))
                if set(named) != set(range(len(outer) + 1, rank - 1)):
                    outer = range(0)
                return rank, (*outer, *named)
        try:
            relation = op.relations(call, 0)[number]
        except ReceptiveFieldError:
            continue  # The pass itself will say so, if it gets there.
        if relation is not None:
            places[(index, 0)] = _moved(places[tensor], relation)
    if rank is None:
        raise GraphError(
            f"the rank of the input {scope.graph.name_of(scope.input)!r} is not known, "
            "and no op says what it must be."
        )
    return rank, tuple(range(1, max(rank - 1, 2)))


def _moved(places: Places, relation: Relation) -> Places:
    """Where the input's axes are after an op."""
    moved = {}
    for below, axis in places.items():
        if relation is SAME:
            moved[below] = axis
        elif below < len(relation.axes):
            above, _ = source(relation.axes[below])
            if above is not None:
                moved[above] = axis
    return moved


def _input_shape(
    scope: Scope,
    inference: Inference,
    rank: int,
    spatial: tuple[int, ...],
    resolution: Resolution,
) -> tuple[Size, ...] | None:
    """The shape that the input is taken to have; None for what the graph says."""
    shape = inference.shape(scope.input)
    if resolution is None and shape is not None:
        return None
    name = scope.graph.name_of(scope.input)
    sizes = list(shape or (unknown(f"{name}[{axis}]") for axis in range(rank)))
    given = _sizes(resolution, len(spatial))
    for axis, size in zip(spatial, given, strict=True):
        sizes[axis] = unknown(f"{name}[{axis}] of any size") if size is None else size
    return tuple(sizes)


def _sizes(resolution: Resolution, count: int) -> list[int | None]:
    if resolution is None or isinstance(resolution, str):
        if resolution not in (None, "unknown"):
            raise ReceptiveFieldError(
                f"input_resolution is {resolution!r}; give a list of sizes such as "
                "[224, 224], 'unknown', or None for what the graph says."
            )
        return [None] * count
    try:
        sizes = [None if s is None else operator.index(s) for s in resolution]
    except TypeError:
        raise ReceptiveFieldError(
            "input_resolution must be a list of integers such as [224, 224]; it is "
            f"{resolution!r}."
        ) from None
    if len(sizes) != count or any(size is not None and size < 1 for size in sizes):
        raise ReceptiveFieldError(
            f"input_resolution must hold {count} sizes of at least 1, height before "
            f"width; it is {list(resolution)}."
        )
    return sizes
