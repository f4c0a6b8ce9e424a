"""Questions about the tensors that a caller names, and how they are answered."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from receptive_field.algebra.axis_map import INFINITY, AxisMap
from receptive_field.algebra.sizes import Size, shape_in_words, unknown
from receptive_field.budget import within_budget
from receptive_field.errors import (
    GraphError,
    IndependentError,
    MisalignedError,
    NodeNotFoundError,
    ReceptiveFieldError,
)
from receptive_field.graph.graph import Graph, Tensor
from receptive_field.graph.model import Model
from receptive_field.network.layout import (
    FeatureLayout,
    Resolution,
    feature_layout,
    input_shape,
    spatial_layout,
)
from receptive_field.network.network import (
    Edge,
    Network,
    find_network,
    nearest_below,
    upstream,
)
from receptive_field.network.overrides import with_overrides
from receptive_field.network.walk import reads
from receptive_field.passes.partings import find_misalignment
from receptive_field.passes.regions import Forward, backward, forward
from receptive_field.questions.candidates import (
    advice_on_input,
    check_is_no_sound_file,
    only_input,
    only_of_model,
    only_output,
)
from receptive_field.relations.relation import Relation, all_seen, ranked
from receptive_field.results.axes import SpatialAxis
from receptive_field.results.field import ReceptiveField, ReceptiveFields
from receptive_field.rules.inference import Inference
from receptive_field.rules.stated import Rule

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from receptive_field.results.effective import EffectiveReceptiveField
    from receptive_field.results.explanation import Explanation
    from receptive_field.results.layer_window import LayerWindows
    from receptive_field.results.padding import Unpadded
    from receptive_field.results.reasons import Reasons
    from receptive_field.results.support import Support
    from receptive_field.results.tiling import Tiling

NEAR_SIZES = 33
"""The search for a size that fits tries increments below this one by one."""

FAR_SIZES = (64, 128, 256, 512, 1024, 2048)
"""The increments that are tried if no increment below `NEAR_SIZES` fits."""

StopPropagation = Sequence[str] | str | None


class Options(NamedTuple):
    """The options of a question; see `compute_receptive_field`."""

    input_resolution: Resolution = None
    stop_propagation: StopPropagation = None
    batch_norm: str = "inference"
    overrides: Mapping[Any, Rule] | None = None


@within_budget
def ask(
    model: Model, output: Any, input: Any, options: Options, later: Later | None = None
) -> tuple[Question, ReceptiveField]:
    """Returns the question about one output, and its answer.

    If ``output`` is None, the only output of the model is used or, if that output has
    no positions, the last tensor below it that has positions.
    """
    question = Question.ask(model, input, [output], options, later)
    try:
        field = question.answer()
    except GraphError as error:
        fitting = question.next_size()
        if fitting is None:
            raise
        raise GraphError(
            f"{error} The next size at which the network can run is {fitting}."
        ) from None
    if output is None and not question.output_has_positions(field):
        question, field = question.at_last_feature_map() or (question, field)
    return question, field


class Later(Protocol):
    """Answers the questions that a user asks about a field after it was returned.

    The function that returns a field passes this object in, because the answers come
    from modules that import this one.
    """

    def support(
        self, asked: Asked, of: ReceptiveField, features: NDArray[Any] | None
    ) -> Support:
        """See `ReceptiveField.support`."""

    def effective(
        self, asked: Asked, of: ReceptiveField, feature: Sequence[int] | None
    ) -> EffectiveReceptiveField:
        """See `ReceptiveField.effective_receptive_field`."""

    def explain(self, asked: Asked, of: ReceptiveField) -> Explanation[ReceptiveField]:
        """See `ReceptiveField.explain`."""

    def windows(self, asked: Asked, of: ReceptiveField) -> LayerWindows:
        """See `ReceptiveField.layer_windows`."""

    def unproductive(self, asked: Asked) -> frozenset[str]:
        """See `Origin.unproductive`."""

    def without_padding(self, asked: Asked, of: ReceptiveField) -> Unpadded:
        """See `ReceptiveField.features_without_padding`."""

    def tiling(self, asked: Asked, of: ReceptiveField, tile: Sequence[int]) -> Tiling:
        """See `ReceptiveField.tiling`."""

    def at_every_size(self, asked: Asked, of: ReceptiveField) -> ReceptiveField | None:
        """See `Origin` in `receptive_field.results.field`."""

    def reasons(self, asked: Asked, of: ReceptiveField) -> Reasons:
        """See `ReceptiveField.reasons`."""


@dataclass(frozen=True, slots=True)
class Question:
    """An input, outputs, and everything needed to relate them."""

    network: Network
    input: str
    outputs: Mapping[str, Tensor] | None
    """The outputs by name; None for all tensors that depend on the input, without those
    that only train the network."""
    rank: int
    spatial: tuple[int, ...]
    """The spatial axes of the input, height before width."""
    layers: Mapping[str, Tensor]
    kinds: Mapping[str, str]
    """The class of each layer, by its name, as far as the model states it."""
    later: Later | None = None
    """Answers later questions about the fields; None if no user gets these fields."""
    layer_inputs: Mapping[str, Sequence[Tensor]] = field(default_factory=dict)
    """For each layer, the tensors that are passed to it."""
    find: Callable[[Any], tuple[str, Tensor]] | None = None
    """See `Model.find`; None as for `later`."""
    built_for: tuple[int | None, ...] = ()
    """The size that the graph states for each spatial axis of the input, x first."""

    @classmethod
    def ask(
        cls,
        model: Model,
        input_thing: Any,
        output_things: Sequence[Any] | None,
        options: Options,
        later: Later | None = None,
    ) -> Question:
        """Returns a question about the tensors that the caller named.

        If ``output_things`` is None, the question is about all layers of the model or,
        if there are no layers, about all tensors but gradients. An item of
        ``output_things`` that is None means the model's only possible output. Likewise,
        if ``input_thing`` is None, the model's only possible input is used.

        Raises:
          ReceptiveFieldError: if a tensor cannot be found, if an output or input is
            None and there is not exactly one candidate, or if an option is invalid.
        """
        resolution, stop_propagation, batch_norm, overrides = options
        if batch_norm not in ("inference", "graph"):
            raise ReceptiveFieldError(
                f"batch_norm must be 'inference' or 'graph', not {batch_norm!r}."
            )
        if resolution is None and model.sizes_are_examples:
            resolution = "unknown"
        as_in_graph = batch_norm == "graph"
        model = with_overrides(model, overrides)
        graph = model.graph
        stop = _prefixes(stop_propagation)
        outputs: dict[str, Tensor] | None = None
        if output_things is not None:
            if not isinstance(output_things, Collection):
                raise ReceptiveFieldError(
                    "outputs must be a list of names or tensors, not "
                    f"{output_things!r}."
                )
            named = [thing for thing in output_things if thing is not None]
            outputs = dict(map(model.find, named))
            if len(named) < len(output_things):
                outputs |= only_of_model(model, "output")
        elif model.layers:
            outputs = dict(model.layers)
        ends = [tensor[0] for tensor in (outputs or {}).values()]
        if input_thing is not None:
            input_name, start = model.find(input_thing)
            check_is_no_sound_file(graph, start[0])
        elif model.inputs:
            only = only_of_model(model, "input")
            ((input_name, start),) = only.items()
        else:
            start = only_input(graph, ends, stop)
            input_name = graph.name_of(start)
        if outputs is not None and not ends:
            end = only_output(graph, start, stop), 0
            outputs, ends = {graph.name_of(end): end}, [end[0]]
        reached = _running(graph) if outputs is None else ends
        known = Inference(graph, trains_batch_norm=as_in_graph)
        of_batch = graph.framework.batch_moments
        moments = None if as_in_graph else partial(of_batch, graph, known)
        network = find_network(known, start, reached, stop, moments)
        for name, (index, number) in (outputs or {}).items():
            count = known.output_count(index) if number else None
            if count is not None and number >= count:
                raise NodeNotFoundError(
                    f"there is no output {name!r}: the node has "
                    f"{count} output{'s' * (count != 1)}."
                )
        every = range(len(graph))
        beyond = partial(find_network, known, start, every, stop)
        made_for = resolution if model.has_sizes(start, resolution) else None
        rank, spatial = spatial_layout(network, beyond, made_for)
        try:
            shape = input_shape(network, rank, spatial, resolution)
        except ReceptiveFieldError as error:
            advice = advice_on_input(model, start)
            if advice is None:
                raise
            raise ReceptiveFieldError(f"{error} {advice}") from None
        recorded = network.shape(start)
        stated = None if model.sizes_are_examples else recorded
        sizes = [None if stated is None else stated[axis] for axis in spatial]
        if shape is not None:
            network = network.told(shape)
        return cls(
            network,
            input_name,
            outputs,
            rank,
            spatial,
            model.layers,
            model.kinds,
            later,
            model.layer_inputs,
            model.find if later is not None else None,
            tuple(n if isinstance(n, int) else None for n in reversed(sizes)),
        )

    def sized(self) -> Network:
        """Returns the network, with a batch of one if the batch size is unknown."""
        start = self.network.input
        shape = self.network.shape(start)
        if shape is None or isinstance(shape[0], int) or 0 in self.spatial:
            return self.network
        return self.network.told((1, *shape[1:]))

    def of_one_image(self) -> Question | None:
        """Returns the same question about a batch of one.

        Returns None if the batch has size one already, if there is no batch, or if the
        shape of the input is unknown. In a batch of one image, all positions that are
        folded into the batch belong to that image.
        """
        start = self.network.input
        shape = self.network.shape(start)
        if not shape or shape[0] == 1 or 0 in self.spatial:
            return None
        return replace(self, network=self.network.told((1, *shape[1:])))

    def with_sizes(
        self, sizes: Mapping[int, Size], is_strict: bool | None = None
    ) -> Question:
        """Returns the same question about an input whose axes have these sizes."""
        shape = list(self.network.shape(self.network.input) or ())
        for axis, size in sizes.items():
            shape[axis] = size
        return replace(self, network=self.network.told(tuple(shape), is_strict))

    def answer(self, found: Forward | None = None) -> ReceptiveField:
        """Returns the receptive field of the only output.

        The backward pass finds the receptive field. The forward pass also runs if the
        backward pass leaves a doubt that only the forward pass can settle.

        Args:
          found: the result of the forward pass, if it has already run.
        """
        ((name, output),) = (self.outputs or {}).items()
        start = self.network.input
        below = backward(self.network, output, [start])
        if start not in below.state:
            raise self._independent(name)
        relation = below.state[start]
        field = self._field(name, output, relation)
        one = self.of_one_image() if 0 in _places(field) else None
        if one is not None:
            with suppress(ReceptiveFieldError):  # The graph may need its batch size.
                return one.answer()
        in_doubt = below.has_phases or below.has_parts or field.aligned is None
        exact = any(axis.map.exact for axis in field.axes)
        overstates = below.looks_outside and exact
        is_loose = any(map(_is_loose, field.axes))
        if not (field.is_global or in_doubt or overstates or is_loose):
            return field
        found = found or forward(self.network, self.spatial, [output])
        if found.overstated:
            below = backward(self.network, output, [start], found.overstated)
            relation = below.state[start]
            field = self._field(name, output, relation)
        if field.is_global:
            names = upstream(self.network, found.global_edges).get(output[0], ())
            field = self._with_local(name, output, relation, found, names)
        if (in_doubt or is_loose) and output in found.state:
            layout = self.layout(output, relation, found.local(output))
            other = self._field(name, output, found.state[output], layout)
            field = _aligned_as(_sharpened(field, other), other)
        return field

    def next_size(self) -> list[int] | None:
        """Returns the next larger input size, ``[height, width]``, at which shapes fit.

        Returns None if shapes fit at the current size of the input, if this size is
        unknown, or if the search finds no size at which they fit.
        """
        shape = self.network.shape(self.network.input) or ()
        sizes = [shape[axis] for axis in self.spatial] if shape else []
        known = [size for size in sizes if isinstance(size, int)]

        def fits(more: int) -> bool:
            return self._fits([size + more for size in known])

        if not known or len(known) < len(sizes) or fits(0):
            return None
        # Maps that meet may fit at some sizes only, so try all nearby sizes. Above some
        # size, no map vanishes any more, so find that size by bisection.
        near = next((more for more in range(1, NEAR_SIZES) if fits(more)), None)
        if near is None:
            apart = [self._nearest(place, size) for place, size in enumerate(known)]
            found = [size for size in apart if size is not None]
            if len(found) == len(known) and self._fits(found):
                return found
            far = next((more for more in FAR_SIZES if fits(more)), None)
            if far is None:
                return None
            candidates = range(far // 2, far + 1)
            near = candidates[bisect_left(candidates, True, key=fits)]
        return [size + near for size in known]

    def _nearest(self, place: int, size: int) -> int | None:
        """Returns the next size of one axis that fits, whatever the others have."""
        sizes: list[Size] = [unknown(f"size of axis {axis}") for axis in self.spatial]
        for larger in range(size, size + NEAR_SIZES):
            sizes[place] = larger
            if self._fits(sizes):
                return larger
        return None

    def _fits(self, sizes: Sequence[Size]) -> bool:
        """Returns whether shapes fit if the input has these sizes, height first."""
        ((_, output),) = (self.outputs or {}).items()
        told = self.with_sizes(dict(zip(self.spatial, sizes, strict=True)))
        try:
            return told.network.shape(output) is not None
        except ReceptiveFieldError:
            return False

    def output_has_positions(self, field: ReceptiveField) -> bool:
        """Returns whether the only output has an axis with more than one position.

        Axes that mix positions with channels, as in a flattened map, are ignored.
        """
        origin = field.origin
        mixed = origin.layout.channels if isinstance(origin, Asked) else ()
        return any(
            axis.output_axis is not None
            and axis.output_axis not in mixed
            and axis.size != 1
            for axis in field.feature_axes
        )

    def at_last_feature_map(
        self, folded: bool = True
    ) -> tuple[Question, ReceptiveField] | None:
        """Returns the question about the last tensor with positions, and its answer.

        The tensor is the output of a layer or, if the model has no layers, any tensor.
        If ``folded`` is False, it must have an axis for each spatial axis of the input.
        Returns None if there is no such tensor.
        """
        order = {tensor: name for name, tensor in self.layers.items()}
        tensors = list(order) or [(index, 0) for index in self.network.order]
        found = forward(self.network, self.spatial, tensors)
        for tensor in reversed(tensors):
            local = found.local(tensor)
            if local is not None:
                name = order.get(tensor) or self.network.graph.name_of(tensor)
                layout = self.layout(tensor, local, None)
                found_field = self._field(name, tensor, local, layout)
                axes = found_field.axes
                held = [axis.output_axes for axis in axes if not axis.map.is_global]
                mixed = layout.channels.intersection(*map(set, held))
                fits = folded or not found_field.is_folded
                if len(held) == len(axes) and all(held) and not mixed and fits:
                    question = replace(self, outputs={name: tensor})
                    return question, question.answer(found)
        return None

    def answers(self, strict: bool) -> ReceptiveFields:
        """Returns the receptive fields of all outputs, found by the forward pass.

        If ``strict``, raises an error for an output that cannot be analysed or does not
        depend on the input.
        """
        asked = list((self.outputs or {}).values())
        found = forward(self.network, self.spatial, asked)
        return self.fields(found, strict)

    def fields(self, found: Forward, strict: bool = False) -> ReceptiveFields:
        """Returns all outputs' receptive fields from the result of a forward pass."""
        state, errors = found.state, found.errors
        names = upstream(self.network, found.global_edges)
        name_of = self.network.graph.name_of
        outputs = self.outputs
        if outputs is None:
            reached = (*state, *errors)
            runs, start = {*_running(self.network.graph)}, self.network.input
            outputs = {name_of(t): t for t in reached if t[0] in runs and t != start}
        fields, failed = {}, {}
        folded: dict[str, Tensor] = {}
        for name, tensor in outputs.items():
            if tensor in errors:
                failed[name] = errors[tensor]
            elif tensor in state:
                try:
                    field = self._field(name, tensor, state[tensor])
                except ReceptiveFieldError as error:  # The output's rank is wrong.
                    failed[name] = error
                    continue
                if field.is_global:
                    nodes = names.get(tensor[0], ())
                    field = self._with_local(name, tensor, state[tensor], found, nodes)
                fields[name] = field
                if 0 in _places(field):
                    folded[name] = tensor
            if strict and name not in fields:
                raise failed.get(name) or self._independent(name)
        one = self.of_one_image() if folded else None
        if one is not None:
            fields |= replace(one, outputs=folded).answers(strict=False)
        return ReceptiveFields(fields, failed)

    def _with_local(
        self,
        name: str,
        output: Tensor,
        relation: Relation,
        found: Forward,
        global_nodes: tuple[str, ...],
    ) -> ReceptiveField:
        """Returns a global field with its global nodes and its local paths."""
        local, local_relation = None, found.local(output)
        layout = self.layout(output, relation, local_relation)
        if local_relation is not None:
            cut = frozenset(found.global_edges)
            local = self._field(name, output, local_relation, layout, cut)
        field = self._field(name, output, relation, layout)
        return replace(field, global_nodes=global_nodes, local_paths=local)

    def require_aligned(self, field: ReceptiveField) -> None:
        """Raises an error unless a field is known to be aligned.

        Raises:
          MisalignedError: if the field is known to be misaligned; see `check_aligned`.
          GraphError: if it is unknown whether the field is aligned.
        """
        self.check_aligned(field)
        if field.aligned is None:
            unknown = any(axis.input_size is None for axis in field.axes)
            raise GraphError(
                f"whether {field.output!r} is aligned "
                + (
                    f"depends on the size of {field.input!r}, which is unknown. Give "
                    "input_resolution, or use rf.resolutions to check all sizes."
                    if unknown
                    else "is unknown, because the positions that an op reads are "
                    "unknown."
                )
            )

    def check_aligned(self, field: ReceptiveField) -> None:
        """Raises an error if a field is known to be misaligned.

        Raises:
          MisalignedError: if the field is known to be misaligned. If possible, the
            message names the tensor from which two paths differ, and says how they
            differ.
        """
        if field.aligned is False:
            outputs = self.outputs or {}
            tensor = outputs.get(field.output) or self.network.graph.tensor(
                field.output
            )
            raise self._misaligned(field.output, tensor)

    def _independent(self, output: str) -> IndependentError:
        return IndependentError(
            f"the output {output!r} does not depend on the input {self.input!r}. Check "
            "both names, and check that stop_propagation does not cut all paths."
        )

    def layout(
        self, output: Tensor, relation: Relation, local: Relation | None
    ) -> FeatureLayout:
        """Returns where the features of an output lie.

        Args:
          output: the output.
          relation: the output's relation to the input through all paths.
          local: the relation through local paths alone; None if it is not needed, or if
            there are no local paths.

        Raises:
          GraphError: if the output has fewer axes than the relation needs.
        """
        found = feature_layout(
            ranked(relation, self.rank),
            None if local is None else ranked(local, self.rank),
            self.spatial,
            self.network.shape(output),
        )
        shape = found.shape
        if shape is not None and max(found.axes, default=-1) >= len(shape):
            raise GraphError(
                f"{self.network.graph.name_of(output)!r} has the shape "
                f"{shape_in_words(shape)}, but is computed from tensors that have more "
                "axes."
            )
        return found

    def _field(
        self,
        name: str,
        output: Tensor,
        relation: Relation,
        layout: FeatureLayout | None = None,
        cut: frozenset[Edge] = frozenset(),
    ) -> ReceptiveField:
        relation = ranked(relation, self.rank)
        layout = layout or self.layout(output, relation, None)
        bounds = {
            below
            for above, below in relation.parts
            if above == 0 or above in layout.axes
        }
        shape = self.network.shape(self.network.input)
        axes = []
        for axis in reversed(self.spatial):
            axis_map = layout.map(axis, relation.axes[axis])
            axes.append(
                SpatialAxis(
                    axis_map.as_bound() if axis in bounds else axis_map,
                    axis,
                    layout.followed[axis],
                    None if shape is None else _number(shape[axis]),
                    layout.places(axis),
                )
            )
        op = self.kinds.get(name) or self.network.graph.nodes[output[0]].op
        asked = Asked(self, output, op, layout, cut)
        return ReceptiveField(
            self.input, name, tuple(axes), layout.features, origin=asked
        )

    def _misaligned(self, name: str, output: Tensor) -> MisalignedError:
        network = self.network
        start = "the graph is not aligned: "
        meeting, has_phases = find_misalignment(
            network, output, self.spatial, self.rank
        )
        if meeting is None and has_phases:
            return MisalignedError(
                f"{start}two paths from {self.input!r} to {name!r} meet above an op "
                "that does not treat all positions alike, such as an upsampling op, "
                "and for some features they see different places."
            )
        shape = self.network.shape(network.input) or ()
        if meeting is None and any(_number(shape[a]) is None for a in self.spatial):
            return MisalignedError(
                f"{start}two paths from {self.input!r} to {name!r} depend on the size "
                "of the input, and differ at every size. Give input_resolution to find "
                "out where they meet."
            )
        advice = (
            "compute_receptive_field returns the hull of both paths. Call explain() on "
            "that result to see what would align the paths."
        )
        if meeting is None:
            return MisalignedError(
                f"{start}two paths from {self.input!r} to {name!r} differ. {advice}"
            )
        one, two = meeting.maps
        if (one | two).aligned is not False:
            through = " and ".join(map(repr, meeting.paths))
            return MisalignedError(
                f"{start}two paths from {meeting.tensor!r} to {name!r}, through "
                f"{through}, follow different axes. {advice}"
            )
        described = ", the other ".join(
            f"through {node!r} with {_described(axis_map)}"
            for node, axis_map in zip(meeting.paths, meeting.maps, strict=True)
        )
        return MisalignedError(
            f"{start}two paths from {meeting.tensor!r} to {name!r} differ: one "
            f"{described}. {advice}"
        )


