"""Functions of ``keras.ops``: calls of each with random parameters, or a reason.

Each file of examples has a dict ``EXAMPLES``: the name of a function in ``keras.ops``
-> a function of `Random` that returns an `Example(shape, call, dtype)`, as in
`layer_catalogue`. The shape has no batch axis, and ``call`` makes tensors of a symbolic
tensor. ``REASONS`` says of a function why it has no rule: its positions depend on the
data, its outputs have no positions, or it runs a user's code. ``BOUNDS`` says of a
function why its result is an upper bound.
"""

from __future__ import annotations

from layer_catalogue import Example, Make, Random
from needed import needed

keras = needed("keras")
ops = keras.ops

EXAMPLES: dict[str, Make] = {
    "tanh": lambda random: Example(random.shape(2), ops.tanh),
}

REASONS: dict[str, str] = {}

BOUNDS: dict[str, str] = {}


def model_of(make: Make, seed: int) -> keras.Model:
    """A model whose only call is the one of an example, with parameters at random."""
    shape, call, dtype = make(Random(seed))
    x = keras.Input(shape, batch_size=1, dtype=dtype)
    return keras.Model(x, call(x))
