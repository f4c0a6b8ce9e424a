"""Rules for recurrent networks (RNN, GRU and LSTM) and for convolutions with a state.

At each step, a forward network sees the steps up to this one, and a reverse network the
steps from this one on. A feature of a bidirectional network holds both directions, and
sees all steps. The final states see all steps, too.
"""

from __future__ import annotations

from collections.abc import Sequence

from receptive_field.algebra.axis_map import (
    GLOBAL,
    IDENTITY,
    AxisMap,
    convolution,
    one_sided,
)
from receptive_field.algebra.sizes import Size, product
from receptive_field.frameworks.onnx.ops.registry import (
    is_given,
    register,
    with_sums,
)
from receptive_field.relations.relation import (
    ALL,
    FULL,
    Axis,
    Relation,
    follow,
    moved,
    whole,
)
from receptive_field.rules.flops import multiply_adds
from receptive_field.rules.op import Call, Flops, Op, Relations, Shape, Taps, Window
from receptive_field.rules.windows import Sliding


class Recurrent:
    """The rules of an op that goes through a sequence step by step.

    Args:
      gates: how many matrices of weights each direction has.
      states: how many states are passed from step to step.
      is_quantised: whether the sequence is quantised by the range of all of its values.
    """

    def __init__(self, gates: int, states: int = 1, is_quantised: bool = False) -> None:
        self.gates = gates
        self.states = states
        self.is_quantised = is_quantised

    def _is_by_batch(self, call: Call) -> bool:
        """Returns whether the batch comes before the steps."""
        return call.number("layout", 0) == 1

    def _directions(self, call: Call) -> int:
        return 2 if self._direction(call) == "bidirectional" else 1

    def _direction(self, call: Call) -> str:
        found = call.text("direction", "forward") or "forward"
        if found not in ("forward", "reverse", "bidirectional"):
            call.fail(
                f"has the direction {found!r}, which is not forward, reverse or "
                "bidirectional"
            )
        return found

    def _width(self, call: Call) -> Size:
        """Returns the size of a state."""
        stated = call.attribute("hidden_size")
        if stated is not None:
            return call.number("hidden_size")
        shape = call.shape(2)
        return call.unknown_size(3) if shape is None else shape[-1]

    def _ends_early(self, call: Call) -> bool:
        """Returns whether some sequence of the batch may be shorter than the others."""
        if not is_given(call, 4):
            return False
        steps = call.known_shape(0, 3)[self._is_by_batch(call)]
        lengths = call.integers(4)
        return lengths is None or any(length != steps for length in lengths)

    def _seen(self, call: Call) -> AxisMap:
        """Returns which steps of the sequence a step of the result sees."""
        match self._direction(call):
            case "forward":
                found = one_sided(last=0)
            case "reverse":
                found = one_sided(first=0)
            case _:
                found = GLOBAL
        return found.as_bound() if self._ends_early(call) else found

    def relations(self, call: Call, output: int) -> Relations:
        """Returns the relations of the sequence of states, or of a final state."""
        by_batch = self._is_by_batch(call)
        steps, batch = int(by_batch), int(not by_batch)
        if output:
            above = {"batch": 0 if by_batch else 1, "direction": 1 if by_batch else 0}
            final = GLOBAL.as_bound() if self._ends_early(call) else GLOBAL
            time = whole([], final)
        else:
            above = {"batch": 0 if by_batch else 2, "direction": 2 if by_batch else 1}
            time = _along(steps, self._seen(call))
        axes: list[Axis] = [FULL] * 3
        axes[steps], axes[batch] = time, follow(above["batch"])
        if self.is_quantised:
            axes[batch] = whole([above["batch"]])
            axes[steps] = whole([] if output else [steps])
        found: list[Relation | None] = [ALL] * len(call)
        found[0] = Relation(tuple(axes))
        state: list[Axis] = [FULL] * 3
        state[1 if by_batch else 0] = follow(above["direction"])
        state[0 if by_batch else 1] = follow(above["batch"])
        for number in range(5, 5 + self.states):
            if number < len(call):
                found[number] = Relation(tuple(state))
        return found

    def shapes(self, call: Call) -> Sequence[Shape]:
        """Returns the shapes of the sequence of states and of the final states."""
        shape, directions = call.known_shape(0, 3), self._directions(call)
        width = self._width(call)
        if self._is_by_batch(call):
            final: Shape = (shape[0], directions, width)
            return [(*shape[:2], directions, width), *[final] * self.states]
        final = (directions, shape[1], width)
        sequence = (shape[0], directions, shape[1], width)
        return [sequence, *[final] * self.states]

    def flops(self, call: Call) -> Flops:
        """Counts a multiply-add for each weight that each step applies."""
        *places, inputs = call.known_shape(0, 3)
        width = self._width(call)
        weights = self.gates * width * (inputs + width) * self._directions(call)
        return multiply_adds(product(places) * weights, False)

    def layout(self, call: Call) -> tuple[int, Sequence[int]]:
        """Returns the number of the data input, and the axis of the steps."""
        return 0, (int(self._is_by_batch(call)),)

    def op(self) -> Op:
        """Returns the rules."""
        return Op(self.relations, self.shapes, layout=self.layout, flops=self.flops)


