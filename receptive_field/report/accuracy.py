"""Draws the paper's figure of ImageNet accuracy against receptive field size."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from receptive_field.errors import ReceptiveFieldError
from receptive_field.report.figure import BLUE, Drawing, draw_one, imported

ACCURACIES = Path(__file__).parent.parent / "data" / "accuracy.csv"
"""Top-1 accuracies of the paper's networks, from the TF-Slim model library."""

AREA_PER_GFLOP = 40.0
"""The area of a dot, in square points per GFLOP."""

TICKS = [n * 10**power for power in range(7) for n in (1, 2, 3, 5)]
"""The receptive field sizes that the axis may name."""


class Dot(NamedTuple):
    """A network in the figure."""

    network: str
    size: int
    """Receptive field size, in pixels."""
    flops: float
    accuracy: float
    """Top-1 accuracy, between 0 and 1."""


def accuracies() -> dict[str, float]:
    """Returns a dictionary: network -> top-1 accuracy on ImageNet in the paper."""
    with ACCURACIES.open(newline="", encoding="utf-8") as file:
        return {r["model"]: float(r["imagenet_top1"]) for r in csv.DictReader(file)}


def logarithmic_trend(dots: Iterable[Dot]) -> tuple[float, float]:
    """Returns ``(a, b)`` of the least-squares line ``accuracy = a + b log10(size)``."""
    points = np.array([(math.log10(dot.size), dot.accuracy) for dot in dots])
    b, a = np.polyfit(points[:, 0], points[:, 1], deg=1)
    return float(a), float(b)


def networks_of_paper(resolution: int = 224) -> list[Dot]:
    """Returns dots for the paper's networks, computed from the graphs of the zoo.

    Args:
      resolution: the height and width of the image for which floating-point operations
        are counted.

    Raises:
      ReceptiveFieldError: if TensorFlow, which builds the networks, is not installed.
    """
    from receptive_field import zoo  # Only this function needs it.

    dots = []
    for network, accuracy in accuracies().items():
        last = zoo.table(network, [resolution, resolution]).rows[-1]
        size = int(last.receptive_field.size[0])
        dots.append(Dot(network, size, float(last.flops or 0), accuracy))
    return dots


def plot_accuracy(dots: Iterable[Dot] | None = None, *, ax: Any = None) -> Any:
    """Draws accuracy against receptive field size, with FLOPs as the area of the dots.

    Args:
      dots: the name, receptive field size, floating-point operations and accuracy of
        each network. None means the paper's networks, which TensorFlow must build.
      ax: the Matplotlib axes to draw on, or a figure to fill. None creates a figure.

    Returns:
      The axes. There is a trend line if there are networks of several sizes.

    Raises:
      ReceptiveFieldError: if Matplotlib is not installed, or a number is not finite.
    """
    imported("matplotlib.pyplot")  # Before networks are built for nothing.
    known = networks_of_paper() if dots is None else [Dot(*dot) for dot in dots]
    _check(known)
    return draw_one(Drawing(11.5, 6.5, lambda on: _draw(on, known)), ax)


def _check(dots: Sequence[Dot]) -> None:
    """Checks that there are dots, at finite places.

    Raises:
      ReceptiveFieldError: if not.
    """
    if not dots:
        raise ReceptiveFieldError("there are no networks to draw.")
    for dot in dots:
        numbers = (dot.size, dot.flops, dot.accuracy)
        if not all(map(math.isfinite, numbers)) or dot.size <= 0 or dot.flops < 0:
            raise ReceptiveFieldError(
                f"{dot.network!r} cannot be drawn: size, FLOPs and accuracy must be "
                f"finite, and the size must be positive; got {numbers}."
            )


def _draw(ax: Any, dots: Sequence[Dot]) -> None:
    handles = []
    a, b = 0.0, 0.0
    ends = np.array([min(dot.size for dot in dots), max(dot.size for dot in dots)])
    if ends[0] < ends[1]:
        a, b = logarithmic_trend(dots)
        handles += ax.plot(
            ends,
            a + b * np.log10(ends),
            color="0.5",
            linestyle="--",
            linewidth=1.5,
            label=f"accuracy = {a:.2f} + {b:.2f} log10(receptive field)",
            zorder=1,
        )
    points = ax.scatter(
        [dot.size for dot in dots],
        [dot.accuracy for dot in dots],
        s=[dot.flops / 1e9 * AREA_PER_GFLOP for dot in dots],
        color=BLUE,
        alpha=0.6,
        linewidths=0,
        label="area of a dot: floating-point operations",
        zorder=2,
    )
    for dot in dots:
        radius = math.sqrt(dot.flops / 1e9 * AREA_PER_GFLOP / math.pi)
        # Labels point away from the trend line, where there is room for them.
        up = 1 if dot.accuracy > a + b * math.log10(dot.size) else -1
        ax.annotate(
            f"{dot.network}\n{dot.flops / 1e9:.1f} GFLOPs",
            (dot.size, dot.accuracy),
            xytext=(0, up * (radius + 3)),
            textcoords="offset points",
            ha="center",
            va="bottom" if up > 0 else "top",
            fontsize=8,
            parse_math=False,
        )
    ax.set_xscale("log")
    ticks = [n for n in TICKS if ends[0] / 2 <= n <= ends[1] * 2]
    ax.set_xticks(ticks, [str(tick) for tick in ticks])
    ax.minorticks_off()
    ax.margins(x=0.1, y=0.16)
    ax.set_xlabel("receptive field size (pixels, logarithmic)")
    ax.set_ylabel("ImageNet top-1 accuracy")
    ax.set_title("Accuracy on ImageNet grows with the logarithm of the receptive field")
    ax.grid(alpha=0.3)
    handles.append(points)
    legend = ax.legend(handles=handles, loc="lower right", fontsize=9)
    legend.legend_handles[-1].set_sizes([60])
