"""Questions about positions, held against arithmetic and experiment."""

import json

import numpy as np
import pytest
from graphs import add, conv, graph_def, pad, placeholder
from needed import needed
from random_search import seeds
from test_cli import POOL, answer, run

import receptive_field as rf


def field_of(*nodes, size=None, **options):
    options.setdefault("input_resolution", size)
    return rf.compute_receptive_field(graph_def(*nodes), **options)


def misaligned():
    """Two paths with different strides, so that windows move apart."""
    return (
        placeholder(),
        conv("one", "input", kernel=3, stride=2),
        conv("two", "input", kernel=3, stride=3),
        add("sum", "one", "two"),
    )


# --- The region of a box of features --------------------------------------------------


def hull(regions):
    """The hull of regions, as (first, last) per axis; empty ones do not count."""
    flat = regions.reshape(-1, *regions.shape[-2:])
    some = flat[(flat[..., 0] <= flat[..., 1]).all(axis=-1)]
    if not len(some):
        return [[0, -1]] * flat.shape[1]
    return np.stack([some[..., 0].min(0), some[..., 1].max(0)], -1).tolist()


def grid_of(first, last):
    counts = np.subtract(last, first) + 1
    return np.moveaxis(np.indices(counts), 0, -1) + first


def test_the_box_of_a_chain_follows_the_formula():
    field = field_of(
        placeholder(),
        conv("one", "input", kernel=3, stride=2, padding="SAME"),
        conv("two", "one", kernel=5, padding="SAME"),
        size=[20, 20],
    )
    # Padding before: 0 in the first layer, 2 in the second, at stride 2.
    assert field.compute_box_region([1, 0], [3, 9]).tolist() == [
        [2 - 4, 6 - 4 + 10],
        [-4, 18 - 4 + 10],
    ]
    assert field.compute_box_region([1, 0], [3, 9], clip=True).tolist() == [
        [0, 12],
        [0, 19],
    ]


def test_the_box_of_a_misaligned_network_has_all_windows():
    """Feature u sees 2u to 2u + 2, and 3u to 3u + 2."""
    field = field_of(*misaligned(), output="sum")
    assert field.compute_box_region([2, 0], [5, 1]).tolist() == [[4, 17], [0, 5]]


def test_the_box_at_a_mirrored_border():
    """Feature 0 sees the mirrored positions 6 to 8, and feature 8 sees 0 to 2."""
    field = field_of(
        placeholder(),
        pad("padded", "input", 8, 8, op="MirrorPad"),
        conv("conv", "padded", kernel=3),
        size=[32, 32],
    )
    assert field.compute_box_region([0, 8], [2, 9]).tolist() == [[4, 8], [0, 3]]
    regions = field.compute_input_region(grid_of([0, 0], [3, 20]))
    assert field.compute_box_region([0, 0], [3, 20]).tolist() == hull(regions)


@pytest.mark.random
@pytest.mark.parametrize("seed", seeds("boxes", 12))
def test_boxes_and_masks_of_random_networks(seed):
    """The region and the pixels of single features are held against experiment."""
    needed("tensorflow")
    from dependency import analysed
    from random_networks import possible

    random = np.random.default_rng(seed)
    field = analysed(possible(seed))
    counts = [axis.size or 1 for axis in field.feature_axes]
    support = field.support()
    for _ in range(5):
        ends = [sorted(random.integers(0, n, 2).tolist()) for n in counts]
        first, last = (list(corner) for corner in zip(*ends, strict=True))
        grid = grid_of(first, last)
        for clip in (False, True):
            regions = field.compute_input_region(grid, clip=clip)
            assert field.compute_box_region(first, last, clip).tolist() == hull(regions)
    coordinates = grid_of([0] * len(counts), [n - 1 for n in counts])
    coordinates = coordinates.reshape(-1, len(counts))
    chosen = random.random(len(coordinates)) < random.choice([0.05, 0.5])
    order = sorted(
        (axis.output_axis, i)
        for i, axis in enumerate(field.feature_axes)
        if axis.output_axis is not None
    )
    features = np.zeros([counts[i] for _, i in order], dtype=bool)
    pixels = np.zeros_like(support.seen())
    for y in coordinates[chosen]:
        features[tuple(y[i] for _, i in order)] = True
        pixels |= support.mask(y)
    assert (support.mask_of(features) == pixels).all()


