"""How to compute a large image tile by tile, with the same result."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from receptive_field.errors import ReceptiveFieldError
from receptive_field.results.words import numbers


class Along(NamedTuple):
    """How tiles of one size lie along one axis of the input."""

    tile: int
    """The size of the tiles."""
    features: int
    """The number of features of a tile."""
    alignment: int
    """Tiles start at multiples of this number."""
    margin: tuple[int, int]
    """How many features at the start and at the end of a tile are not those of the
    image. They are kept at the start and at the end of the image."""
    stride: Any
    """How far apart the features are in the input."""

    @property
    def step(self) -> int:
        """The largest distance between the starts of neighbouring tiles."""
        kept = self.features - sum(self.margin)
        return int(kept * self.stride // self.alignment) * self.alignment


class Span(NamedTuple):
    """A tile along one axis: ranges of positions and features."""

    input: slice
    kept: slice
    output: slice


class ImageTile(NamedTuple):
    """One tile: ``result[output] = network(image[input])[kept]``.

    Each entry is a tuple of slices over the axes of positions, in the order of the
    array: height before width. Axes of batches and channels are not included.
    """

    input: tuple[slice, ...]
    """The part of the image to compute."""
    kept: tuple[slice, ...]
    """The part of the tile's features to keep."""
    output: tuple[slice, ...]
    """The place of these features in the result for the whole image."""


class Planner(Protocol):
    """Plans tiles for an image; see `receptive_field.questions.tiling`."""

    def spans(self, size: Sequence[int]) -> list[list[Span]]:
        """Returns the tiles along each axis of an image, x first."""

    def order(self) -> tuple[Sequence[int], Sequence[int]]:
        """Returns the axes, as numbers of ``spans``, in the order of both arrays.

        The first order is that of the input, and the second that of the output.
        """


@dataclass(frozen=True, slots=True)
class Tiling:
    """How tiles have to lie so that they give what the whole image gives.

    The numbers hold for tiles of exactly the size `tile`, and for images whose sizes
    have the same remainder when divided by `alignment`. For other images, `tiles` makes
    the tiles a little smaller, so that every layer pads a tile as it pads the image.
    All tuples list x first.

    Attributes:
      input: the name of the input tensor.
      output: the name of the tensor whose features are computed.
      along: the numbers of each axis.
    """

    input: str
    output: str
    along: tuple[Along, ...]
    _planner: Planner

    @property
    def tile(self) -> tuple[int, ...]:
        """The size of the tiles."""
        return tuple(one.tile for one in self.along)

    @property
    def alignment(self) -> tuple[int, ...]:
        """Tiles must start at multiples of these numbers, x first.

        A tile that starts elsewhere would move the grid of some layer. The number is
        the least common multiple of the distances in the input after which some layer
        repeats: the stride of the layer's input times that of the layer.
        """
        return tuple(one.alignment for one in self.along)

    @property
    def margin(self) -> tuple[tuple[int, int], ...]:
        """How many features to discard at the start and at the end of a tile.

        They see padding where the image goes on. Where a tile starts or ends with the
        image, nothing is discarded.
        """
        return tuple(one.margin for one in self.along)

    @property
    def overlap(self) -> tuple[int, ...]:
        """The fewest input positions that neighbouring tiles have in common."""
        return tuple(one.tile - one.step for one in self.along)

    def tiles(self, image_size: Sequence[int]) -> list[ImageTile]:
        """Returns the tiles of an image.

        Args:
          image_size: the size of the image, x first (width before height).

        Returns:
          The tiles, row by row. Together, the features to keep are all features of the
          image, each of them once. All tiles have the same size, which is at most that
          of `tile`.

        Raises:
          ReceptiveFieldError: if the size is invalid, if the tile is too small, or if a
            layer treats an image of this size differently from a tile.
        """
        spans = self._planner.spans(image_size)
        of_input, of_output = self._planner.order()
        tiles = []
        for chosen in itertools.product(*reversed(spans)):
            along = chosen[::-1]
            tiles.append(
                ImageTile(
                    tuple(along[i].input for i in of_input),
                    tuple(along[i].kept for i in of_output),
                    tuple(along[i].output for i in of_output),
                )
            )
        return tiles

    def to_dict(self) -> dict[str, Any]:
        """Returns the numbers as plain data for JSON, with one entry per axis."""
        return {
            "input": self.input,
            "output": self.output,
            "tile": list(self.tile),
            "alignment": list(self.alignment),
            "margin": [list(pair) for pair in self.margin],
            "overlap": list(self.overlap),
        }

    def __str__(self) -> str:
        lines = (
            ("tile", numbers(self.tile)),
            ("starts at", f"multiples of {numbers(self.alignment)}"),
            ("overlap", f"{numbers(self.overlap)} or more"),
            ("discarded", f"{self._discarded()} features at inner borders"),
        )
        return "\n".join(f"{label:18} {text}" for label, text in lines)

    def _discarded(self) -> str:
        return numbers(f"{first} and {last}" for first, last in self.margin)


