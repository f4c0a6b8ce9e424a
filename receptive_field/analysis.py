"""The two passes over what lies between an input and an output.

Both combine the relations of single ops, one visit per node and edge. Backward (the
paper's algorithm) starts at one output and answers for every tensor below it;
forward, its dual, starts at the input and answers for every tensor above it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter
from types import MappingProxyType
from typing import Any, NamedTuple

from receptive_field.axis_map import AxisMap
from receptive_field.errors import GraphError, ReceptiveFieldError, UnsupportedOpsError
from receptive_field.graph.axes import (
    ALL,
    ALL_BOUND,
    SAME,
    Relation,
    followed_axes,
    full,
    has_holes,
    has_phases,
    permutes,
    ranked,
    repeats,
    source,
    with_bounds,
)
from receptive_field.graph.graph import (
    Graph,
    Node,
    Tensor,
    strongly_connected,
    topological_order,
)
from receptive_field.graph.joins import (
    Paths,
    gathered,
    mixes,
    settled,
    through,
    united,
    widened,
)
from receptive_field.inference import Inference
from receptive_field.outside import overstated_axes
from receptive_field.rules.op import (
    Call,
    Relations,
    Shape,
    Taps,
    no_dependency,
    rule_at,
    rule_of,
)

State = dict[Tensor, Relation]
"""For each tensor, how it depends on the input (forward), or how the output depends
on it (backward). Tensors without dependency are not in it."""


@dataclass(slots=True)
class Scope:
    """The nodes that carry something from the input to the outputs."""

    graph: Graph
    input: Tensor
    order: list[int]
    """In topological order, the input's own node left out."""
    carries: bytearray
    """For each node of the graph whether it is in `order`, or the input."""
    stop_propagation: tuple[str, ...] = ()
    needed: Sequence[int] = ()
    """All that the outputs are computed from, behind the input nothing, in order."""
    loops: dict[int, int] = field(default_factory=dict)
    """Where in `order` nodes that depend on each other start -> where they end."""
    cycle: set[int] = field(default_factory=set)
    """Nodes that depend on each other although they form no loop."""
    has_phases: bool = False
    """Whether the backward pass has met a map that is not the same for all positions,
    such as an upsampling. Paths that are aligned above it may not be below."""
    has_parts: bool = False
    """Whether it has met what holds at some positions only, such as a part of what is
    joined along an axis with positions. Windows end there, so that paths that are
    aligned above it may not be below, or the other way round."""
    looks_outside: bool = False
    """Whether it has met an op of which only the forward pass tells whether what it
    reads outside of its input is in sight: see `outside`."""
    _edges: dict[int, list[tuple[int, Tensor]]] = field(default_factory=dict)
    _places: dict[int, int] = field(default_factory=dict)
    _decided: bytearray | None = None

    def told(
        self, inference: Inference, shape: Shape, is_strict: bool | None = None
    ) -> Inference:
        """What is known of the graph if the input has this shape instead."""
        if self._decided is None:
            self._decided = self._found_decided()
        return inference.told(
            {self.input: shape}, self.carries, self._decided, is_strict
        )

    def _found_decided(self) -> bytearray:
        """For each node whether the input's shape may decide what is known of it.

        Other than in `carries`, it is handed on by what reads nothing but a shape.
        """
        start, inputs = self.input[0], self.graph.inputs
        decided = bytearray(b"\1") * len(self.graph)
        for index in self.needed:
            decided[index] = index == start
        grown = True
        while grown:  # Loops take more than one turn.
            grown = False
            for index in self.needed:
                if not decided[index]:
                    for read, _ in inputs[index]:
                        if decided[read]:
                            decided[index] = grown = True
                            break
        return decided

    def below(self, outputs: Iterable[Tensor]) -> Scope:
        """The same without the nodes that none of the outputs depends on."""
        if self.loops:
            return self
        needed = {index for index, _ in outputs}
        for index in reversed(self.order):
            if index in needed:
                needed.update(tensor[0] for _, tensor in self.edges(index))
        return replace(self, order=[i for i in self.order if i in needed])

    def settle(
        self,
        states: Sequence[dict[Tensor, Any]],
        visit: Callable[[int], None],
        backward: bool = False,
    ) -> None:
        """Visits all nodes in their order (or against it), loops until they settle.

        What still grows in the second round of a loop would grow with every further
        one; on that axis everything is needed, as a bound.
        """
        if not self.loops:
            for index in reversed(self.order) if backward else self.order:
                visit(index)
            return
        starts = {stop: start for start, stop in self.loops.items()}
        ends = starts if backward else self.loops
        step = -1 if backward else 1
        position = len(self.order) if backward else 0
        while position != (0 if backward else len(self.order)):
            end = ends.get(position, position + step)
            indices = self.order[min(position, end) : max(position, end)][::step]
            for index in indices:
                visit(index)
            if position in ends:
                while self._round(states, indices, visit):
                    pass
            position = end

    def _round(
        self,
        states: Sequence[dict[Tensor, Any]],
        indices: Sequence[int],
        visit: Callable[[int], None],
    ) -> bool:
        """Visits the nodes of a loop once more; whether that made a difference."""
        members = set(indices)
        old = [{t: r for t, r in s.items() if t[0] in members} for s in states]
        for index in indices:
            visit(index)
        grown = False
        for state, before in zip(states, old, strict=True):
            for tensor, relation in state.items():
                if tensor[0] not in members or relation == before.get(tensor):
                    continue
                if tensor in before:
                    relation = state[tensor] = widened(before[tensor], relation)
                grown |= relation != before.get(tensor)
        return grown

    def in_loop(self) -> set[int]:
        """The nodes that may be visited more than once."""
        slices = (self.order[start:stop] for start, stop in self.loops.items())
        return set(itertools.chain.from_iterable(slices))

    def edges(self, index: int) -> list[tuple[int, Tensor]]:
        """The inputs of a node, by number, that carry something of the input."""
        found = self._edges.get(index)
        if found is None:
            found = self._edges[index] = [
                (number, tensor)
                for number, tensor in enumerate(self.graph.inputs[index])
                if self.carries[tensor[0]] and self.has(tensor)
            ]
        return found

    def place(self, index: int) -> int:
        """Where a node is in the order of all that the outputs are computed from."""
        if not self._places:
            self._places.update((node, i) for i, node in enumerate(self.needed))
        return self._places.get(index, -1)

    def reaches(self, index: int) -> bool:
        """Whether anything of the input is known, so far, to reach a node."""
        carries = self.carries
        for tensor in self.graph.inputs[index]:
            if carries[tensor[0]] and self.has(tensor):
                return True
        return False

    def has(self, tensor: Tensor) -> bool:
        """Whether this output carries something, of a node that does."""
        index = tensor[0]
        if index == self.input[0] and tensor != self.input:
            return False
        prefixes = self.stop_propagation
        return not (prefixes and self.graph.nodes[index].name.startswith(prefixes))


