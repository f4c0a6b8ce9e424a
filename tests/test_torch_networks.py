"""Networks of torchvision and timm, as modules, against what was measured there.

All rows: ``python -m tests.torch_networks``. Many more networks, without a measurement:
``python scripts/torch_models.py``.
"""

from __future__ import annotations

from collections import defaultdict

import pytest
import random_search
from torch_networks import built, held, output_of, resolution_of, rows

import receptive_field as rf
from receptive_field.frameworks import load

pytestmark = pytest.mark.slow

NAMED = ("timmf/hrnet_w18", "tv/lraspp_mobilenet_v3_large", "tv/fcn_resnet50")
"""Networks of which every row is tried: misaligned ones, and ones that resize."""

SHARE = 6
"""One in so many of the other rows is tried; the seed of the run decides which ones."""


def measured():
    """Network and resolution -> what was measured of it there."""
    found = defaultdict(list)
    for number, row in enumerate(rows()):
        if row["model"] in NAMED or number % SHARE == random_search.SEED % SHARE:
            found[row["model"], resolution_of(row)].append(row)
    return found


MEASURED = measured()

FAMILIES = {
    "tv/googlenet": "inception5b",
    "tv/shufflenet_v2_x0_5": "conv5",
    "tv/mnasnet0_5": "layers",
    "tv/r3d_18": "layer2",
    "tv/vit_b_32": "conv_proj",
    "timmf/vovnet39a": "#2",
    "timmf/selecsls42": "#2",
    "timmf/ghostnet_100": "#2",
    "timmf/regnetx_002": "#2",
    "timmf/repvgg_a0": "#2",
}
"""One network of a family -> a part of it that sees a part of the image."""


@pytest.mark.random
@pytest.mark.parametrize(
    ("name", "resolution"), MEASURED, ids=lambda part: str(part).replace(" ", "")
)
def test_measured(name, resolution):
    model = load(built(name), resolution=resolution)
    for row in MEASURED[name, resolution]:
        field = rf.compute_receptive_field(
            model, output=output_of(row["layer"]), input_resolution=resolution
        )
        assert list(held(row, field)) == [], row["layer"]


@pytest.mark.parametrize("name", FAMILIES)
def test_every_module_of_a_family(name):
    model = load(built(name))
    fields = rf.compute_receptive_fields(model)
    at_a_size = rf.compute_receptive_fields(
        model, input_resolution=SIZES.get(name, [224, 224])
    )
    assert not at_a_size.errors
    part = rf.compute_receptive_field(model, output=FAMILIES[name]).local
    assert part.exact
    for layer in set(fields) & set(at_a_size):
        one, other = fields[layer], at_a_size[layer]
        if one.exact and other.exact:
            assert list(one.size) == list(other.size)


SIZES = {"tv/r3d_18": [8, 112, 112]}