def _along(axis: int, seen: AxisMap) -> Axis:
    return whole([axis], seen) if seen.is_everything else follow(axis, seen)


register("RNN", Recurrent(gates=1).op())
register("GRU", Recurrent(gates=3).op())
register("LSTM", Recurrent(gates=4, states=2).op())
register(
    "com.microsoft.DynamicQuantizeLSTM",
    Recurrent(gates=4, states=2, is_quantised=True).op(),
)


# --- Convolutions with a state -------------------------------------------------------


class Causal:
    """The rules of a convolution of each channel that sees no later steps.

    The steps lie on the last axis, or on the second axis if the channels come last. The
    state holds the steps before the first one. Other axes have SAME padding.
    """

    def _is_last(self, call: Call) -> bool:
        return bool(call.number("channels_last", 0))

    def axes(self, call: Call) -> tuple[int, ...]:
        """Returns the spatial axes; the steps lie on the last one."""
        rank = len(call.known_shape(0))
        if rank < 3:
            call.fail(f"requires an input of rank 3 or more, not {rank}")
        return (1,) if self._is_last(call) else tuple(range(2, rank))

    def windows(self, call: Call) -> tuple[Window, ...]:
        """Returns the window on each spatial axis."""
        axes, kernel = self.axes(call), call.known_shape(1)[2:]
        if len(kernel) != len(axes):
            call.fail(f"has a kernel of {len(kernel)} axes for {len(axes)} axes")
        if not all(isinstance(size, int) for size in kernel):
            call.fail("has a kernel of unknown size")
        *others, steps = [int(size) for size in kernel]  # type: ignore[arg-type]
        dilation = call.number("dilation", 1)
        before = dilation * (steps - 1)
        return (
            *(Window(size, 1, (size - 1) // 2, size - 1) for size in others),
            Window(steps, 1, before, before, dilation),
        )

    def relations(self, call: Call, output: int) -> Relations:
        """Returns the relations of the result, or of the state after the last step."""
        shape, axes, windows = call.known_shape(0), self.axes(call), self.windows(call)
        found: list[Relation | None] = [ALL] * len(call)
        last, before = windows[-1], windows[-1].padding or 0
        steps, channels = axes[-1], len(shape) - 1 if self._is_last(call) else 1
        kept = [follow(axis) for axis in range(len(shape))]
        if output:
            found = [None] * len(call)
            kept[steps] = follow(steps, moved(IDENTITY, shape[steps] - before))
            found[0] = Relation(tuple(kept))
            old = follow(steps, moved(IDENTITY, shape[steps]))
        else:
            data = Sliding(shape, axes, windows).relation()
            found[0], kept = data, list(data.axes)
            old = follow(steps, convolution(last.kernel, 1, 0, last.dilation))
        if is_given(call, 3):
            kept[steps], kept[channels] = old, FULL
            found[3] = Relation(tuple(kept))
        return found

    def shapes(self, call: Call) -> Sequence[Shape]:
        """Returns the shapes of the result and of the state."""
        shape = call.known_shape(0)
        state = list(shape)
        state[self.axes(call)[-1]] = self.windows(call)[-1].padding or 0
        return [shape, tuple(state)]

    def flops(self, call: Call) -> Flops:
        """Counts a multiply-add for each product, and the additions of a bias."""
        area = product(w.kernel for w in self.windows(call))
        found = multiply_adds(area * product(call.known_shape(0)), False)
        return with_sums(call, found, 2)

    def op(self) -> Op:
        """Returns the rules."""
        return Op(
            self.relations,
            self.shapes,
            layout=lambda call: (0, self.axes(call)),
            windows=self.windows,
            flops=self.flops,
            taps=Taps.WEIGHTS,
        )


register("CausalConvWithState com.microsoft.CausalConvWithState", Causal().op())
