"""The two passes over what lies between an input and an output.

Both combine the relations of single ops, one visit per node and edge. Backward (the
paper's algorithm) starts at one output and answers for every tensor below it;
forward, its dual, starts at the input and answers for every tensor above it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from receptive_field.errors import ReceptiveFieldError, UnsupportedOpsError
from receptive_field.graph.graph import (
    Node,
    Tensor,
)
from receptive_field.network.inference import Inference
from receptive_field.network.network import (
    Edge,
    Scope,
    _clamps,
    _combined,
    _merged,
    _rank_error,
    _spelled,
    relations,
)
from receptive_field.ops import rule_of
from receptive_field.passes.outside import overstated_axes
from receptive_field.relations.joins import (
    Paths,
    gathered,
    mixes,
    settled,
)
from receptive_field.relations.relation import (
    ALL_BOUND,
    SAME,
    Relation,
    has_holes,
    has_phases,
    permutes,
    repeats,
    with_bounds,
)

State = dict[Tensor, Relation]
"""For each tensor, how it depends on the input (forward), or how the output depends
on it (backward). Tensors without dependency are not in it."""


Arrival = Callable[[Tensor, Paths | None, Paths, Node], None]
"""Told of a path that reaches a tensor: the tensor, what was known of it before, the
relation of this path, and the node that the path came through."""


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
