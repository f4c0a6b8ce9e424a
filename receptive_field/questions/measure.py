"""Measures receptive fields by running the real network and disturbing its input.

TensorFlow computes the network in double precision. The weights are replaced by small,
irregular positive numbers that make dependencies visible. The rules for receptive
fields are used only to find the tensors of the question and the role of each weight.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from receptive_field.errors import GraphError
from receptive_field.frameworks import load
from receptive_field.graph.graph import Tensor
from receptive_field.graph.model import Model
from receptive_field.graph.runner import Computation, Runner
from receptive_field.network.layout import Resolution
from receptive_field.questions.question import Options, Question, ask
from receptive_field.results.axes import checked_feature
from receptive_field.results.measured import Mask, MeasuredReceptiveField


def measure_receptive_field(
    model: Any,
    *,
    feature: ArrayLike | None = None,
    output: Any = None,
    input: Any = None,
    input_resolution: Resolution = None,
    signature: str | None = None,
    axes_only: bool = False,
) -> MeasuredReceptiveField:
    """Finds the receptive field of one feature by running the network.

    TensorFlow runs the network in double precision on a few images. Each input position
    is disturbed in turn, and the feature is compared with its undisturbed value.

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
      model, output, input, input_resolution, signature: as in
        `compute_receptive_field`. All sizes except the batch must be known.
      feature: the coordinates of the feature, x first. None means the one in the
        middle.
      axes_only: whether to measure only which rows and columns change the feature. This
        is faster, because single positions are not disturbed.

    Raises:
      ReceptiveFieldError: if TensorFlow is missing or cannot run the network, a size is
        unknown, or there is no such feature.

    >>> import receptive_field as rf
    >>> rf.measure_receptive_field(model, feature=[3, 3]).size    # doctest: +SKIP
    array([43, 43])
    """
    source = load(model, signature).to_run()
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
    index = tuple(where)

    def seen(probe: Probe) -> bool:
        return any(change[0][index].any() for change in experiment.changes(probe))

    spatial = experiment.sizes
    lines = []
    for axis, size in enumerate(spatial):
        probes = [(*[slice(None)] * axis, position) for position in range(size)]
        lines.append(np.array([seen(probe) for probe in probes]))
    positions = None
    if not axes_only:
        positions = np.zeros(spatial, dtype=bool)
        for position in itertools.product(*map(np.flatnonzero, lines)):
            positions[position] = seen(position)
    return MeasuredReceptiveField(
        question.input, field.output, chosen, tuple(lines[::-1]), positions
    )


def _feature(feature: ArrayLike | None, sizes: Sequence[int]) -> tuple[int, ...]:
    if feature is None:
        return tuple((size - 1) // 2 for size in sizes)
    return checked_feature(feature, sizes)


# --- Images and disturbances ---------------------------------------------------------

Probe = tuple[Any, ...]
"""An index into the spatial axes of the input: (y, x) for an image."""


class Trial(NamedTuple):
    """The range of an image's random values, and the size of its disturbances."""

    low: float
    high: float
    by: float
    """Each disturbed value changes by ``by`` times a random factor from 0.5 to 1.5."""


TRIALS = (
    Trial(0, 0, 1),
    Trial(0.5, 1.5, 1e3),
    Trial(0.5, 1.5, -1e3),
    Trial(0.5, 1.5, -0.3),
)
WHOLE_TRIALS = (Trial(1, 1, -1), Trial(0, 0, 1))
"""Trials for integer inputs, such as tokens. Each disturbed value changes by one."""

BOOLEAN_TRIALS = WHOLE_TRIALS * 8
"""Trials for boolean inputs. In each of them, about half of the values are inverted,
because an exclusive or does not change if all its inputs do."""