def find_scope(
    graph: Graph,
    input_tensor: Tensor,
    outputs: Sequence[int],
    stop_propagation: Sequence[str] = (),
    constant: Callable[[Collection[int]], Collection[int]] | None = None,
) -> Scope:
    """What lies between the input and the outputs.

    Nodes that are ``constant``, of those that the outputs are computed from, carry
    nothing.
    """
    order, closing = topological_order(
        graph, outputs, [input_tensor[0]], stop_propagation
    )
    prefixes = tuple(stop_propagation)

    def carriers(fixed: Collection[int]) -> Scope:
        carries = bytearray(len(graph))
        scope = Scope(graph, input_tensor, [], carries, prefixes, order)
        carries[input_tensor[0]] = 1
        if closing:
            _collect_with_loops(scope, order, closing, fixed)
        else:
            _collect(scope, order, fixed)
        return scope

    scope = carriers(())
    fixed = constant(scope.order) if constant is not None else ()
    return carriers(fixed) if fixed else scope


def _collect(scope: Scope, order: Iterable[int], fixed: Collection[int]) -> None:
    start, carries, graph = scope.input[0], scope.carries, scope.graph
    inputs, nodes = graph.inputs, graph.nodes
    for index in order:
        for read, _ in inputs[index] if index != start else ():
            if carries[read]:  # Of most nodes, weights, this is true of no input.
                cut = index in fixed or cuts(nodes[index])
                if not cut and scope.edges(index):
                    carries[index] = 1
                    scope.order.append(index)
                break


