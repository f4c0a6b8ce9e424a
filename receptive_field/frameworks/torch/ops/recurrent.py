"""Rules for recurrent networks: RNN, GRU and LSTM, and their cells.

At each step, a forward network sees the steps up to this one. A feature of a
bidirectional network holds both directions, and sees all steps. The final states see
all steps, too. Several layers in one op see the same as one.
"""

from __future__ import annotations

from collections.abc import Sequence

from receptive_field.algebra.axis_map import GLOBAL, one_sided
from receptive_field.algebra.sizes import Size, product
from receptive_field.frameworks.torch.definitions import Read
from receptive_field.frameworks.torch.ops.operands import list_of, related, shape_of
from receptive_field.frameworks.torch.ops.registry import place, register
from receptive_field.relations.relation import (
    ALL,
    FULL,
    Axis,
    Relation,
    follow,
    whole,
)
from receptive_field.rules.attention import along_steps
from receptive_field.rules.flops import multiply_adds
from receptive_field.rules.op import Call, Flops, Op, Relations, Shape


class Recurrent:
    """The rules of an op that goes through sequences step by step.

    Args:
      states: how many states are passed from step to step.
    """

    def __init__(self, states: int = 1) -> None:
        self.states = states

    def _is_packed(self, call: Call) -> bool:
        """Returns whether sequences of different lengths are packed into one axis."""
        return place(call, "data") is not None

    def _axes(self, call: Call) -> tuple[int, int]:
        """Returns the axes of the steps and of the batch."""
        return (1, 0) if call.flag("batch_first") else (0, 1)

    def _directions(self, call: Call) -> int:
        return 2 if call.flag("bidirectional") else 1

    def _states(self, call: Call) -> list[int]:
        """Returns the numbers of the inputs that hold the first states."""
        number = place(call, "hx")
        return list_of(call, "hx") if number is None else [number]

    def relations(self, call: Call, output: int) -> Relations:
        """Returns the relations of the sequence of states, or of a final state."""
        found: list[Relation | None] = [ALL] * len(call)
        data = place(call, "data" if self._is_packed(call) else "input")
        assert data is not None
        if self._is_packed(call):
            axis = whole([] if output else [0], GLOBAL.as_bound())
            found[data] = Relation((axis, FULL))
            return found
        steps, batch = self._axes(call)
        axes: list[Axis] = [FULL] * 3
        if output:
            axes[steps], axes[batch] = whole([]), follow(1)
        else:
            seen = GLOBAL if call.flag("bidirectional") else one_sided(last=0)
            axes[steps], axes[batch] = along_steps(steps, seen), follow(batch)
        found[data] = Relation(tuple(axes))
        state = Relation((FULL, follow(1 if output else batch), FULL))
        for number in self._states(call):
            found[number] = state
        return found

    def shapes(self, call: Call) -> Sequence[Shape]:
        """Returns the shapes of the sequence of states and of the final states."""
        shape = shape_of(call, "data" if self._is_packed(call) else "input")
        if shape is None:
            return [None] * (1 + self.states)
        finals = [call.shape(number) for number in self._states(call)]
        if finals[0] is None:
            return [None, *finals]
        width = self._directions(call) * finals[0][-1]
        return [(*shape[:-1], width), *finals]

    def flops(self, call: Call) -> Flops:
        """Counts a multiply-add for each weight that each step applies."""
        shape = shape_of(call, "data" if self._is_packed(call) else "input")
        if shape is None:
            call.fail("has an input of unknown rank")
        matrices = [
            product(weight)
            for weight in map(call.shape, list_of(call, "params"))
            if weight is not None and len(weight) == 2
        ]
        weights: Size = 0
        for matrix in matrices:
            weights = weights + matrix
        return multiply_adds(product(shape[:-1]) * weights, False)

    def layout(self, call: Call) -> tuple[int, Sequence[int]]:
        """Returns the number of the data input, and the axis of the steps."""
        return 0, (0 if self._is_packed(call) else self._axes(call)[0],)

    def op(self) -> Op:
        """Returns the rules."""
        return Op(self.relations, self.shapes, layout=self.layout, flops=self.flops)


register("gru rnn_relu rnn_tanh", Recurrent().op())
register("lstm", Recurrent(states=2).op())


# --- Cells ---------------------------------------------------------------------------


def _cell(call: Call, output: int) -> Relations:
    """Relates the next state of each row to its input and to its state."""
    shape = shape_of(call, "input")
    if shape is None:
        return [call.all_of(number, exact=False) for number in range(len(call))]
    row = Relation((*map(follow, range(len(shape) - 1)), FULL))
    found = related(call, {"input": row})
    for number in _cell_states(call):
        found[number] = row
    return found


def _cell_states(call: Call) -> list[int]:
    states = call.attribute("hx")
    return [states.number] if isinstance(states, Read) else list_of(call, "hx")


def _cell_shapes(call: Call) -> Sequence[Shape]:
    return [call.shape(number) for number in _cell_states(call)]


def _cell_flops(call: Call) -> Flops:
    shape = call.known_shape(0)
    weights: Size = 0
    for name in ("w_ih", "w_hh"):
        weights = weights + product(shape_of(call, name) or ())
    return multiply_adds(product(shape[:-1]) * weights, False)


register(
    "gru_cell lstm_cell rnn_relu_cell rnn_tanh_cell",
    Op(_cell, _cell_shapes, flops=_cell_flops),
)
