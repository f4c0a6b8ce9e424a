"""Rules for recurrent ops.

An op that runs over a sequence sees every step up to its own. The state that an op
keeps from run to run is taken to be constant.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from receptive_field.algebra.axis_map import one_sided
from receptive_field.algebra.sizes import Size
from receptive_field.frameworks.tflite.ops.registry import register
from receptive_field.relations.relation import FULL, Relation, follow, whole
from receptive_field.rules.op import Call, Op, Relations, Shape


def _stated_last(call: Call, number: int) -> int | None:
    """Returns the number of channels that the file states for an output."""
    shapes = call.attribute("stated_shapes") or []
    shape = shapes[number] if number < len(shapes) else None
    return shape[-1] if shape else None


def _channels(call: Call, number: int, axis: int) -> Size:
    found = _stated_last(call, number)
    return call.unknown_size(axis, number) if found is None else found


def _with_rest(call: Call, data: Relation, read: Sequence[int]) -> Relations:
    """Returns relations in which some inputs are data, and all others are weights.

    ``read`` has the numbers that the data inputs have in the op's definition.
    """
    places = call.numbers("places") or []
    return [
        data
        if places[number : number + 1] in [[one] for one in read]
        else call.all_of(number, exact=False)
        for number in range(len(call))
    ]


# --- One step ------------------------------------------------------------------------


def _step(call: Call, output: int) -> Relations:
    made = frozenset({1})
    return _with_rest(call, Relation((follow(0), FULL), channels=made), [0])


def _step_shapes(call: Call) -> Sequence[Shape]:
    batch, _ = call.known_shape(0, 2)
    outputs = range(max(len(call.numbers("Tout") or ()), 1))
    return [(batch, _channels(call, number, 1)) for number in outputs]


register("LSTM RNN SVDF", Op(_step, _step_shapes))

# --- Sequences -----------------------------------------------------------------------


def _axes(call: Call) -> tuple[int, int]:
    """Returns the axes of the batch and of the steps."""
    return (1, 0) if call.flag("time_major") else (0, 1)


def _sequence(both: bool) -> Callable[[Call, int], Relations]:
    def relations(call: Call, output: int) -> Relations:
        batch, steps = _axes(call)
        call.known_shape(0, 3)
        axes = [FULL] * 3
        axes[batch] = follow(batch)
        if not both or not call.flag("merge_outputs"):
            seen = one_sided(first=0) if output else one_sided(last=0)
            axes[steps] = follow(steps, seen)
        else:
            axes[steps] = whole([steps])
        data = Relation(tuple(axes), channels=frozenset({2}))
        return _with_rest(call, data, AUXILIARY.get(call.node.op, [0]))

    return relations


AUXILIARY = {
    "BIDIRECTIONAL_SEQUENCE_LSTM": [0, 39],
    "BIDIRECTIONAL_SEQUENCE_RNN": [0, 9],
}
"""The numbers of the inputs that are sequences, if there are several."""


def _sequence_shapes(call: Call) -> Sequence[Shape]:
    shape = call.known_shape(0, 3)
    outputs = range(max(len(call.numbers("Tout") or ()), 1))
    return [(*shape[:2], _channels(call, number, 2)) for number in outputs]


register(
    "UNIDIRECTIONAL_SEQUENCE_LSTM UNIDIRECTIONAL_SEQUENCE_RNN",
    Op(
        _sequence(both=False),
        _sequence_shapes,
        layout=lambda call: (0, [_axes(call)[1]]),
    ),
)
register(
    "BIDIRECTIONAL_SEQUENCE_LSTM BIDIRECTIONAL_SEQUENCE_RNN",
    Op(
        _sequence(both=True),
        _sequence_shapes,
        layout=lambda call: (0, [_axes(call)[1]]),
    ),
)