def _collect_with_loops(
    scope: Scope,
    order: Sequence[int],
    closing: Sequence[tuple[int, int]],
    fixed: Collection[int],
) -> None:
    nodes = scope.graph.nodes
    for group in strongly_connected(scope.graph, order, closing):
        if scope.input[0] in group:
            continue
        if not any(scope.reaches(index) for index in group):
            continue
        active = [i for i in group if i not in fixed and not cuts(nodes[i])]
        if not any(scope.reaches(index) for index in active):
            continue
        for index in active:
            scope.carries[index] = 1
        if len(group) > 1 or group[0] in map(itemgetter(0), closing):
            scope.loops[len(scope.order)] = len(scope.order) + len(active)
            if not any(_is_loop(nodes[index]) for index in group):
                scope.cycle.update(active)
        scope.order += active


def cuts(node: Node) -> bool:
    """Whether the values of a node's inputs do not matter, by its rule."""
    op = rule_of(node)
    return op is not None and op.relations is no_dependency


def _clamps(node: Node) -> bool:
    op = rule_of(node)
    return op is not None and op.clamps


def _is_loop(node: Node) -> bool:
    """Whether a cycle through this node is a loop of TensorFlow's."""
    op = rule_of(node)
    return op is not None and op.starts_over


class _Sight(NamedTuple):
    """What rules see of a scope."""

    scope: Scope
    inference: Inference

    def carries(self, tensor: Tensor) -> bool:
        """Whether it depends on the input."""
        return bool(self.scope.carries[tensor[0]]) and self.scope.has(tensor)

    def is_alike(self, one: Tensor, two: Tensor) -> bool:
        """Whether two tensors see the same of the tensor where all their paths meet.

        False where that is not known.
        """
        if self.scope.loops or self.scope.cycle:
            return False
        try:
            self._choose_below(max(one[0], two[0], key=self.scope.place))
            meeting = self._met({one: SAME}, {two: SAME})
        except ReceptiveFieldError:
            return False  # The pass itself will say so.
        if meeting is None:
            return False
        tensor, *paths = meeting
        rank = len(self.inference.shape(tensor) or ())
        found = [None if p is None else ranked(p, rank) for p in map(settled, paths)]
        return None not in found and found[0] == found[1]

    def _met(self, *states: dict[Tensor, Paths]) -> tuple[Tensor, Paths, Paths] | None:
        """Where all paths down from two tensors come together, and the two ways."""
        one, two = states
        while one and two:
            tensor = max({*one, *two}, key=lambda t: self.scope.place(t[0]))
            if len(one) == len(two) == 1 and one.keys() == two.keys():
                return tensor, one[tensor], two[tensor]
            for state in states:
                paths = state.pop(tensor, None)
                if paths is not None:
                    self._descend(tensor, paths, state)
        return None

    def _descend(
        self, tensor: Tensor, paths: Paths, state: dict[Tensor, Paths]
    ) -> None:
        """Adds what a tensor sees of those that it is computed from."""
        node = self.scope.graph.nodes[tensor[0]]
        rules = relations(self.scope, self.inference, tensor)
        for number, below in self.scope.edges(tensor[0]):
            rule = rules[number]
            if rule is not None:
                rule = _spelled(rule, below, self.inference)
                found = _combined(node, paths, rule)
                if found is not None:
                    state[below] = _merged(node, state.get(below), found)

    def _choose_below(self, index: int) -> None:
        """Has the rules of choices further down worked out, the lowest first, so that
        none has to ask for many others at once."""
        scope = self.scope
        for below in scope.needed[: scope.place(index) + 1]:
            if scope.carries[below] and below not in self.inference.worked_out:
                op = rule_at(scope.graph, below)
                if op is not None and op.taps is Taps.CHOICE:
                    relations(scope, self.inference, (below, 0))


