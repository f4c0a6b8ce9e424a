"""Draws the plots of the documentation, in ``docs/images/``. Needs TensorFlow.

  python scripts/write_plots.py [--folder FOLDER]

Accuracy against receptive field is drawn by ``write_tables.py``.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import receptive_field as rf
from receptive_field.report.figure import file_figure

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

    def unet() -> keras.Model:
        image = keras.Input((64, 64, 1), name="image")
        one = layers.Conv2D(1, 3, padding="same", name="one")(image)
        two = layers.Conv2D(1, 3, 2, padding="same", name="two")(one)
        three = layers.Conv2D(1, 3, 2, padding="same", name="three")(two)
        up_two = layers.Conv2DTranspose(1, 2, 2, name="up_two")(three)
        join_two = layers.Concatenate(name="join_two")([two, up_two])
        up_one = layers.Conv2DTranspose(1, 2, 2, name="up_one")(join_two)
        join_one = layers.Concatenate(name="join_one")([one, up_one])
        out = layers.Conv2D(1, 3, padding="same", name="out")(join_one)
        return keras.Model(image, out)

    def chain() -> keras.Model:
        x = image = keras.Input((64, 64, 1), name="image")
        for number in range(1, 8):
            name = f"conv_{number}"
            x = layers.Conv2D(1, 3, padding="same", name=name)(x)
        return keras.Model(image, x)

    pool = rf.compute_receptive_field(
        rf.EXAMPLE_GRAPH,
        output="InceptionResnetV2/Mixed_5b/concat",
        input_resolution=[299, 299],
    )
    with file_figure(folder / "regions.svg") as figure:
        rf.plot_regions(pool, [[0, 0], [12, 20], [33, 8]], ax=figure)
    with file_figure(folder / "effective.svg") as figure:
        rf.plot_effective(pool, ax=figure)
    holes = rf.compute_receptive_field(dilated(layers.Conv2D, 24, 32))
    with file_figure(folder / "support.svg") as figure:
        rf.plot_support(holes, [2, 10], ax=figure)
    signal = rf.compute_receptive_field(dilated(layers.Conv1D, 48))
    with file_figure(folder / "regions_1d.svg") as figure:
        rf.plot_regions(signal, [[0], [20], [45]], ax=figure)
    with file_figure(folder / "support_1d.svg") as figure:
        rf.plot_support(signal, [20], ax=figure)
    with file_figure(folder / "effective_1d.svg") as figure:
        rf.plot_effective(signal, ax=figure)
    network = keras.applications.InceptionV3(weights=None, include_top=False)
    fields = rf.compute_receptive_fields(network, input_resolution=[299, 299])
    with file_figure(folder / "growth.svg") as figure:
        rf.plot_growth(fields, ax=figure)
    models = {"U-Net": unet(), "chain": chain()}
    growths = {name: rf.compute_receptive_fields(one) for name, one in models.items()}
    with file_figure(folder / "growth_two.svg") as figure:
        rf.plot_growth(growths, ax=figure)


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
