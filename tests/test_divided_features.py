"""The support of features on an axis that the ops below it divide, as Flatten does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import constant, conv, graph_def, integers, node, placeholder, variable

import receptive_field as rf

CHANNELS = 512


def _flattened(size: int, shape: list[int]) -> Any:
    """A feature map of 7 x 7 positions, and a tensor of this shape that is made of it.

    The convolution has windows of 33 positions at every 32nd.
    """
    return graph_def(
        placeholder(sizes=(1, size, size, 3)),
        variable("weights", (33, 33, 3, CHANNELS)),
        node(
            "map",
            "Conv2D",
            ["input", "weights"],
            strides=integers([1, 32, 32, 1]),
            dilations=integers([1, 1, 1, 1]),
            padding='s: "SAME"',
        ),
        constant("shape", shape),
        node("flat", "Reshape", ["map", "shape"]),
        node("out", "Relu", ["flat"]),
    )


@pytest.mark.parametrize(
    ("shape", "inner"), [([1, -1], CHANNELS), ([1, 49, CHANNELS], 1)]
)
def test_all_features_of_a_flattened_map(shape: list[int], inner: int) -> None:
    """A table of 25,088 features by as many would be more than an answer may hold."""
    support = rf.compute_receptive_field(_flattened(224, shape), output="out").support()
    assert support.exact
    for feature in (0, inner - 1, inner, 20 * inner, 49 * inner - 1):
        y, x = divmod(feature // inner, 7)
        # SAME pads 33 + 6 * 32 - 224 = 1 position, at the end.
        ends = [(32 * place, min(32 * place + 32, 223)) for place in (x, y)]
        assert support.region([feature]).tolist() == [list(end) for end in ends]
        assert support.mask([feature]).sum() == np.prod([b - a + 1 for a, b in ends])
    assert support.seen().all()


def test_features_that_see_a_position_of_a_divided_axis() -> None:
    graph = _flattened(224, [1, -1])
    support = rf.compute_receptive_field(graph, output="out").support()
    seen = support.features_that_see([64, 10]).reshape(7, 7, CHANNELS)
    # Windows 1 and 2 share position 64 along x; along y, only window 0 has 10.
    assert seen[0, 1:3].all()
    assert seen.sum() == 2 * CHANNELS


def test_an_axis_that_is_turned_before_it_is_flattened() -> None:
    graph = graph_def(
        placeholder(sizes=(1, 6, 4, 1)),
        conv("map", "input", (3, 2), 1, "VALID"),
        constant("perm", [0, 2, 1, 3]),
        node("turned", "Transpose", ["map", "perm"]),
        constant("shape", [12]),
        node("flat", "Reshape", ["turned", "shape"]),
    )
    support = rf.compute_receptive_field(graph, output="flat").support()
    # 4 x 3 windows of 3 x 2 positions; a feature is 4 * x + y.
    for feature in range(12):
        x, y = divmod(feature, 4)
        assert support.region([feature]).tolist() == [[x, x + 1], [y, y + 2]]
