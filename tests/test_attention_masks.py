"""Attention whose scores a constant mask changes, against gradients of TensorFlow."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

import receptive_field as rf

SIZE = 6
LOWER = np.tril(np.ones((SIZE, SIZE), dtype=bool))
FIRST = np.arange(SIZE) < 4
NEAR = np.abs(np.subtract.outer(np.arange(SIZE), np.arange(SIZE))) < 2


def added(mask, number):
    numbers = np.where(mask, 0, number).astype("float32")
    return lambda scores: tf.nn.softmax(scores + numbers)


def subtracted(mask, number):
    numbers = np.where(mask, 0, number).astype("float32")
    return lambda scores: tf.nn.softmax(scores - numbers)


def chosen(mask, number):
    return lambda scores: tf.nn.softmax(tf.where(mask, scores, number))


def multiplied(mask):
    return lambda scores: scores * tf.constant(mask.astype("float32"))


# What is done with the scores -> whether every feature sees all positions.
ATTENTION = {
    "no mask": (tf.nn.softmax, True),
    "a bias": (added(LOWER, -1.0), True),
    "minus infinity at later keys": (added(LOWER, -np.inf), False),
    "a large number at later keys": (added(LOWER, -1e9), False),
    "a number of half precision": (added(LOWER, -1e4), False),
    "minus infinity at the last keys": (added(FIRST, -np.inf), False),
    "a large number that is subtracted": (subtracted(LOWER, 1e9), False),
    "a large number at earlier keys": (added(~LOWER, 1e9), False),
    "later keys replaced": (chosen(LOWER, -np.inf), False),
    "keys far away replaced": (chosen(NEAR, -1e30), False),
    "zeros instead of later keys": (multiplied(LOWER), False),
}


@pytest.mark.parametrize("name", ATTENTION)
@pytest.mark.parametrize("convolved", [False, True])
def test_what_a_mask_hides_is_not_claimed_to_be_seen(name, convolved):
    weigh, sees_all = ATTENTION[name]
    kernel = np.eye(4, dtype="float32")[None]

    def attention(x):
        if convolved:
            x = tf.nn.conv1d(x, kernel, 1, "VALID")
        scores = weigh(tf.matmul(x, x, transpose_b=True))
        return tf.matmul(scores, x)

    image = tf.random.stateless_uniform((1, SIZE, 4), seed=(1, 2))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(image)
        result = attention(image)
    slopes = tape.jacobian(result, image, experimental_use_pfor=False)
    seen = np.abs(slopes).max(axis=(0, 2, 3, 5)) > 0
    assert seen.all() == sees_all

    function = tf.function(attention)
    field = rf.compute_receptive_field(
        function.get_concrete_function(tf.TensorSpec((1, SIZE, 4)))
    )
    for place, places in enumerate(seen):
        first, last = field.compute_input_region([place], clip=True)[0]
        assert first <= np.flatnonzero(places)[0]
        assert last >= np.flatnonzero(places)[-1]
    assert field.exact is sees_all


def test_a_mask_of_ones_and_zeros_hides_pixels():
    mask = np.zeros((1, 8, 1), dtype="float32")
    mask[:, 2:5] = 1

    @tf.function
    def masked(x):
        return tf.nn.conv1d(x * mask, np.ones((3, 1, 1), dtype="float32"), 1, "SAME")

    function = masked.get_concrete_function(tf.TensorSpec((1, 8, 1)))
    field = rf.compute_receptive_field(function)
    assert field.compute_input_region([3], clip=True).tolist() == [[2, 4]]
    assert field.compute_input_region([4], clip=True).tolist() == [[3, 4]]
    assert field.compute_input_region([5], clip=True).tolist() == [[4, 4]]


@pytest.mark.parametrize(("number", "sees_all"), [(-np.inf, False), (-1.0, True)])
def test_a_pixel_is_not_seen_where_its_weight_is_masked(number, sees_all):
    bias = np.where(FIRST, 0, number).astype("float32")[:, None]
    kernel = np.ones((3, 1, 1), dtype="float32")

    def weighted(x):
        return x * tf.sigmoid(tf.nn.conv1d(x, kernel, 1, "SAME") + bias)

    image = tf.random.stateless_uniform((1, SIZE, 1), seed=(1, 2))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(image)
        result = weighted(image)
    slopes = tape.jacobian(result, image, experimental_use_pfor=False)
    assert (np.diag(np.squeeze(slopes)) != 0).all() == sees_all

    function = tf.function(weighted)
    field = rf.compute_receptive_field(
        function.get_concrete_function(tf.TensorSpec((1, SIZE, 1)))
    )
    assert field.exact is sees_all


def summed(mask, number):
    numbers = np.where(mask, 0, number).astype("float32")[None]
    return lambda scores: tf.nn.softmax(tf.add_n([scores, tf.constant(numbers)]))


def test_a_mask_in_a_sum_of_many():
    def attention(x):
        scores = tf.matmul(x, x, transpose_b=True)
        return tf.matmul(summed(LOWER, -1e9)(scores), x)

    function = tf.function(attention)
    field = rf.compute_receptive_field(
        function.get_concrete_function(tf.TensorSpec((1, SIZE, 4)))
    )
    assert field.exact is False


def test_a_mask_of_values_hides_no_pixel_for_good():
    """Nor if it broadcasts over channels, as the masks of recurrent layers do."""

    def gated(x):
        hidden = tf.reduce_any(x > 0, axis=-1, keepdims=True)
        return tf.where(hidden, x, 0.0) * tf.where(hidden, x + 1, 0.0)

    function = tf.function(gated)
    field = rf.compute_receptive_field(
        function.get_concrete_function(tf.TensorSpec((1, SIZE, 4)))
    )
    assert field.size.tolist() == [1]
    assert field.exact
