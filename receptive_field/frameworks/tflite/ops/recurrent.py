"""Rules for recurrent ops.

An op that runs over a sequence sees every step up to its own. The state that an op
keeps from run to run is taken to be constant.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from receptive_field.algebra.axis_map import one_sided
from receptive_field.algebra.sizes import Size, divides
from receptive_field.frameworks.tflite.ops.registry import register
from receptive_field.relations.relation import FULL, Relation, follow, whole
from receptive_field.rules.op import Call, Op, Relations, Shape

RECURRENT = {
    "RNN": (2,),
    "UNIDIRECTIONAL_SEQUENCE_RNN": (2,),
    "BIDIRECTIONAL_SEQUENCE_RNN": (2, 6),
    "LSTM": (8,),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": (8,),
    "BIDIRECTIONAL_SEQUENCE_LSTM": (8, 25),
}
"""Op -> the numbers of its inputs that are matrices from one step to the next."""


def _channels(call: Call, number: int) -> Size:
    """Returns the number of channels of an output, which weights decide."""
    places, found = call.numbers("places") or [], list[Size]()
    for place in RECURRENT[call.node.op]:
        if place not in places:  # As in the form of LSTM with five inputs.
            return _stated_channels(call, number)
        found.append(call.known_shape(places.index(place), 2)[1])
    if call.flag("merge_outputs"):
        return sum(found, start=0)
    return found[number]


def _stated_channels(call: Call, number: int) -> Size:
    shapes = call.attribute("stated_shapes") or []
    shape = shapes[number] if number < len(shapes) else None
    size = shape[-1] if shape else None
    return call.unknown_size(-1, number) if size is None else int(size)


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
    return [(batch, _channels(call, number)) for number in outputs]


register("LSTM RNN", Op(_step, _step_shapes))


def _filtered_shape(call: Call) -> Sequence[Shape]:
    """Returns the shape of filters, a number of which add up to each channel."""
    batch, _ = call.known_shape(0, 2)
    filters, rank = call.known_shape(1, 2)[0], call.number("rank", 1)
    units = divides(rank, filters) if rank > 0 else None
    return [(batch, call.unknown_size(1) if units is None else units)]


register("SVDF", Op(_step, _filtered_shape))

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
    return [(*shape[:2], _channels(call, number)) for number in outputs]


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
