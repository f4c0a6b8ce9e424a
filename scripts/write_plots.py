"""Draws the plots of the documentation, in ``docs/images/``. Needs TensorFlow.

  python scripts/write_plots.py [--folder FOLDER]

Accuracy against receptive field is drawn by ``write_tables.py``.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import receptive_field as rf
from receptive_field.report.figure import file_axes

ROOT = Path(__file__).parent.parent


def draw_all(folder: Path) -> None:
    """Writes all plots."""
    import keras

    layers = keras.layers

    def dilated(layer: type, *sizes: int) -> keras.Model:
        image = keras.Input((*sizes, 1))
        x = layer(1, 3, dilation_rate=2, padding="same", name="one")(image)
        x = layer(1, 3, dilation_rate=4, padding="same", name="two")(x)
        return keras.Model(image, layer(1, 2, dilation_rate=2, name="three")(x))

    pool = rf.compute_receptive_field(
        rf.EXAMPLE_GRAPH,
        output="InceptionResnetV2/Mixed_5b/concat",
        input_resolution=[299, 299],
    )
    with file_axes(folder / "regions.svg", 8, 5.5) as ax:
        rf.plot_regions(pool, [[0, 0], [12, 20], [33, 8]], ax=ax)
    with file_axes(folder / "effective.svg", 7, 5) as ax:
        rf.plot_effective(pool, ax=ax)
    holes = rf.compute_receptive_field(dilated(layers.Conv2D, 24, 32))
    with file_axes(folder / "support.svg", 7, 4.5) as ax:
        rf.plot_support(holes, [2, 10], ax=ax)
    signal = rf.compute_receptive_field(dilated(layers.Conv1D, 48))
    with file_axes(folder / "regions_1d.svg", 8, 2.8) as ax:
        rf.plot_regions(signal, [[0], [20], [45]], ax=ax)
    with file_axes(folder / "support_1d.svg", 8, 1.8) as ax:
        rf.plot_support(signal, [20], ax=ax)
    with file_axes(folder / "effective_1d.svg", 7, 3.5) as ax:
        rf.plot_effective(signal, ax=ax)
    network = keras.applications.InceptionV3(weights=None, include_top=False)
    fields = rf.compute_receptive_fields(network, input_resolution=[299, 299])
    with file_axes(folder / "growth.svg", 8, 5) as ax:
        rf.plot_growth(fields, ax=ax)


def main() -> None:
    """Writes all files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=ROOT / "docs" / "images")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    draw_all(folder)


if __name__ == "__main__":
    main()