def relations(scope: Scope, inference: Inference, tensor: Tensor) -> Relations:
    """The relations of one tensor to the inputs of its node, by the node's rule."""
    node = scope.graph.nodes[tensor[0]]
    if tensor[0] in scope.cycle:
        raise GraphError(
            f"the graph has a cycle between input and output: {node.name!r} depends on "
            "itself, and not through a loop of TensorFlow's."
        )
    op = rule_of(node)
    if op is None:
        raise UnsupportedOpsError({node.op: [node.name]})
    found = Call(node, inference, _Sight(scope, inference)).relations(op, tensor[1])
    reads = scope.graph.inputs[tensor[0]]
    if scope.input in reads:
        shape = inference.shape(scope.input)
        rule = found[reads.index(scope.input)]
        if shape and rule is not None and len(rule.axes) not in (0, len(shape)):
            raise _rank_error(node)
    return found


def _spelled(rule: Relation, below: Tensor, inference: Inference) -> Relation:
    """What says "all of it" of any rank, said of each axis where the rank is known."""
    shape = inference.shape(below) if rule is ALL or rule is ALL_BOUND else None
    return rule if shape is None else full(len(shape), exact=rule is ALL)


def _combined(node: Node, upper: Paths, lower: Relation) -> Paths | None:
    if lower is SAME and isinstance(upper, Relation) and upper.piece is None:
        return upper
    try:
        return through(upper, lower)
    except IndexError:
        raise _rank_error(node) from None


def _merged(node: Node, one: Paths | None, two: Paths) -> Paths:
    if one is None:
        return two
    try:
        return united(one, two)
    except IndexError:
        raise _rank_error(node) from None


def _rank_error(node: Node) -> GraphError:
    return GraphError(
        f"{node.op} node {node.name!r} does not fit the rank of what it reads, or of "
        "what reads it."
    )


Arrival = Callable[[Tensor, Paths | None, Paths, Node], None]
"""Told of a path that reaches a tensor: the tensor, what was known of it before, the
relation of this path, and the node that the path came through."""


Edge = tuple[Tensor, int]
"""An output of a node, and the number of an input that it depends on."""


def backward(
    scope: Scope,
    inference: Inference,
    output: Tensor,
    wanted: Collection[Tensor],
    arrival: Arrival | None = None,
    overstated: Mapping[Edge, Collection[int]] = MappingProxyType({}),
) -> State:
    """How the output depends on tensors below it, down to the input.

    Args:
      scope: what is analysed.
      inference: shapes and values.
      output: where it starts.
      wanted: the tensors that are asked about.
      arrival: told of every path that reaches a tensor.
      overstated: axes on which rules are bounds, as the forward pass finds them.

    Raises:
      ReceptiveFieldError: if any op in the scope has no rule, or cannot be analysed.
    """
    nodes = scope.graph.nodes
    state: dict[Tensor, Paths] = {output: SAME}
    missing: set[int] = set()
    produced: dict[int, list[Tensor]] = {output[0]: [output]}
    looked_at: dict[int, Relation] = {}  # By identity: most layers share theirs.

    def visit(index: int) -> None:
        for tensor in produced.get(index, ()):
            whole = state[tensor]
            if not isinstance(whole, Relation):
                gathered_paths = gathered(whole)
                if gathered_paths is None:
                    continue
                whole = state[tensor] = gathered_paths
                scope.looks_outside |= _repeats(whole)
            try:
                rules = relations(scope, inference, tensor)
            except UnsupportedOpsError:
                missing.add(index)  # What lies below may have no rule either.
                rules = [ALL_BOUND] * len(nodes[index].inputs)
            for number, below in scope.edges(index):
                rule = rules[number]
                if rule is None:
                    continue
                if rule is not SAME:
                    if id(rule) not in looked_at:
                        looked_at[id(rule)] = rule
                        scope.has_phases |= has_phases(rule)
                        scope.has_parts |= has_holes(rule)
                        scope.looks_outside |= _clamps(nodes[index])
                        scope.looks_outside |= any(map(permutes, rule.axes))
                    rule = _spelled(rule, below, inference)
                    rule = with_bounds(rule, overstated.get((tensor, number), ()))
                found = _combined(nodes[index], whole, rule)
                if found is None:
                    continue
                scope.has_parts |= not isinstance(found, Relation)
                before = state.get(below)
                if arrival is not None:
                    arrival(below, before, found, nodes[index])
                if before is None:
                    produced.setdefault(below[0], []).append(below)
                    state[below] = found
                else:
                    state[below] = _merged(nodes[below[0]], before, found)

    scope.settle([state], visit, backward=True)
    if missing:
        found: dict[str, list[str]] = {}
        for node in (nodes[index] for index in sorted(missing)):
            found.setdefault(node.op, []).append(node.name)
        raise UnsupportedOpsError(found)
    closed: State = {}
    for tensor in wanted:
        paths = state.get(tensor)
        relation = None if paths is None else settled(paths)
        if relation is not None:
            closed[tensor] = relation
            scope.looks_outside |= relation is not paths and _repeats(relation)
    return closed