def test_the_box_of_tokens():
    """Tokens 1 to 3 of a 3 x 3 map are at (1, 0), (2, 0) and (0, 1)."""
    field = rf.compute_receptive_field(tokens())
    assert field.compute_box_region([1], [3]).tolist() == [[0, 11], [0, 7]]
    assert field.compute_box_region([1], [3], clip=True).tolist() == [[0, 11], [0, 7]]
    seen = field.support().mask_of(np.arange(9) % 4 == 1)  # (1, 0) and (2, 1)
    assert seen.sum() == 2 * 16
    assert seen[:4, 4:8].all()
    assert seen[4:8, 8:].all()


def tokens():
    keras = needed("keras")
    image = keras.Input((12, 12, 1))
    patches = keras.layers.Conv2D(1, 4, strides=4)(image)
    return keras.Model(image, keras.layers.Reshape((9, 1))(patches))


def test_a_large_mask_takes_little_time():
    field = field_of(placeholder(), conv("conv", "input", kernel=5), size=[1024, 1024])
    features = np.zeros([1020, 1020], dtype=bool)
    features[np.arange(1020), np.arange(1020)] = True
    pixels = field.support().mask_of(features)
    distances = np.abs(np.subtract.outer(np.arange(1024), np.arange(1024)))
    assert (pixels == (distances < 5)).all()


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda f: f.compute_box_region([0], [1]), "x along axis 2 of the output"),
        (lambda f: f.compute_box_region([0, 0.5], [1, 1]), "one integer for each"),
        (lambda f: f.compute_box_region([[0, 0]], [1, 1]), "shape (1, 2)"),
        (lambda f: f.compute_box_region([2, 0], [1, 1]), "may be smaller"),
        (lambda f: f.compute_box_region([0, 0], [1, 8], clip=True), "0 to 5"),
        (lambda f: f.support().box_region([2, 0], [1, 1]), "may be smaller"),
        (lambda f: f.support([[1, 1]]).box_region([1, 1], [2, 1]), "does not contain"),
        (lambda f: f.support().mask_of(np.zeros([6, 6])), "type float64"),
        (lambda f: f.support().mask_of(np.zeros([6], bool)), "of shape (6, 6)"),
        (lambda f: f.support([[1, 1]]).mask_of(np.ones([6, 6], bool)), "not contain"),
    ],
)
def test_what_is_no_box_or_mask(ask, message):
    field = field_of(placeholder(), conv("conv", "input"), size=[8, 8])
    with pytest.raises(rf.ReceptiveFieldError) as caught:
        ask(field)
    assert message in str(caught.value)


def test_a_box_outside_the_map_is_told():
    field = field_of(placeholder(), conv("conv", "input"), size=[8, 8])
    with pytest.warns(rf.OutsideMapWarning, match="there is no feature"):
        assert field.compute_box_region([0, 0], [6, 5]).tolist() == [[0, 8], [0, 7]]


def test_the_box_of_features_on_the_command_line():
    asked = ("compute", rf.EXAMPLE_GRAPH, "--output", POOL)
    text = answer(*asked, "--resolution", "64x64", "--features", "0,3:4,5")
    assert "  x: -2 to 28 (31), inside the input 0 to 28 (29)" in text
    assert "inside" not in answer(*asked, "--features", "0,3")
    told = json.loads(answer(*asked, "--features", "0,3:4,5", "--format", "json"))
    assert told["features"] == {
        "first": [0, 3],
        "last": [4, 5],
        "region": [[-2, 28], [10, 32]],
        "clipped": None,
    }
    for given in ("", "1,2:", "a,b", "1:2:3"):
        done = run(*asked, "--features", given)
        assert done.returncode == 2
        assert "is not a box of features" in done.stderr
    done = run(*asked, "--features", "3:4")
    assert (done.returncode, done.stdout) == (1, "")
    assert "coordinates must have 2 entries" in done.stderr


# --- Physical units -------------------------------------------------------------------


def heard(size=16000):
    """Frames of 25 ms every 10 ms at 16 kHz, and two frames before each."""
    keras = needed("keras")
    sound = keras.Input((size, 1), name="sound")
    frames = keras.layers.Conv1D(1, 400, strides=160, name="frames")(sound)
    return keras.Model(sound, keras.layers.Conv1D(1, 3, padding="causal")(frames))


def test_a_field_in_milliseconds():
    found = rf.compute_receptive_field(heard()).in_units(1000 / 16000, "ms")
    assert found.size.tolist() == [25 + 2 * 10]
    assert found.stride.tolist() == [10]
    assert found.padding.tolist() == [20]
    assert found.input_size == (1000,)
    assert found.compute_input_region([[0], [7]]).tolist() == [[[-20, 25]], [[50, 95]]]
    assert found.compute_input_region([0], clip=True).tolist() == [[0, 25]]
    assert found.compute_box_region([0], [7]).tolist() == [[-20, 95]]
    assert found.compute_input_center_coordinates([0.5]).tolist() == [2.5 + 5]
    assert found.to_dict() == {
        "unit": "ms",
        "spacing": [0.0625],
        "input_size": [1000],
        "size": [45],
        "stride": [10],
        "padding": [20],
        "first_center": [2.5],
    }