def as_data(tiles: Iterable[ImageTile]) -> list[dict[str, list[list[int]]]]:
    """Returns tiles for JSON: ``[start, stop]`` for each axis, in array order."""
    return [
        {
            name: [[part.start, part.stop] for part in parts]
            for name, parts in tile._asdict().items()
        }
        for tile in tiles
    ]


def as_text(tiles: Sequence[ImageTile]) -> str:
    """Returns a table of tiles: ranges from start to stop, in array order."""
    rows: list[tuple[str, ...]] = [ImageTile._fields]
    rows += [
        tuple(
            ", ".join(f"{part.start}:{part.stop}" for part in parts) for parts in tile
        )
        for tile in tiles
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def told_smaller(
    tiling: Tiling, tiles: Sequence[ImageTile], size: Sequence[int]
) -> str:
    """Returns a line that says so if the tiles of an image are smaller than asked for.

    Args:
      tiling: how tiles lie.
      tiles: the tiles of the image.
      size: the size of the image, x first. A tile as large as the image is no smaller.
    """
    used = [part.stop - part.start for part in tiles[0].input][::-1]
    asked = map(min, zip(tiling.tile, size, strict=True))
    if used == list(asked):
        return ""
    what = f"tiles of {numbers(used)}, so that every layer pads a tile like the image"
    return f"{'in this image':18} {what}\n"


def spans_along(along: Along, size: int, features: int) -> list[Span]:
    """Returns the tiles along an axis of an image that is larger than a tile.

    Args:
      along: the numbers of the tiles. The sizes of image and tile have the same
        remainder when divided by the alignment.
      size: the size of the image.
      features: the number of features of the image.

    Raises:
      ReceptiveFieldError: if no feature would be left of a tile.
    """
    if along.step < 1:
        raise too_small(along)
    last = size - along.tile
    starts = [*range(0, last, along.step), last]
    found, done = [], 0
    for start in starts:
        place = int(start / along.stride)
        end = features if start == last else place + along.features - along.margin[1]
        kept = slice(done - place, end - place)
        found.append(Span(slice(start, start + along.tile), kept, slice(done, end)))
        done = end
    return found


def too_small(along: Along) -> ReceptiveFieldError:
    """Returns the error for a tile of which no feature would be left."""
    first, last = along.margin
    return ReceptiveFieldError(
        f"a tile of {along.tile} positions is too small: of its {along.features} "
        f"features, {first} at its start and {last} at its end see padding where the "
        f"image goes on, and tiles start at multiples of {along.alignment}. Give a "
        "larger tile."
    )


def checked_sizes(given: Iterable[Any], count: int, what: str) -> list[int]:
    """Returns sizes, one per axis, x first.

    Raises:
      ReceptiveFieldError: if these are not ``count`` positive integers.
    """
    try:
        sizes = [int(size) for size in given]
        fits = all(a == b for a, b in zip(sizes, given, strict=True))
    except (TypeError, ValueError, OverflowError):
        sizes, fits = [], False
    if not fits or len(sizes) != count or any(size < 1 for size in sizes):
        raise ReceptiveFieldError(
            f"the size of {what} consists of {count} positive integers, x first; got "
            f"{given!r}."
        )
    return sizes