class Experiment:
    """A computation that runs on images, and on the same images with disturbances.

    Attributes:
      image_shape: the shape of the computation's input.
      dtype: the data type of the computation's input.
      output_shapes: the shapes of the computation's outputs.
    """

    def __init__(
        self,
        computation: Computation,
        image_shape: Sequence[int],
        axes: Sequence[int],
        trials: Sequence[Trial] = TRIALS,
    ) -> None:
        """Runs the computation on the undisturbed images.

        Args:
          computation: computes the outputs for an image.
          image_shape: the shape of the image.
          axes: the axes that a probe indexes.
          trials: the images and disturbances. Integer inputs use `WHOLE_TRIALS`
            instead, and boolean inputs `BOOLEAN_TRIALS`.
        """
        self._run, self.dtype = computation
        self.image_shape = tuple(image_shape)
        self._axes = axes
        whole = BOOLEAN_TRIALS if self.dtype.kind == "b" else WHOLE_TRIALS
        self._trials = trials if self.dtype.kind in "fc" else whole
        self._undisturbed = [self._run(image) for _, image in self._images()]
        self.output_shapes = [array.shape for array in self._undisturbed[0]]

    def _images(self) -> Iterator[tuple[Trial, NDArray[Any]]]:
        for trial in self._trials:
            random = np.random.default_rng(1)
            image = self._numbers(random, trial.low, trial.high, self.image_shape)
            yield trial, np.asarray(image, self.dtype)

    def _numbers(
        self, random: np.random.Generator, low: float, high: float, shape: Any
    ) -> NDArray[Any]:
        """Returns random numbers. If they are complex, both parts are random."""
        found = random.uniform(low, high, shape)
        if self.dtype.kind == "c":
            found = found + 1j * random.uniform(low, high, shape)
        return np.asarray(found)

    def changes(self, probe: Probe) -> Iterator[list[Mask]]:
        """Yields, for each trial, where outputs change if the probe is disturbed."""
        index: list[Any] = [slice(None)] * len(self.image_shape)
        for axis, part in zip(self._axes, probe, strict=False):
            index[axis] = part
        where = tuple(index)
        random = np.random.default_rng(2)
        for (trial, image), undisturbed in zip(
            self._images(), self._undisturbed, strict=True
        ):
            # A softmax does not change if all its inputs grow by the same amount.
            by = self._numbers(random, 0.5, 1.5, image[where].shape) * trial.by
            if self.dtype.kind == "b":
                image[where] ^= abs(by) > 1
            else:
                by = by if self.dtype.kind in "fc" else np.sign(by)
                image[where] += by.astype(self.dtype)
            found = self._run(image)
            yield [_differ(a, b) for a, b in zip(found, undisturbed, strict=True)]

    def is_repeatable(self) -> bool:
        """Returns whether a second run gives the same outputs."""
        again = [self._run(image) for _, image in self._images()]
        return not any(
            _differ(a, b).any()
            for one, two in zip(again, self._undisturbed, strict=True)
            for a, b in zip(one, two, strict=True)
        )


class NetworkExperiment(Experiment):
    """A network with weights that make dependencies visible.

    Attributes:
      sizes: the sizes of the input's spatial axes, (height, width) for an image.
    """

    def __init__(
        self,
        model: Model,
        question: Question,
        outputs: Sequence[Tensor],
        trials: Sequence[Trial] = TRIALS,
    ) -> None:
        runner: Runner = model.graph.framework.runner()
        shape = list(question.network.shape(question.network.input) or ())
        shape[0] = shape[0] if isinstance(shape[0], int) else 1
        if not all(isinstance(size, int) for size in shape):
            raise GraphError(
                f"the input {question.input!r} has unknown sizes, so the network "
                "cannot be run. Give input_resolution as [height, width]."
            )
        image_shape = tuple(int(size) for size in shape)  # type: ignore[arg-type]
        self.sizes = tuple(image_shape[axis] for axis in question.spatial)
        computation = runner.network(model, question.network, outputs, image_shape)
        super().__init__(computation, image_shape, question.spatial, trials)


def _differ(one: NDArray[Any], two: NDArray[Any]) -> Mask:
    if one.dtype.kind not in "fc":
        return np.asarray(one != two)
    return np.asarray((one != two) & ~(np.isnan(one) & np.isnan(two)))
