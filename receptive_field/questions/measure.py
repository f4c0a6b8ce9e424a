"""Measures receptive fields by running the real network and disturbing its input.

TensorFlow computes the network in double precision, or the runtime of another framework
in single precision. The weights are replaced by small, irregular positive numbers that
make dependencies visible. The rules for receptive
fields are used only to find the tensors of the question and the role of each weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from receptive_field.errors import ReceptiveFieldError
from receptive_field.frameworks import load
from receptive_field.network.layout import Resolution
from receptive_field.progress import tell
from receptive_field.questions.experiment import NetworkExperiment
from receptive_field.questions.question import Options, ask
from receptive_field.questions.seen import Search
from receptive_field.results.axes import checked_feature, middle_of
from receptive_field.results.measured import MeasuredReceptiveField

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def measure_receptive_field(
    model: Any,
    *,
    feature: ArrayLike | None = None,
    output: Any = None,
    input: Any = None,
    input_resolution: Resolution = None,
    signature: str | None = None,
    axes_only: bool = False,
    example_inputs: Any = None,
) -> MeasuredReceptiveField:
    """Finds the receptive field of one feature by running the network.

    TensorFlow runs the network in double precision on a few images; ONNX models run in
    their own precision, with onnxruntime. Input positions are disturbed, and the
    feature is compared with its undisturbed value. Many positions are disturbed in one
    run if TensorFlow has a gradient for the network. The gradient
    says how much each of them should add to the change of the feature, and they count
    only if the feature changes by the whole sum. Positions that the gradient does not
    name are disturbed together, and one by one if the feature changes.

    A reported position really changes the feature, so a computed receptive field
    without this position would be wrong. But no experiment can prove that an unreported
    position never matters. The following choices make it unlikely that an unreported
    position matters. Weights become random positive numbers (so nothing cancels) whose
    sums are about one (so nothing overflows or saturates), and offsets become zero.
    Images and disturbances are chosen so that the disturbances get through every common
    nonlinearity. Values are raised on an image of zeros, because on such an image ReLUs
    and gates are linear and rounding does not hide even the smallest contribution. On
    random images, values are set far above and far below all others, to win every
    maximum and minimum, and are also moved towards zero. Batch normalisation runs in
    inference mode. Weights of a resize kernel (bicubic, Lanczos) that differ from zero
    only because of rounding are set to zero.

    Args:
      model, output, input, input_resolution, signature, example_inputs: as in
        `compute_receptive_field`. All sizes except the batch must be known.
      feature: the coordinates of the feature, x first. None means the one in the
        middle.
      axes_only: whether to measure only which rows and columns change the feature. This
        takes fewer runs.

    Raises:
      ReceptiveFieldError: if the framework is missing or cannot run the network, a size
        is unknown, there is no such feature, or the input holds integers and no change
        of them shows.

    >>> import receptive_field as rf
    >>> rf.measure_receptive_field(model, feature=[3, 3]).size    # doctest: +SKIP
    array([43, 43])
    """
    tell("building the network")
    source = load(
        model, signature, resolution=input_resolution, example_inputs=example_inputs
    ).to_run()
    question, field = ask(source, output, input, Options(input_resolution))
    tensor = next(iter((question.outputs or {}).values()))
    experiment = NetworkExperiment(source, question, [tensor])
    shape = experiment.output_shapes[0]
    places = [axis.output_axis for axis in field.feature_axes]
    sizes = [1 if place is None else shape[place] for place in places]
    chosen = _feature(feature, sizes)
    where: list[Any] = [slice(None)] * len(shape)
    for place, coordinate in zip(places, chosen, strict=True):
        if place is not None:
            where[place] = coordinate
    search = Search(experiment, tuple(where))
    lines = search.lines()
    if experiment.dtype.kind not in "fc" and not any(line.any() for line in lines):
        raise ReceptiveFieldError(
            f"no disturbance of {question.input!r} changed the feature. It holds "
            "integers, such as indices into a table, which cannot be disturbed by "
            "small amounts. Measure from a tensor that is computed from them (input=)."
        )
    positions = None if axes_only else search.positions(lines)
    return MeasuredReceptiveField(
        question.input, field.output, chosen, tuple(lines[::-1]), positions
    )


def _feature(feature: ArrayLike | None, sizes: Sequence[int]) -> tuple[int, ...]:
    if feature is None:
        return tuple(map(middle_of, sizes))
    return checked_feature(feature, sizes)