@dataclass(frozen=True)
class Asked:
    """The origin of a receptive field: the question that the field answers."""

    question: Question
    output: Tensor
    op: str
    """See `Origin`."""
    layout: FeatureLayout
    cut: frozenset[Edge]
    """The global edges to leave out; empty unless only local paths are described."""
    kept: dict[str, tuple[bytes, Support]] = field(default_factory=dict)
    """The sets of all features, and of the features that were asked about last."""

    def support(
        self, of: ReceptiveField, features: NDArray[Any] | None = None
    ) -> Support:
        """Returns the support of all or some features; see `ReceptiveField.support`."""
        place = "all" if features is None else "last"
        told = b"" if features is None else features.dtype.char.encode()
        told += b"" if features is None else features.tobytes()
        kept = self.kept.get(place)
        if kept is None or kept[0] != told:
            kept = told, self._later.support(self, of, features)
            self.kept[place] = kept
        return kept[1]

    def effective(
        self, of: ReceptiveField, feature: Sequence[int] | None
    ) -> EffectiveReceptiveField:
        """See `ReceptiveField.effective_receptive_field`."""
        return self._later.effective(self, of, feature)

    def explain(self, of: ReceptiveField) -> Explanation[ReceptiveField]:
        """See `ReceptiveField.explain`."""
        return self._later.explain(self, of)

    def windows(self, of: ReceptiveField) -> LayerWindows:
        """See `Origin`."""
        return self._later.windows(self, of)

    def unproductive(self) -> frozenset[str]:
        """See `Origin`."""
        return self._later.unproductive(self)

    def without_padding(self, of: ReceptiveField) -> Unpadded:
        """See `ReceptiveField.features_without_padding`."""
        return self._later.without_padding(self, of)

    def tiling(self, of: ReceptiveField, tile: Sequence[int]) -> Tiling:
        """See `ReceptiveField.tiling`."""
        return self._later.tiling(self, of, tile)

    def at_every_size(self, of: ReceptiveField) -> ReceptiveField | None:
        """See `Origin`."""
        return self._later.at_every_size(self, of)

    def reasons(self, of: ReceptiveField) -> Reasons:
        """See `ReceptiveField.reasons`."""
        return self._later.reasons(self, of)

    def full_name(self, name: str) -> str:
        """See `Origin`."""
        find = self.question.find
        return name if find is None else find(name)[0]

    @property
    def _later(self) -> Later:
        later = self.question.later
        assert later is not None, "this field is not for users"
        return later

    @property
    def graph(self) -> Graph:
        """See `Origin`."""
        return self.question.network.graph

    @property
    def mirroring_nodes(self) -> tuple[str, ...]:
        """See `Origin`."""
        network = self.question.network
        edges = []
        for index in network.order:
            with suppress(ReceptiveFieldError):  # Only other outputs may need the node.
                edges += [
                    (read.tensor, read.number)
                    for read in reads(network, (index, 0))
                    if all_seen(read.rule) is not read.rule
                ]
        return upstream(network, edges).get(self.output[0], ())

    def links(self, among: Mapping[str, ReceptiveField]) -> list[tuple[str, str]]:
        """See `Origin`. The input is included as one of the tensors."""
        network = self.question.network
        named: dict[int, list[str]] = {}
        for name, one in among.items():
            if isinstance(one.origin, Asked):
                named.setdefault(one.origin.output[0], []).append(name)
        named[network.input[0]] = [self.question.input]
        return [
            (other, name)
            for index, below in nearest_below(network, named).items()
            for name in named[index]
            for other in sorted(n for node in below for n in named[node])
        ]


