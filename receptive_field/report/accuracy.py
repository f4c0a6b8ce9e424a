"""Draws the paper's figure of ImageNet accuracy against receptive field size."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from receptive_field.report.figure import BLUE, axes

ACCURACIES = Path(__file__).parent.parent / "data" / "accuracy.csv"
"""Top-1 accuracies of the paper's networks, from the TF-Slim model library."""

AREA_PER_GFLOP = 40.0
"""The area of a dot, in square points per GFLOP."""


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
      ax: the Matplotlib axes to draw on. None creates new axes.

    Returns:
      The axes.

    Raises:
      ReceptiveFieldError: if Matplotlib is not installed.
    """
    ax = axes(ax, 11.5, 6.5)
    dots = networks_of_paper() if dots is None else [Dot(*dot) for dot in dots]
    a, b = logarithmic_trend(dots)
    ends = np.array([min(dot.size for dot in dots), max(dot.size for dot in dots)])
    (trend,) = ax.plot(
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
        )
    ax.set_xscale("log")
    ticks = [200, 500, 1000, 2000, 3000]
    ax.set_xticks(ticks, [str(tick) for tick in ticks])
    ax.minorticks_off()
    ax.margins(x=0.1, y=0.16)
    ax.set_xlabel("receptive field size (pixels, logarithmic)")
    ax.set_ylabel("ImageNet top-1 accuracy")
    ax.set_title("Accuracy on ImageNet grows with the logarithm of the receptive field")
    ax.grid(alpha=0.3)
    legend = ax.legend(handles=[trend, points], loc="lower right", fontsize=9)
    legend.legend_handles[1].set_sizes([60])
    return ax
