"""Shapes and constant values of tensors, which rules compute on demand.

Each result is computed when it is first asked for, and then kept. The computation uses
its own stack, so that deep graphs do not reach the recursion limit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from receptive_field.algebra.sizes import Size, Symbolic
from receptive_field.budget import ExhaustedError
from receptive_field.errors import ReceptiveFieldError
from receptive_field.graph.graph import Graph, Tensor
from receptive_field.rules.op import (
    Call,
    LikeInput,
    Op,
    Shape,
    Value,
    exact,
    rule_at,
)

T = TypeVar("T")


class Inference:
    """The shapes and constant values of a graph's tensors, as far as they are known.

    Args:
      graph: the graph.
      shapes: the given shapes, such as the shape of the input.
      ignore_recorded: for each node's index, whether to ignore the shapes that the
        graph records for it, because they belong to an input of a different shape.
      trains_batch_norm: see `Call.trains_batch_norm`.
      is_strict: see `Call.meet`.
    """

    def __init__(
        self,
        graph: Graph,
        shapes: Mapping[Tensor, Shape] | None = None,
        ignore_recorded: Sequence[int] | bytearray = (),
        trains_batch_norm: bool = False,
        is_strict: bool = False,
    ) -> None:
        self.graph = graph
        self.trains_batch_norm = trains_batch_norm
        self.is_strict = is_strict
        self.worked_out: dict[int, Any] = {}
        self.disagreements: set[str] = set()
        self.exceeded: dict[int, dict[Symbolic, int]] = {}
        self.given = dict(shapes or {})
        self._ignored = ignore_recorded
        self._untold = self
        self._decided: bytearray | None = None
        self._shapes: dict[int, Sequence[Shape]] = {}
        self._values: dict[int, Sequence[Value]] = {}
        self._integers: dict[Tensor, list[Size] | None] = {}

    def told(
        self,
        shapes: Mapping[Tensor, Shape],
        ignore_recorded: bytearray,
        decided: bytearray,
        is_strict: bool | None = None,
    ) -> Inference:
        """Returns an inference for the same graph that is given other shapes.

        ``decided`` marks all nodes that the given shapes may affect. Shapes and values
        of all other nodes are computed only once and shared.
        """
        strict = self.is_strict if is_strict is None else is_strict
        batch_norm = self.trains_batch_norm
        made = Inference(self.graph, shapes, ignore_recorded, batch_norm, strict)
        made._untold, made._decided = self._untold, decided
        return made

    def shape(self, tensor: Tensor) -> Shape:
        """Returns the shape of a tensor; None if its rank is unknown."""
        if tensor in self.given:
            return self.given[tensor]
        index, number = tensor
        shapes = self._shapes.get(index)
        if shapes is None:
            shapes = self._shapes_of(index)
        return shapes[number] if number < len(shapes) else None

    def output_count(self, index: int) -> int | None:
        """Returns the number of outputs of a node, or None if its op has no rule."""
        if rule_at(self.graph, index) is None:
            return None
        self.shape((index, 0))
        return len(self._shapes[index]) if index in self._shapes else None

    def value(self, tensor: Tensor) -> Value:
        """Returns the constant value of a tensor, or None if it is not known."""
        index, number = tensor
        values = self._values.get(index)
        if values is None:
            values = self._values_of(index)
        return values[number] if number < len(values) else None

    def integers(self, tensor: Tensor) -> list[Size] | None:
        """Returns the constant value of a tensor as a flat list, or None if unknown."""
        if tensor not in self._integers:
            index = tensor[0]
            if self._is_undecided(index):
                return self._untold.integers(tensor)
            op = rule_at(self.graph, index)
            numbers: Sequence[Any] | None
            if op is not None and op.numbers is not None:
                numbers = op.numbers(Call(self.graph.nodes[index], self))
            else:
                value = self.value(tensor)
                numbers = None if value is None else value.ravel().tolist()
            self._integers[tensor] = (
                None if numbers is None else [exact(n) for n in numbers]
            )
        return self._integers[tensor]

    def nodes_read(self, tensors: Iterable[Tensor]) -> set[int]:
        """Returns the nodes that any of these tensors is computed from.

        Branches are left out if a condition with a known value does not take them.
        """
        found = {index for index, _ in tensors}
        waiting = list(found)
        while waiting:
            index = waiting.pop()
            op = rule_at(self.graph, index)
            try:
                inputs = self._read(index, op)
            except ReceptiveFieldError:  # Of the nodes that decide what is read.
                inputs = self.graph.inputs[index]
            below = {read for read, _ in inputs} - found
            found |= below
            waiting += below
        return found

    def _read(self, index: int, op: Op | None) -> Sequence[Tensor]:
        """Returns the inputs that a node reads."""
        if op is None or op.reads is None:
            return self.graph.inputs[index]
        return op.reads(Call(self.graph.nodes[index], self))

    def _is_undecided(self, index: int) -> bool:
        """Returns whether the given shapes do not affect a node."""
        return self._decided is not None and not self._decided[index]

    def _shapes_of(self, index: int) -> Sequence[Shape]:
        if index not in self._shapes:
            if self._is_undecided(index):
                self._shapes[index] = self._untold._shapes_of(index)
            else:
                compute, inputs_of = self._compute_shapes, self._shape_inputs
                self._fill(self._shapes, index, compute, inputs_of)
        return self._shapes[index]

    def _values_of(self, index: int) -> Sequence[Value]:
        if index not in self._values:
            if self._is_undecided(index):
                self._values[index] = self._untold._values_of(index)
            else:
                compute, inputs_of = self._compute_values, self._value_inputs
                self._fill(self._values, index, compute, inputs_of)
        return self._values[index]

    def _fill(
        self,
        known: dict[int, Sequence[T]],
        index: int,
        compute: Callable[[int, Op | None], Sequence[T]],
        inputs_of: Callable[[int, Op | None], Sequence[int]],
    ) -> None:
        """Computes the entry of a node in ``known`` after the entries of its inputs."""
        stack = [index]
        opened: dict[int, Op | None] = {}
        while stack:
            current = stack[-1]
            if current not in known and current not in opened:
                op = rule_at(self.graph, current)
                waiting = inputs_of(current, op)
                opened[current] = op
                for below in waiting:
                    if below in opened:  # A node in a cycle has no known results.
                        known[below] = ()
                    else:
                        stack.append(below)
                if waiting:
                    continue
            if current not in known:
                try:
                    known[current] = compute(current, opened[current])
                except ExhaustedError as error:
                    node = self.graph.nodes[current]
                    raise error.at(f"{node.op} node {node.name!r}") from None
            stack.pop()

    def _shape_inputs(self, index: int, op: Op | None) -> list[int]:
        """Returns the nodes whose shapes must be known to compute those of a node."""
        inputs: Sequence[Tensor] = self.graph.inputs[index]
        if not inputs or op is None or op.shapes is None:
            return []
        if isinstance(op.shapes, LikeInput):
            inputs = inputs[op.shapes.number :][:1]
        elif op.shapes_by_first:
            inputs = inputs[:1]
        else:
            inputs = self._read(index, op)
        known, given = self._shapes, self.given
        return [
            t[0]
            for t in inputs
            if t[0] not in known and t not in given and not self._is_undecided(t[0])
        ]

    def _compute_shapes(self, index: int, op: Op | None) -> Sequence[Shape]:
        shapes: Sequence[Shape]
        if op is None or op.shapes is None:
            shapes = [None]
        elif isinstance(op.shapes, LikeInput) and self.graph.inputs[index]:
            shapes = [self.shape(self.graph.inputs[index][op.shapes.number])]
        else:
            call = Call(self.graph.nodes[index], self)
            shapes = op.shapes(call)
            for shape in shapes:
                if any(type(size) is int and size < 0 for size in shape or ()):
                    call.fail(f"would have an output of the shape {shape}")
                call.check_rank(len(shape or ()))
        if None in shapes:
            shapes = self._with_recorded(index, op, shapes)
        return shapes

    def _with_recorded(
        self, index: int, op: Op | None, shapes: Sequence[Shape]
    ) -> Sequence[Shape]:
        """Returns the shapes, with recorded shapes in place of unknown ones."""
        if self._ignored and self._ignored[index]:
            return shapes
        call = Call(self.graph.nodes[index], self)
        recorded = self.graph.framework.recorded_shapes(call)
        found = [call.named_shape(sizes, k) for k, sizes in enumerate(recorded)]
        if op is not None and op.may_be_handle:
            found = [shape or None for shape in found]
        return [
            found[k] if shape is None and k < len(found) else shape
            for k, shape in enumerate([*shapes, *[None] * (len(found) - len(shapes))])
        ]

    def _value_inputs(self, index: int, op: Op | None) -> list[int]:
        """Returns the nodes whose values must be known to compute those of a node.

        Nodes without inputs are left out. Their values are computed if a rule asks for
        them, and not if it only asks for integers.
        """
        if op is None or op.values is None or op.values_need_shapes:
            return []
        known, inputs_of = self._values, self.graph.inputs
        return [
            t[0]
            for t in self._read(index, op)
            if t[0] not in known and inputs_of[t[0]] and not self._is_undecided(t[0])
        ]

    def _compute_values(self, index: int, op: Op | None) -> Sequence[Value]:
        if op is None or op.values is None:
            return ()
        return op.values(Call(self.graph.nodes[index], self))
