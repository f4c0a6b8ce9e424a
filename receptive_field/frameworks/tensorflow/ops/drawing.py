"""Rules for ops that draw random numbers.

The rules allow for every number that the op could draw. So an output element sees every
input element from which it could be computed.
"""

from __future__ import annotations

from collections.abc import Sequence

from receptive_field.frameworks.tensorflow.ops.registry import register
from receptive_field.relations.relation import Relation, follow, whole
from receptive_field.rules.op import Call, Op, Relations, Shape, first_shape


def stated_by_input(call: Call) -> Sequence[Shape]:
    """Returns the shape that the first input contains."""
    sizes = call.integers(0)
    return [None if sizes is None else tuple(sizes)]


register(
    "RandomUniform RandomStandardNormal TruncatedNormal",
    Op(None, stated_by_input, is_random=True),
)
register(
    "RngReadAndSkip StatefulStandardNormalV2 StatefulUniform StatefulTruncatedNormal "
    "StatelessRandomGetAlg",
    Op(None, lambda call: [None] * 3, is_random=True),
)


def _by_numbers(call: Call, output: int) -> Relations:
    """Returns relations of drawn numbers to the seeds and limits, but not the shape."""
    return [None, *(call.all_of(number) for number in range(1, len(call)))]


register(
    "RandomUniformInt StatelessRandomUniform StatelessRandomUniformV2 "
    "StatelessRandomNormal StatelessRandomNormalV2 StatelessTruncatedNormal "
    "StatelessTruncatedNormalV2 StatelessRandomUniformInt StatelessRandomUniformIntV2",
    Op(_by_numbers, stated_by_input, is_random=True),
)


def _by_moments(call: Call, output: int) -> Relations:
    """Returns relations to the parameters of the distribution.

    Each parameter is one number, or one number per batch element.
    """
    numbers = range(1, len(call))
    return [None, *(call.all_of(n, exact=call.shape(n) == ()) for n in numbers)]


register(
    "ParameterizedTruncatedNormal", Op(_by_moments, stated_by_input, is_random=True)
)
register(
    "StatelessRandomGetKeyCounter",
    Op(lambda call, output: [call.all_of(0)], lambda call: [None] * 2, is_random=True),
)


def _shuffled(call: Call, output: int) -> Relations:
    rank = len(call.known_shape(0))
    return [Relation((whole([0]), *map(follow, range(1, rank))))]


register("RandomShuffle", Op(_shuffled, first_shape, is_random=True))


def _sampled(call: Call, output: int) -> Relations:
    """Returns relations in which a sample needs the probabilities of its whole row."""
    others = (call.all_of(number) for number in range(1, len(call)))
    return [Relation((follow(0), whole([1]))), *others]


def _sampled_shape(call: Call) -> Sequence[Shape]:
    rows, _ = call.known_shape(0, 2)
    samples = call.integers(1)
    return [(rows, samples[0] if samples else call.unknown_size(1))]


register(
    "Multinomial StatelessMultinomial", Op(_sampled, _sampled_shape, is_random=True)
)


def _each_drawn(call: Call, output: int) -> Relations:
    """Returns relations for several draws per element of the parameter.

    The first axes of the output run over the draws. The other axes follow the axes of
    the parameter.
    """
    drawn, rank = call.integers(0), len(call.known_shape(1))
    if drawn is None:
        return [None, call.all_of(1, exact=False)]
    return [None, Relation(tuple(follow(len(drawn) + axis) for axis in range(rank)))]


def _each_drawn_shape(call: Call) -> Sequence[Shape]:
    drawn = call.integers(0)
    return [None if drawn is None else (*drawn, *call.known_shape(1))]


register(
    "RandomGamma RandomPoissonV2", Op(_each_drawn, _each_drawn_shape, is_random=True)
)