def _running(graph: Graph) -> list[int]:
    """Returns all nodes but those that compute gradients, or change weights."""
    return [node.index for node in graph if not graph.framework.is_of_training(node)]


def _places(field: ReceptiveField) -> list[int | None]:
    return [axis.output_axis for axis in field.feature_axes]


def _prefixes(stop_propagation: StopPropagation) -> list[str]:
    if isinstance(stop_propagation, str):
        return [stop_propagation]
    if stop_propagation is None:
        return []
    listed = isinstance(stop_propagation, Sequence)
    if not listed or not all(isinstance(p, str) for p in stop_propagation):
        raise ReceptiveFieldError(
            "stop_propagation must be a prefix of node names, as a string or a list "
            f"of strings; got {stop_propagation!r}."
        )
    return list(stop_propagation)


def _described(axis_map: AxisMap) -> str:
    stride = " and ".join(map(str, axis_map.rates)) or "none"
    window = None if axis_map.is_floating else axis_map.placed.window(0)
    if window is None or INFINITY in map(abs, window):
        return f"stride {stride}"
    return f"stride {stride} and the first centre at {sum(window) / 2:g}"


def _is_loose(axis: SpatialAxis) -> bool:
    """Returns whether the windows are upper bounds although all offsets are known."""
    unplaced = axis.map.is_floating or axis.map.is_unbounded
    return not (axis.map.exact or unplaced)


def _sharpened(field: ReceptiveField, other: ReceptiveField) -> ReceptiveField:
    """Returns the field, with maps taken from another field where they are better.

    The two passes compose maps in a different order. If a map of the first field is
    only an upper bound, and the other field's map is exact or smaller, the result has
    the other field's map.
    """

    def sharper(one: SpatialAxis, two: SpatialAxis) -> SpatialAxis:
        sizes = one.map.size(one.output_size), two.map.size(two.output_size)
        is_better = two.map.exact or sizes[1] < sizes[0]
        return two if _is_loose(one) and is_better else one

    return replace(field, axes=tuple(map(sharper, field.axes, other.axes)))


def _aligned_as(field: ReceptiveField, other: ReceptiveField) -> ReceptiveField:
    """Returns the field, with the alignment of another field of the same tensors."""
    axes = (
        replace(one, map=one.map.with_alignment(two.map.aligned))
        for one, two in zip(field.axes, other.axes, strict=True)
    )
    return replace(field, axes=tuple(axes))


def _number(size: Size | None) -> int | None:
    return size if isinstance(size, int) else None
