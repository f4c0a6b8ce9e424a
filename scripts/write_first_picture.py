"""Writes docs/first_page.svg: what one feature sees through three layers.

  python scripts/write_first_picture.py [--path PATH]

The windows are those that the library computes; a test writes and compares the file.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from functools import reduce
from pathlib import Path
from typing import NamedTuple

from receptive_field.algebra.axis_map import IDENTITY, AxisMap, convolution

PATH = Path(__file__).parent.parent / "docs" / "first_page.svg"

FEATURE = 1
CELL, HEIGHT = 34, 92  # Of a position, and from map to map, in pixels.
LEFT, TOP = 350, 30
GREY, TEAL, ORANGE = "#787e88", "#009688", "#ff6e40"  # On light and dark pages.


class Layer(NamedTuple):
    """A layer, and the map that it reads."""

    text: str
    map: AxisMap
    below: str
    size: int


LAYERS = (
    Layer("kernel 3, stride 1, padding 1", convolution(3, 1, 1), "4 positions", 4),
    Layer("kernel 3, stride 2, padding 1", convolution(3, 2, 1), "8 positions", 8),
    Layer("kernel 3, stride 2, padding 1", convolution(3, 2, 1), "16 pixels", 16),
)
"""From the features down to the image."""

SIZES = (4, *(layer.size for layer in LAYERS))


def _chain(layers: Sequence[Layer]) -> AxisMap:
    return reduce(AxisMap.then, (layer.map for layer in layers), IDENTITY)


DEPTHS = range(len(SIZES))

SEEN = tuple(_chain(LAYERS[:depth]) for depth in DEPTHS)
"""What features see of each map, their own first."""

OF_IMAGE = tuple(_chain(LAYERS[depth:]) for depth in DEPTHS)
"""What the positions of each map see of the image."""


def shapes() -> Iterator[str]:
    """The picture, from the wedges behind to the words in front."""
    for depth in range(len(LAYERS)):
        yield _wedge(depth)
    for depth, size in enumerate(SIZES):
        yield from _positions(depth, size)
    for depth, layer in enumerate(LAYERS):
        yield _words(_y(depth + 0.5) + 12, layer.text, GREY)
        yield _words(_y(depth + 1) + 5, layer.below, GREY, "bold")
    yield _words(_y(0) + 5, "4 features", GREY, "bold")
    yield _words(_y(len(LAYERS)) + 44, _result(), ORANGE, "bold")


def _window(seen: AxisMap, position: int) -> tuple[int, int]:
    first, last = seen.window(position) or (0, -1)
    return int(first), int(last)


def _result() -> str:
    """The picture in words."""
    (first, last), (second, _) = (_window(SEEN[-1], u) for u in (0, 1))
    low, high = _window(SEEN[-1], FEATURE)
    return (
        f"size {last - first + 1}, stride {second - first}, padding {-first}: "
        f"feature {FEATURE} sees pixels {low} to {high}"
    )


def _x(depth: int, position: float) -> float:
    """Positions stand over the middle of what they see of the image."""
    (first, last), (second, _) = (_window(OF_IMAGE[depth], u) for u in (0, 1))
    return LEFT + CELL * ((first + last) / 2 + position * (second - first))


def _y(depth: float) -> float:
    return TOP + HEIGHT * depth


def _wedge(depth: int) -> str:
    """The windows of all positions that are seen of one map, as one area."""
    upper, lower = (_window(SEEN[d], FEATURE) for d in (depth, depth + 1))
    corners = [
        (_x(depth, upper[0]) - CELL / 2, _y(depth)),
        (_x(depth, upper[1]) + CELL / 2, _y(depth)),
        (_x(depth + 1, lower[1]) + CELL / 2, _y(depth + 1)),
        (_x(depth + 1, lower[0]) - CELL / 2, _y(depth + 1)),
    ]
    points = " ".join(f"{x:g},{y:g}" for x, y in corners)
    return f'<polygon points="{points}" fill="{ORANGE}" opacity="0.16"/>'


def _positions(depth: int, size: int) -> Iterator[str]:
    """A circle for each position; of padding, where it is seen, an empty one."""
    first, last = _window(SEEN[depth], FEATURE)
    for position in range(min(0, first), max(size, last + 1)):
        fill = ORANGE if first <= position <= last else TEAL
        real = 0 <= position < size
        paint = f'fill="{fill}"' if real else f'fill="none" stroke="{fill}"'
        x, y = _x(depth, position), _y(depth)
        yield f'<circle cx="{x:g}" cy="{y:g}" r="9" {paint} stroke-width="1.5"/>'


def _words(y: float, text: str, color: str, weight: str = "normal") -> str:
    return f'<text x="0" y="{y:g}" fill="{color}" font-weight="{weight}">{text}</text>'


def picture() -> str:
    """The SVG file."""
    width, height = LEFT + CELL * 16, TOP + HEIGHT * len(LAYERS) + 50
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="15">',
        *shapes(),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--path", type=Path, default=PATH)
    parser.parse_args().path.write_text(picture())
