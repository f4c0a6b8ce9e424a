"""The images on which the real gradients of a model are measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from receptive_field.errors import ReceptiveFieldError

DRAWS = 64
"""The number of random images if a caller states none."""


def draws_of(images: NDArray[Any] | None, draws: int | None) -> int:
    """Returns how many maps are averaged: one for each image, but at least two."""
    if draws is not None:
        return draws
    return DRAWS if images is None else max(2, len(images))


def chosen(images: NDArray[Any], first: int, count: int) -> NDArray[Any]:
    """Returns some images. After the last image comes the first one again."""
    found: NDArray[Any] = images[np.arange(first, first + count) % len(images)]
    return found


def complete_images(
    images: Any, shape: Sequence[int], framework: str
) -> NDArray[Any] | None:
    """Returns images as an array of complete inputs, [image, *shape].

    Args:
      images: an array or a tensor, or None. If the input is a batch of one image, the
        images are a batch, too. Otherwise each of them is a complete input.
      shape: the shape of the input.
      framework: the name of the framework, for errors.

    Raises:
      ReceptiveFieldError: if the shape of the images does not fit, or there are none.
    """
    if images is None:
        return None
    if hasattr(images, "detach"):  # A tensor of PyTorch.
        images = images.detach().cpu()
    array = np.asarray(images)
    if array.dtype.kind not in "fiub":
        raise ReceptiveFieldError("the images must be numbers.")
    one = list(shape[1:]) if shape[0] == 1 else list(shape)
    found = list(array.shape)
    if found[1:] == one and found[0] > 0:
        return array.reshape(-1, *shape)
    stated = ", ".join(["N", *map(str, one)])
    text = (
        f"the images must have the shape [{stated}], which the input of the model has, "
        f"not {found}."
    )
    if len(found) == len(one) + 1 and found[1:] != one:
        if [found[-1], *found[1:-1]] == one:
            text += (
                f" {framework} takes the channels first: np.moveaxis(images, -1, 1)."
            )
        elif [*found[2:], found[1]] == one:
            text += f" {framework} takes the channels last: np.moveaxis(images, 1, -1)."
    elif found == one:
        text += " Give a batch, also of a single image: images[None]."
    raise ReceptiveFieldError(text)