def test_a_volume_in_millimetres():
    """Slices of 5 mm, and pixels of 0.7 mm; 0.7 times 3 is 2.1."""
    keras = needed("keras")
    volume = keras.Input((10, 30, 20, 1))  # z, y, x
    scores = keras.layers.Conv3D(1, (1, 3, 5), padding="same")(volume)
    field = rf.compute_receptive_field(keras.Model(volume, scores))
    found = field.in_units([0.7, 0.7, 5], "mm")
    assert found.size.tolist() == pytest.approx([3.5, 2.1, 5])
    assert found.input_size == pytest.approx((14, 21, 50))
    lines = dict(line.split("  ", 1) for line in str(found).splitlines())
    told = {label.strip(): text.strip() for label, text in lines.items()}
    assert told["receptive field"] == (
        "x: 3.5, y: 2.1, z: 5 mm (x: 5, y: 3, z: 1 positions)"
    )
    assert told["spacing"] == "x: 0.7, y: 0.7, z: 5 mm per position"


def test_what_has_no_number_has_none_in_units():
    unknown = field_of(*misaligned(), output="sum").in_units(2, "m")
    assert unknown.size.tolist() == [np.inf, np.inf]
    assert unknown.stride.tolist() == [None, None]
    assert unknown.input_size == (None, None)
    assert unknown.to_dict()["size"] == ["inf", "inf"]
    assert unknown.to_dict()["first_center"] == [3, 3]  # 0 to 2, twice as long
    keras = needed("keras")
    image = keras.Input((8, 8, 1))
    mean = keras.layers.GlobalAveragePooling2D(keepdims=True)(image)
    both = keras.layers.Add()([image, mean])
    found = rf.compute_receptive_field(keras.Model(image, both)).in_units(2, "m")
    ends = [[-np.inf, np.inf]] * 2
    assert found.compute_input_region([0, 0]).tolist() == ends
    assert found.to_dict()["first_center"] is None
    assert "local paths only   receptive field 2 x 2 m (1 x 1 positions)" in str(found)


@pytest.mark.parametrize(
    ("spacing", "unit", "message"),
    [
        (None, "ms", "requires a spacing"),
        (1, None, "requires the name of its unit"),
        (1, "", "the name of a unit is a text"),
        (1, 5, "the name of a unit is a text"),
        ([1, 2, 3], "mm", "has 2 spatial axes (x, y), but the spacing has 3"),
        ([], "mm", "the spacing has 0 numbers"),
        (0, "mm", "a positive number"),
        ([1, -1], "mm", "a positive number"),
        (float("nan"), "mm", "a positive number"),
        (float("inf"), "mm", "a positive number"),
        (True, "mm", "a positive number"),
        ("1", "mm", "a positive number"),
        ([[1, 2]], "mm", "a positive number"),
        (object(), "mm", "a positive number"),
    ],
)
def test_what_is_no_spacing(spacing, unit, message):
    field = field_of(placeholder(), conv("conv", "input"))
    with pytest.raises(rf.ReceptiveFieldError) as caught:
        field.in_units(spacing, unit)
    assert message in str(caught.value)


def test_units_on_the_command_line():
    asked = ("compute", rf.EXAMPLE_GRAPH, "--output", POOL)
    text = answer(*asked, "--spacing", "0.5,2", "--unit", "mm")
    assert "receptive field    x: 7.5, y: 30 mm (15 x 15 positions)" in text
    told = json.loads(
        answer(*asked, "--spacing", "2", "--unit", "mm", "--format", "json")
    )
    assert told["in_units"]["size"] == [30, 30]
    assert told["size"] == [15, 15]
    table = answer(
        *("layers", rf.EXAMPLE_GRAPH, "--filter", POOL, "--format", "csv"),
        *("--spacing", "0.5", "--unit", "mm"),
    )
    head, row = table.splitlines()
    assert head.split(",")[3:7] == [
        *("receptive field (mm)", "stride (mm)"),
        *("padding (mm)", "first centre (mm)"),
    ]
    assert row.split(",")[3:7] == ["7.5", "2", "1", "2.75"]  # from -1 to 6.5
    for given in (("--unit", "mm"), ("--spacing", "1"), ("--spacing", "1,2,3")):
        done = run(*asked, *given)
        assert (done.returncode, done.stdout) == (1, "")
        assert "spacing" in done.stderr
    assert run(*asked, "--spacing", "a", "--unit", "mm").returncode == 2
