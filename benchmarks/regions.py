"""How long a million features take: the formula, and exactly what they see.

    python benchmarks/regions.py

Prints medians of several runs, and ratios to the formula.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

import receptive_field as rf

RUNS = 5
SIDE = 1024


def timed(action: Callable[[], Any]) -> float:
    """The median time of an action in milliseconds."""
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        action()
        times.append((time.perf_counter() - start) * 1000)
    return statistics.median(times)


def u_net() -> keras.Model:
    """A small U-Net: features as many as pixels."""
    image = tensor = keras.Input((SIDE, SIDE, 3))
    kept = []
    for filters in (8, 16, 32):
        tensor = keras.layers.Conv2D(filters, 3, padding="same")(tensor)
        kept.append(tensor)
        tensor = keras.layers.MaxPooling2D()(tensor)
    for filters in (32, 16, 8):
        tensor = keras.layers.UpSampling2D(interpolation="bilinear")(tensor)
        tensor = keras.layers.Concatenate()([tensor, kept.pop()])
        tensor = keras.layers.Conv2D(filters, 3, padding="same")(tensor)
    return keras.Model(image, tensor)


def main() -> None:
    """Prints the table."""
    model = u_net()
    x = np.arange(SIDE)
    features = np.stack(np.meshgrid(x, x), axis=-1)
    field = rf.compute_receptive_field(model)
    rows = {
        "regions by the formula": lambda: field.compute_input_region(features),
        "exact regions, sets known": lambda: field.compute_input_region(
            features, clip=True
        ),
        "features that see each pixel": lambda: field.compute_feature_region(
            features, clip=True
        ),
    }
    # A field keeps its sets: the pass over the nodes is timed on new ones.
    fields = iter([rf.compute_receptive_field(model) for _ in range(RUNS)])
    times = {"the sets, one pass over the nodes": timed(lambda: next(fields).support())}
    field.support()
    times |= {name: timed(action) for name, action in rows.items()}
    print(f"{features[..., 0].size} features of a U-Net on {SIDE} x {SIDE} pixels")
    for name, milliseconds in times.items():
        ratio = milliseconds / times["regions by the formula"]
        print(f"{name:34}{milliseconds:9.1f} ms{ratio:8.2f} x formula")


if __name__ == "__main__":
    main()
