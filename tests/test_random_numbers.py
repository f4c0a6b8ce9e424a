"""What random numbers are drawn from: the same draw from disturbed inputs differs."""

from __future__ import annotations

import numpy as np
import pytest
from needed import needed

import receptive_field as rf

tf = needed("tensorflow")
v1 = tf.compat.v1
raw = tf.raw_ops

SIZE = 4


def key():
    return {"key": tf.ones([1], tf.uint64), "counter": tf.zeros([2], tf.uint64)}


def limits(row):
    low = tf.cast(row, tf.int32)[0, 0]
    return {"minval": low, "maxval": low + 1000}


def seed_of(x):
    return tf.stack([tf.cast(tf.reduce_sum(x), tf.int32), 1])


def drawn(x, seed):
    """Networks of a map of 4 x 4 positions; the seed is that of one draw."""
    row = x[0, :, :, 0]
    several = [2, SIZE]
    of_op = {"seed": seed, "seed2": 1}
    logits = tf.math.log(tf.abs(row) + 0.01)
    stateless = {"dtype": tf.float32, "shape": several}
    return {
        "RandomShuffle": lambda: raw.RandomShuffle(value=row, **of_op),
        "Multinomial": lambda: raw.Multinomial(
            logits=logits, num_samples=40, **of_op, output_dtype=tf.int32
        ),
        "StatelessMultinomial": lambda: raw.StatelessMultinomial(
            logits=logits, num_samples=40, seed=[seed, 1], output_dtype=tf.int32
        ),
        "RandomGamma": lambda: raw.RandomGamma(
            shape=[2, 3], alpha=tf.abs(row) + 0.1, **of_op
        ),
        "RandomPoissonV2": lambda: raw.RandomPoissonV2(
            shape=[2], rate=tf.abs(row) * 100 + 1, **of_op
        ),
        "RandomUniformInt": lambda: raw.RandomUniformInt(
            shape=several, **limits(row), **of_op
        ),
        "ParameterizedTruncatedNormal": lambda: raw.ParameterizedTruncatedNormal(
            shape=[SIZE, 2],
            means=row[:, 0],
            stdevs=1.0,
            minvals=-1e9,
            maxvals=1e9,
            **of_op,
        ),
        "StatelessRandomUniform": lambda: raw.StatelessRandomUniform(
            seed=seed_of(row), **stateless
        ),
        "StatelessRandomNormal": lambda: raw.StatelessRandomNormal(
            seed=seed_of(row), **stateless
        ),
        "StatelessTruncatedNormal": lambda: raw.StatelessTruncatedNormal(
            seed=seed_of(row), **stateless
        ),
        "StatelessRandomUniformInt": lambda: raw.StatelessRandomUniformInt(
            shape=several, seed=[seed, 1], **limits(row)
        ),
        "StatelessRandomUniformIntV2": lambda: raw.StatelessRandomUniformIntV2(
            shape=several, alg=1, **key(), **limits(row)
        ),
        **{
            name: lambda name=name: getattr(raw, name)(
                alg=1,
                **dict(
                    zip(
                        ("key", "counter"),
                        raw.StatelessRandomGetKeyCounter(seed=seed_of(row)),
                        strict=True,
                    )
                ),
                **stateless,
            )
            for name in (
                "StatelessRandomUniformV2",
                "StatelessRandomNormalV2",
                "StatelessTruncatedNormalV2",
            )
        },
    }


NAMES = sorted(drawn(np.ones((1, SIZE, SIZE, 1), np.float32), 0))


def network(name, seed):
    with v1.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, (1, SIZE, SIZE, 1), name="x")
        tf.identity(tf.cast(drawn(x, seed)[name](), tf.float32), name="y")
    return graph


def measured(name, seeds):
    """Which outputs change with a position: an array [*output, row, column]."""
    image = np.random.default_rng(1).uniform(1, 2, (1, SIZE, SIZE, 1)).astype("f")
    found = 0
    for seed in seeds:
        graph = network(name, seed)

        def run(image, graph=graph):
            with v1.Session(graph=graph) as session:  # Begins with the same numbers.
                return session.run("y:0", {"x:0": image})

        before, changes = run(image), []
        for row in range(SIZE):
            for column in range(SIZE):
                other = image.copy()
                other[0, row, column, 0] += 50
                changes.append(run(other) != before)
        found = found | np.stack(changes, -1).reshape(*before.shape, SIZE, SIZE)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_what_is_drawn_sees_what_it_is_drawn_from(name):
    graph = network(name, 1)
    assert name in {node.op for node in graph.as_graph_def().node}
    seeds = {"RandomShuffle": 40, "Multinomial": 8, "StatelessMultinomial": 8}
    truth = measured(name, range(1, seeds.get(name, 1) + 1))
    field = rf.compute_receptive_field(graph, output="y", input="x")
    support = field.support()
    axes = [axis.output_axis for axis in field.feature_axes]
    claimed = np.zeros_like(truth)
    for index in np.ndindex(truth.shape[:-2]):
        feature = [0 if axis is None else index[axis] for axis in axes]
        claimed[index] = support.mask(feature)
    assert not (truth & ~claimed).any()
    assert (truth == claimed).all() or not support.exact
    assert field.exact == (name != "ParameterizedTruncatedNormal")
