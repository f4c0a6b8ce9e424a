"""Networks of torchvision and timm, as modules, against what was measured there.

All rows: ``python -m tests.torch_networks``. Many more networks, without a measurement:
``python scripts/torch_models.py``.
"""

from __future__ import annotations

import pytest
from torch_networks import HEIGHT, held, network, output_of, rows

import receptive_field as rf

NAMED = ("timmf/hrnet_w18", "tv/lraspp_mobilenet_v3_large", "tv/fcn_resnet50")
"""Networks of which every row is tried: misaligned ones, and ones that resize."""

ROWS = [row for i, row in enumerate(rows()) if i % 4 == 0 or row["model"] in NAMED]

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


@pytest.mark.parametrize(
    "row", ROWS, ids=[f"{r['model']}-{r['layer']}-{r['axis']}" for r in ROWS]
)
def test_measured(row):
    resolution = [HEIGHT, int(row["input_length"])]
    if row["axis"] == "y":
        resolution.reverse()
    field = rf.compute_receptive_field(
        network(row["model"]),
        output=output_of(row["layer"]),
        input_resolution=resolution,
    )
    assert list(held(row, field)) == []


@pytest.mark.parametrize("name", FAMILIES)
def test_every_module_of_a_family(name):
    fields = rf.compute_receptive_fields(network(name))
    at_a_size = rf.compute_receptive_fields(
        network(name), input_resolution=SIZES.get(name, [224, 224])
    )
    assert not at_a_size.errors
    part = rf.compute_receptive_field(network(name), output=FAMILIES[name]).local
    assert part.exact
    for layer in set(fields) & set(at_a_size):
        one, other = fields[layer], at_a_size[layer]
        if one.exact and other.exact:
            assert list(one.size) == list(other.size)


SIZES = {"tv/r3d_18": [8, 112, 112]}
