"""Runs a computation on images, and on the same images with disturbances."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from receptive_field.errors import GraphError
from receptive_field.graph.graph import Tensor
from receptive_field.graph.model import Model
from receptive_field.graph.runner import Computation, Runner
from receptive_field.questions.question import Question
from receptive_field.results.measured import Mask

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
SINGLE_TRIALS = (
    Trial(0, 0, 1),
    Trial(0, 0, 1e18),
    Trial(0.5, 1.5, 1e12),
    Trial(0.5, 1.5, -1e12),
    Trial(0.5, 1.5, -0.3),
)
"""Trials for a network in single precision. On an image of zeros, the smallest share
that a feature shows is that of the smallest number, and larger values are shown for
deeper networks. On other images, a larger disturbance takes the place of the digits
that single precision lacks."""

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
      gradient: the computation's gradient; see `Computation`.
    """

    def __init__(
        self,
        computation: Computation,
        image_shape: Sequence[int],
        axes: Sequence[int],
        trials: Sequence[Trial] | None = None,
    ) -> None:
        """Runs the computation on the undisturbed images.

        Args:
          computation: computes the outputs for an image.
          image_shape: the shape of the image.
          axes: the axes that a probe indexes.
          trials: the images and disturbances. None means `TRIALS`, or `SINGLE_TRIALS`
            in single precision. Integer inputs use `WHOLE_TRIALS` instead, and boolean
            inputs `BOOLEAN_TRIALS`.
        """
        self._run, self.dtype = computation.run, computation.dtype
        self.gradient = computation.gradient
        self.image_shape = tuple(image_shape)
        self._axes = axes
        single = self.dtype.kind == "f" and self.dtype.itemsize < 8
        own = SINGLE_TRIALS if single else TRIALS
        whole = BOOLEAN_TRIALS if self.dtype.kind == "b" else WHOLE_TRIALS
        self._trials = (trials or own) if self.dtype.kind in "fc" else whole
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
        return self._changes([tuple(index)])

    def changes_of(self, masks: Sequence[Mask]) -> Iterator[list[Mask]]:
        """Yields where outputs change if positions are disturbed.

        Args:
          masks: which positions to disturb, each in the order of the axes that a probe
            indexes. Each trial uses all of the masks, one after another.
        """
        return self._changes([self.over_image(mask) for mask in masks])

    def over_image(self, values: NDArray[Any]) -> NDArray[Any]:
        """Repeats an array of the axes that a probe indexes over the whole image."""
        order = sorted(range(len(self._axes)), key=lambda number: self._axes[number])
        shape = [
            size if axis in self._axes else 1
            for axis, size in enumerate(self.image_shape)
        ]
        values = values.transpose(order).reshape(shape)
        return np.broadcast_to(values, self.image_shape)

    def over_positions(self, values: NDArray[Any]) -> NDArray[Any]:
        """Sums an array of the image's shape over the axes that no probe indexes."""
        others = set(range(len(self.image_shape))).difference(self._axes)
        order = sorted(self._axes)
        summed = values.sum(tuple(others))
        return np.asarray(summed.transpose([order.index(axis) for axis in self._axes]))

    def outputs(self, image: NDArray[Any]) -> Sequence[NDArray[Any]]:
        """Returns the outputs for an image."""
        return self._run(image)

    def _changes(self, places: Sequence[Any]) -> Iterator[list[Mask]]:
        random = np.random.default_rng(2)
        for (trial, still), undisturbed in zip(
            self._images(), self._undisturbed, strict=True
        ):
            for where in places:
                image = still.copy()
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
        trials: Sequence[Trial] | None = None,
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
        network = question.network.below(outputs)  # The output may be inside the model.
        computation = runner.network(model, network, outputs, image_shape)
        super().__init__(computation, image_shape, question.spatial, trials)


def _differ(one: NDArray[Any], two: NDArray[Any]) -> Mask:
    if one.dtype.kind not in "fc":
        return np.asarray(one != two)
    return np.asarray((one != two) & ~(np.isnan(one) & np.isnan(two)))
