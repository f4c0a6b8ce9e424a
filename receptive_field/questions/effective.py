"""Computes effective receptive fields: how much each position of the input matters.

The weight of a position is the expected squared gradient of one feature with respect to
that position, summed over the channels of both, as a share of the total over the input.
(See the closing remark of Araujo, Norris and Sim, 2019, and Luo, Li, Urtasun and Zemel,
"Understanding the Effective Receptive Field in Deep Convolutional Neural Networks",
2016. Their theorems are special cases: a deep stack of convolutions gives a Gaussian.)

`analytic` computes the expectation over weights from the graph alone. It assumes:

* Weights are independent, with mean zero. Their variance is one over the number of
  products that an output sums up, so a layer preserves the size of a gradient. With k
  taps, each tap gets 1/k of the squared gradient. (For a transposed convolution, k is
  the mean number of taps of its features: the kernel size over the stride, per axis.)
  Gradients that fall into padding are lost.
* Ops without weights have fixed coefficients: an average over k positions gives each
  position the weight 1/k, an interpolation uses its coefficients, and a subtraction has
  the coefficient -1. TensorFlow's average pooling divides by the number of positions
  inside the feature map. Along a chain of such ops, and where paths that consist only
  of such ops meet, gradients are added before they are squared.
* Squares alone are therefore not enough: if a pooling layer gives two neighbours the
  same gradient, their gradients are still correlated below a convolution, and another
  pooling layer adds them up. So for every tensor, the pass computes the products of
  gradients at *pairs* of positions, for all distances at which some op further down can
  bring the two together. Gradients of different channels are independent below any
  layer with weights.
* The derivative of an activation has absolute value one, and so has the derivative of a
  batch normalisation in inference mode. (A ReLU halves the squared gradient, and He's
  variance, which is twice as large, makes up for it.) Both signs are equally likely, so
  a path around the activation is independent of the path through it.
* A maximum takes each of its positions equally often, independently of its neighbours.
* All channels are alike. An op that reads only some channels gets the share of these
  channels.
* Any other op (softmax, a gather with indices from data, a loop) gives an equal share
  to each position that it sees. A product of features gives an equal share to each of
  its factors (but ``x * f(x)`` is an activation). ``assumed`` names the nodes of all
  such ops and products. If it is empty, and there are no activations or maxima, the
  result is exact.

`measure_effective_receptive_field` uses the real gradients of a Keras model or of a
module of PyTorch with its own weights, on random images or on the caller's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from receptive_field.algebra.sizes import Size
from receptive_field.budget import ExhaustedError
from receptive_field.errors import GraphError, ReceptiveFieldError
from receptive_field.frameworks import load
from receptive_field.graph.graph import Tensor
from receptive_field.graph.model import Model
from receptive_field.network.layout import Resolution
from receptive_field.network.network import Network
from receptive_field.passes.gradients import Descent, Slopes
from receptive_field.questions.question import Options, Question, ask
from receptive_field.results.axes import checked_feature, middle_of
from receptive_field.results.effective import EffectiveReceptiveField
from receptive_field.results.field import ReceptiveField


def analytic(
    question: Question,
    output: Tensor,
    feature: ArrayLike | None = None,
    field: ReceptiveField | None = None,
    slopes: Slopes | None = None,
) -> EffectiveReceptiveField:
    """Computes the effective receptive field for independent random weights.

    Args:
      question: the question about the output. All spatial sizes must be known.
      output: the tensor of the feature.
      feature: the coordinates of the feature, x first. None means the one in the
        middle.
      field: the receptive field of the output. If None, it is computed.
      slopes: the `slopes_of` the question, for several outputs. If None, they are
        computed.

    Returns:
      The share of each position, computed in one pass over the graph (see the module's
      docstring).

    Raises:
      ReceptiveFieldError: if a size is not known, there is no such feature, or the
        receptive field itself cannot be computed.

    >>> from receptive_field.questions.question import Options, Question
    >>> from receptive_field.frameworks import load
    >>> import receptive_field as rf
    >>> model = load(rf.EXAMPLE_GRAPH)
    >>> options = Options(input_resolution=[149, 149])
    >>> name = "InceptionResnetV2/Conv2d_2b_3x3/Relu"
    >>> question = Question.ask(model, None, [name], options)
    >>> found = analytic(question, question.outputs[name], [36, 36])
    >>> found.map.shape, found.size.round().tolist()
    ((149, 149), [11.0, 11.0])
    """
    name = next((n for n, t in (question.outputs or {}).items() if t == output), None)
    name = name or question.network.graph.name_of(output)
    if field is None:
        field = replace(question, outputs={name: output}).answer()
    slopes = slopes or slopes_of(question)
    network = slopes.network
    shape = network.shape(output) or ()
    chosen, where = _place(question, field, shape, feature)
    try:
        found, assumed = Descent(slopes, output, question.spatial).run(where)
    except ExhaustedError as error:
        raise error.at(f"the effective receptive field of {name!r}") from None
    total = float(found.sum())
    if not total:
        raise ReceptiveFieldError(
            f"the feature {list(chosen)} of {name!r} sees nothing of "
            f"{question.input!r}, or only its padding."
        )
    return EffectiveReceptiveField(
        question.input, name, chosen, found / total, total, assumed
    )


def slopes_of(question: Question) -> Slopes:
    """Returns what the effective receptive fields of several outputs have in common.

    Raises:
      GraphError: if a spatial size of the input is unknown.
    """
    return Slopes(_with_one_image(question))


def _with_one_image(question: Question) -> Network:
    """Returns the network with a batch of one image if the batch size is unknown.

    Raises:
      GraphError: if a spatial size of the input is unknown.
    """
    network = question.network
    shape = network.shape(network.input)
    sizes = [None] if shape is None else [shape[axis] for axis in question.spatial]
    if shape is None or not all(isinstance(size, int) for size in sizes):
        raise _unknown_sizes(question.input)
    if isinstance(shape[0], int) or 0 in question.spatial:
        return network
    return network.told((1, *shape[1:]))


def _read(model: Any, resolution: Resolution, example_inputs: Any) -> Model:
    """Returns the model to run."""
    found = load(model, resolution=resolution, example_inputs=example_inputs)
    return found.to_run()


def _resolution_of(question: Question, shape: Sequence[int]) -> Resolution:
    """Returns the resolution of images, or None if they do not fit or it is known."""
    known = question.network.shape(question.network.input) or ()
    sizes = [known[axis] for axis in question.spatial if axis < len(known)]
    if len(shape) != len(known) or all(isinstance(size, int) for size in sizes):
        return None
    return [shape[axis] for axis in sorted(question.spatial)]


def _unknown_sizes(name: str) -> GraphError:
    return GraphError(
        f"the effective receptive field depends on the size of {name!r}, which is "
        "unknown. Give input_resolution as [height, width]."
    )


def _place(
    question: Question,
    field: ReceptiveField,
    shape: Sequence[Size | None],
    feature: ArrayLike | None,
) -> tuple[tuple[int, ...], dict[int, int]]:
    """Returns the coordinates of a feature, x first, and its positions on output axes.

    The positions are given for each axis of the output that holds positions.

    Raises:
      ReceptiveFieldError: if there is no such feature, or a size is unknown.
    """
    known = {axis: size for axis, size in enumerate(shape) if isinstance(size, int)}
    moving = {
        place
        for axis in field.axes
        for place in axis.output_axes
        if not axis.map.is_everything or place in known
    }
    # If every feature sees everything, the number of features does not matter.
    held = [axis.output_axis for axis in field.feature_axes]
    places = [place if place in moving else None for place in held]
    found = [1 if place is None else known.get(place) for place in places]
    sizes = [size for size in found if size is not None]
    if len(sizes) < len(found):
        raise _unknown_sizes(question.input)
    middle = list(map(middle_of, sizes))
    chosen = checked_feature(middle if feature is None else feature, sizes)
    pairs = zip(places, chosen, strict=True)
    return chosen, {p: c for p, c in pairs if p is not None}


# --- Real gradients -------------------------------------------------------------------


def measure_effective_receptive_field(
    model: Any,
    *,
    output: Any = None,
    input: Any = None,
    feature: ArrayLike | None = None,
    input_resolution: Resolution = None,
    images: Any = None,
    draws: int | None = None,
    seed: int = 0,
    example_inputs: Any = None,
) -> EffectiveReceptiveField:
    """Measures the effective receptive field of a feature of a model with weights.

    The squared gradient, with the model's own weights in inference mode, is averaged
    over images: those of the caller, or images of independent standard normal numbers.
    The channels of the feature are added up with new random signs for each image, so
    the mean of the square is the sum of the channels' squares. As in `analytic`, this
    sum is divided by the number of channels.

    Args:
      model: a Keras model on TensorFlow, or a module or an exported program of PyTorch.
      output: a layer, or the name of one, as in `compute_receptive_field`.
      input: the input to use, if the model has several.
      feature: the coordinates of the feature, x first. None means the one in the
        middle.
      input_resolution: the size of the input, ``[height, width]``, if the model does
        not fix it. Images say it, too.
      images: an array of images, prepared as the model expects them, in the layout of
        its input: ``(N, C, H, W)`` for PyTorch. None means random images.
      draws: the number of images to average over. Standard errors are inversely
        proportional to the square root of ``draws``. None means each of the images (a
        single one twice), or 64 random images. If there are more draws than images,
        images are used again, with other signs.
      seed: the seed of the random numbers. The same seed gives the same images.
      example_inputs: as in `compute_receptive_field`.

    Returns:
      The share of each position, with its ``standard_error``.

    Raises:
      ReceptiveFieldError: if the model has no gradients, a size is unknown, there is
        no such feature, the images do not fit, or no gradient reaches the input.

    >>> import keras    # doctest: +SKIP
    >>> model = keras.applications.ResNet50(weights=None)    # doctest: +SKIP
    >>> found = rf.measure_effective_receptive_field(    # doctest: +SKIP
    ...     model, output="conv2_block3_out"
    ... )
    >>> found.map.shape    # doctest: +SKIP
    (224, 224)
    """
    if draws is not None and (not isinstance(draws, int) or draws < 2):
        raise ReceptiveFieldError(
            f"draws must be an integer of at least 2, not {draws!r}."
        )
    source = _read(model, input_resolution, example_inputs)
    if source.squared_gradients is None:
        raise ReceptiveFieldError(
            "gradients can be measured only for Keras models, and for modules and "
            f"exported programs of PyTorch, not for {type(model).__name__!r}. "
            "ReceptiveField.effective_receptive_field accepts any graph."
        )
    if input_resolution is None and images is not None:
        question, _ = ask(source, output, input, Options(None))
        input_resolution = _resolution_of(question, np.shape(images))
        if input_resolution is not None:
            source = _read(model, input_resolution, example_inputs)
    question, answer = ask(source, output, input, Options(input_resolution))
    network = _with_one_image(question)
    found = network.shape(network.input) or ()
    shape = [size for size in found if isinstance(size, int)]
    if len(shape) < len(found):
        raise _unknown_sizes(question.input)
    (tensor,) = (question.outputs or {}).values()
    places = network.shape(tensor) or ()
    chosen, where = _place(question, answer, places, feature)
    names = list(source.inputs)
    number = names.index(question.input) if question.input in names else 0
    assert source.squared_gradients is not None
    squares = source.squared_gradients(
        output=answer.output,
        is_whole=answer.output in source.outputs,
        number=number,
        start=network.input,
        end=tensor,
        shape=shape,
        where=where,
        images=images,
        draws=draws,
        seed=seed,
    )
    summed = tuple(a + 1 for a in range(question.rank) if a not in question.spatial)
    samples = squares.sum(axis=summed)
    draws = len(samples)
    mean = samples.mean(axis=0)
    total = float(mean.sum())
    if not total:
        raise ReceptiveFieldError(
            f"no gradient of the feature {list(chosen)} of {answer.output!r} reaches "
            f"{question.input!r}. The weights may be zero, or all units may be "
            "inactive."
        )
    return EffectiveReceptiveField(
        question.input,
        answer.output,
        chosen,
        mean / total,
        total,
        draws=draws,
        standard_error=samples.std(axis=0, ddof=1) / math.sqrt(draws) / total,
    )