def _repeats(joined: Paths) -> bool:
    """Whether parts have been joined to a tensor that holds the same again."""
    return isinstance(joined, Relation) and any(map(repeats, joined.axes))


@dataclass(frozen=True, slots=True)
class Forward:
    """What the forward pass finds."""

    state: State
    errors: dict[Tensor, ReceptiveFieldError]
    """Why tensors could not be analysed."""
    global_edges: dict[Edge, None]
    """Where local paths come to depend on a whole axis of the input, in order."""
    local_state: State
    """The state without the paths over these edges, where that differs."""
    reached: set[Tensor]
    """The tensors where it differs."""
    overstated: dict[Edge, set[int]]
    """Where positions outside of what is read fall on the input, the axes of that:
    see `outside`."""

    def local(self, tensor: Tensor) -> Relation | None:
        """How a tensor depends on the input without the paths over global edges."""
        return (self.local_state if tensor in self.reached else self.state).get(tensor)


def forward(
    scope: Scope,
    inference: Inference,
    spatial: Sequence[int] = (),
    asked: Iterable[Tensor] = (),
) -> Forward:
    """How every tensor of the scope depends on the input.

    A node that cannot be analysed fails itself and all that depends on it, no more.

    Args:
      scope: what is analysed.
      inference: shapes and values.
      spatial: the axes of the input that count for global edges.
      asked: tensors that are wanted although nothing reads them; the first output of
        every node always is.
    """
    nodes = scope.graph.nodes
    found = Forward({scope.input: SAME}, {}, {}, {}, set(), {})
    state, errors = found.state, found.errors
    wanted = outputs_wanted(scope, asked)
    looping = scope.in_loop()

    def visit(index: int) -> None:
        for tensor in wanted.get(index, [(index, 0)]):
            try:
                depends(tensor, scope.edges(index))
            except ReceptiveFieldError as error:
                errors[tensor] = error

    def over(
        tensor: Tensor, rule: Relation, below: Tensor, relation: Relation
    ) -> tuple[Paths | None, set[int]]:
        """A tensor's way over one that its node reads, and where it is overstated."""
        node, tensors = nodes[tensor[0]], (tensor, below, scope.input)
        try:
            seeming = overstated_axes(
                rule, relation, _clamps(node), lambda: [*map(inference.shape, tensors)]
            )
        except IndexError:
            raise _rank_error(node) from None
        return _combined(node, with_bounds(rule, seeming), relation), seeming

    def depends(tensor: Tensor, edges: list[tuple[int, Tensor]]) -> None:
        node = nodes[tensor[0]]
        broken = next((t for _, t in edges if t in errors), None) if errors else None
        if broken is not None and rule_of(node) is None:
            raise errors[broken]
        rules = relations(scope, inference, tensor)
        again = tensor[0] in looping
        if len(edges) == 1 and not again:
            ((number, below),) = edges
            if rules[number] is SAME and below in state and below not in found.reached:
                state[tensor] = state[below]
                return
        whole: Paths | None = state.get(tensor) if again else None
        local: Paths | None = found.local_state.get(tensor) if again else None
        for number, below in edges:
            rule = rules[number]
            if rule is not None and below in errors:
                raise errors[below]
            if rule is None or below not in state:
                continue
            rule = _spelled(rule, below, inference)
            path, seeming = over(tensor, rule, below, state[below])
            if seeming:
                found.overstated[tensor, number] = seeming
            apart = below in found.reached
            local_below = found.local(below) if apart else state[below]
            local_path = None
            if local_below is not None:
                local_path = path
                if apart:
                    local_path, _ = over(tensor, rule, below, local_below)
                if rule is not SAME and _becomes_global(
                    local_below, local_path, spatial
                ):
                    found.global_edges[tensor, number] = None
                    local_path = None
            if local_path is not path and tensor not in found.reached:
                found.reached.add(tensor)
                local = whole
            if path is not None:
                whole = _merged(node, whole, path)
            if local_path is not None and tensor in found.reached:
                local = _merged(node, local, local_path)
        for paths, where in ((whole, state), (local, found.local_state)):
            closed = None if paths is None else settled(paths)
            if closed is not None:
                where[tensor] = closed

    scope.settle([state, found.local_state], visit)
    return found


def upstream(scope: Scope, edges: Iterable[Edge]) -> dict[int, tuple[str, ...]]:
    """For each node that depends on some of the edges, the names of their nodes."""
    nodes = scope.graph.nodes
    own: dict[int, tuple[str, ...]] = {
        tensor[0]: (nodes[tensor[0]].name,) for tensor, _ in edges
    }
    found: dict[int, tuple[str, ...]] = {}
    for index in scope.order if own else ():
        above = [found[t[0]] for _, t in scope.edges(index) if t[0] in found]
        lists = list(dict.fromkeys([*above, *filter(None, [own.get(index)])]))
        if len(lists) == 1:
            found[index] = lists[0]
        elif lists:
            found[index] = tuple(
                dict.fromkeys(name for names in lists for name in names)
            )
    return found


def _becomes_global(
    before: Relation, after: Paths | None, spatial: Sequence[int]
) -> bool:
    if after is None or after is before:
        return False
    return any(mixes(after, axis) and not mixes(before, axis) for axis in spatial)


def outputs_wanted(scope: Scope, asked: Iterable[Tensor]) -> dict[int, list[Tensor]]:
    """For each node of which more than the first output is wanted: all that are."""
    read: dict[int, set[int]] = {}
    tensors = set(asked)
    for index in scope.order:
        for _, tensor in scope.edges(index):
            if tensor[1]:
                tensors.add(tensor)
    for index, number in tensors:
        if number:
            read.setdefault(index, {0}).add(number)
    return {index: [(index, k) for k in sorted(ks)] for index, ks in read.items()}


@dataclass(frozen=True, slots=True)
class Meeting:
    """Where two paths from a tensor to the output disagree."""

    tensor: str
    paths: tuple[str, str]
    maps: tuple[AxisMap, AxisMap]


def find_misalignment(
    scope: Scope, inference: Inference, output: Tensor, axes: Sequence[int], rank: int
) -> Meeting | None:
    """The first tensor, from the output down, where two paths are misaligned.

    ``axes`` are the axes of the input (of this rank) that count.
    """
    from_input = forward(scope, inference).state
    came_through: dict[Tensor, str] = {}
    meetings: list[Meeting] = []

    def arrival(tensor: Tensor, before: Paths | None, path: Paths, node: Node) -> None:
        if before is not None and tensor in from_input and not meetings:
            counted = _positions(ranked(from_input[tensor], rank), axes)
            maps = _disagreement(settled(before), settled(path), counted)
            if maps is not None:
                names = (came_through[tensor], node.name)
                meetings.append(Meeting(scope.graph.name_of(tensor), names, maps))
        came_through[tensor] = node.name

    backward(scope, inference, output, (), arrival)
    return meetings[0] if meetings else None


def _positions(relation: Relation, axes: Sequence[int]) -> set[int]:
    """The axes of a tensor that hold positions of the input's axes."""
    return set[int]().union(*(followed_axes(relation.axes[axis]) for axis in axes))


def _disagreement(
    one: Relation | None, two: Relation | None, axes: set[int]
) -> tuple[AxisMap, AxisMap] | None:
    if one is None or two is None:
        return None
    rank = max(len(one.axes), len(two.axes), max(axes, default=-1) + 1)
    for axis in sorted(axes):
        (first, a), (second, b) = (
            source(ranked(relation, rank).axes[axis]) for relation in (one, two)
        )
        if first is None or second is None:
            continue
        if a.aligned is False or b.aligned is False:
            continue
        if first != second or (a | b).aligned is False:
            return a, b
    return None
