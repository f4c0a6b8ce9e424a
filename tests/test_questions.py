"""Questions about positions, held against arithmetic and experiment."""

import csv
import doctest
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from graphs import add, constant, conv, graph_def, node, pad, placeholder
from needed import needed
from random_search import seeds
from test_cli import POOL, answer, run

import receptive_field as rf
from receptive_field.cli import main
from receptive_field.results import support


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


def test_a_mask_on_the_command_line(tmp_path):
    source, target = tmp_path / "features.npy", tmp_path / "pixels.npy"
    features = np.zeros([14, 14], dtype=bool)
    features[3, 3] = features[9, 3] = True
    np.save(source, features)
    asked = ("compute", rf.EXAMPLE_GRAPH, "--output", POOL, "--resolution", "64x64")
    text = answer(*asked, "--seen-by", source, target)
    assert "2 features see 450 of 4096 pixels (exact); written to " in text
    pixels = np.load(target)
    assert pixels[10:25, 10:25].all()
    assert pixels[34:49, 10:25].all()
    assert pixels.sum() == 450
    (tmp_path / "text.npy").write_text("no array")
    for given, message in (
        ((source, tmp_path / "no" / "pixels.npy"), "its folder does not exist"),
        ((tmp_path / "missing.npy", target), "cannot read"),
        ((tmp_path / "text.npy", target), "cannot read"),
        ((target, target), "is a boolean array of shape (14, 14)"),
        ((source, rf.EXAMPLE_GRAPH), "the model is read from this file"),
    ):
        done = run(*asked, "--seen-by", *given)
        assert (done.returncode, done.stdout) == (1, "")
        assert message in done.stderr
    told = json.loads(answer(*asked, "--seen-by", source, target, "--format", "json"))
    assert told["seen_by"]["pixels"] == 450


def test_the_example_of_a_mask():
    results = doctest.testmod(support)
    assert results.attempted
    assert not results.failed


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
    for given in (("--unit", "mm"), ("--spacing", "1"), ("--spacing", "1,2,3")):
        done = run(*asked, *given)
        assert (done.returncode, done.stdout) == (1, "")
        assert "spacing" in done.stderr
    assert run(*asked, "--spacing", "a", "--unit", "mm").returncode == 2


def test_a_box_of_features_in_units():
    """Feature u of the pool sees 15 pixels from 4 * u - 2, of 0.5 and 2 mm."""
    asked = ("compute", rf.EXAMPLE_GRAPH, "--output", POOL, "--features", "1,1:3,2")
    asked += ("--resolution", "64x64", "--spacing", "0.5,2", "--unit", "mm")
    text = answer(*asked)
    assert "  x: 1 to 12.5 mm (11.5 mm), inside the input 1 to 12.5 mm" in text
    assert "  y: 4 to 42 mm (38 mm), inside the input 4 to 42 mm" in text
    told = json.loads(answer(*asked, "--format", "json"))["features"]
    assert told["region"] == [[2, 24], [2, 20]]
    assert told["in_units"] == {
        "unit": "mm",
        "region": [[1, 12.5], [4, 42]],
        "clipped": [[1, 12.5], [4, 42]],
    }


def test_a_box_outside_the_map_is_an_error_without_a_warning():
    asked = ("compute", rf.EXAMPLE_GRAPH, "--output", POOL, "--features", "0,0:99,0")
    done = run(*asked, "--resolution", "64x64")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")
    assert "Warning" not in done.stderr


def test_a_table_in_units():
    """Pixels of 0.5 mm along x and of 2 mm along y."""
    fields = rf.compute_receptive_fields(rf.EXAMPLE_GRAPH)
    found = fields.in_units([0.5, 2], "mm")
    assert (found.spacing, found.unit) == ((0.5, 2), "mm")
    assert (len(found), list(found)) == (len(fields), list(fields))
    assert found[POOL].size.tolist() == [15 * 0.5, 15 * 2]
    assert POOL in found
    assert repr(found) == f"<FieldsInUnits: {len(fields)} tensors in mm, 0 errors>"
    assert found.to_dict()["fields"][POOL]["stride"] == [4 * 0.5, 4 * 2]
    (line,) = [text for text in str(found).splitlines() if text.startswith(f"{POOL} ")]
    assert "  7.5 x 30  " in line  # The size.
    assert "  2 x 8  " in line  # The stride.
    for text in (str(found), found._repr_html_()):
        assert "receptive field (mm)" in text
        assert "first centre (mm)" in text
        assert "layer stride (mm)" not in text
    with pytest.raises(rf.ReceptiveFieldError, match="Did you mean"):
        found[POOL[:-1]]
    with pytest.raises(rf.ReceptiveFieldError, match="has 3 numbers"):
        fields.in_units([1, 2, 3], "mm")


def test_lengths_are_those_of_decimal_numbers(tmp_path, capsys):
    """3 positions of 0.7 mm are 2.1 mm, although 3 * 0.7 is no float of 2.1."""
    path = tmp_path / "conv.pb"
    nodes = placeholder(sizes=(1, 9, 9, 1)), conv("conv", "input")
    path.write_bytes(graph_def(*nodes).SerializeToString())
    placed = rf.compute_receptive_field(str(path)).in_units(0.7, "mm")
    assert placed.size.tolist() == [2.1, 2.1]
    assert placed.compute_input_region([0, 6]).tolist() == [[0, 2.1], [4.2, 6.3]]
    assert placed.compute_input_center_coordinates([0, 1]).tolist() == [1.05, 1.75]
    ahead = placed.look_ahead()
    assert (ahead.look_ahead, ahead.latency) == ((1.4, 1.4), (2.1, 2.1))
    tiny = rf.compute_receptive_field(str(path)).in_units(5e-324, "mm")
    assert tiny.compute_input_region([0, 0])[:, 1].tolist() == [1.5e-323] * 2
    given = ("--spacing", "0.7", "--unit", "mm", "--format", "csv")
    assert main(["layers", str(path), *given, "--columns", "receptive field"]) == 0
    assert capsys.readouterr().out == "rf_x_mm,rf_y_mm\n2.1,2.1\n"


def test_layers_that_cover_a_length():
    found = rf.compute_receptive_fields(rf.EXAMPLE_GRAPH)
    placed = found.in_units([0.5, 2], "mm")
    for size, positions in ((20, [40, 10]), ([7.4, 30], [15, 15]), ([7.6, 1], [16, 1])):
        assert list(placed.covering(size)) == list(found.covering(positions))
    assert placed.covering(20).unit == "mm"
    for size in (-1, "20", [1, 2, 3]):
        with pytest.raises(rf.ReceptiveFieldError, match="the size"):
            placed.covering(size)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("layers", "--covering", "10mm"), "divide 10 by the mm from one position"),
        (("check", "--min-size", "2.5 ms"), "divide 2.5 by the ms from one position"),
        (("reach", "40mm"), "sizes count positions of the input"),
        (("compute", "--resolution", "20mm"), "or 'unknown'. Here, sizes count"),
        (("check", "--min-size", "1", "--unit", "mm"), "Only compute and layers show"),
    ],
)
def test_lengths_where_positions_are_asked_for(arguments, message, capsys):
    command, *rest = arguments
    with pytest.raises(SystemExit) as ended:
        main([command, str(rf.EXAMPLE_GRAPH), *rest])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_the_order_of_sizes_is_told_as_they_are_typed(tmp_path, capsys):
    path = tmp_path / "conv.pb"
    path.write_bytes(
        graph_def(placeholder(), conv("conv", "input")).SerializeToString()
    )
    assert main(["layers", str(path), "--covering", "2x3x4"]) == 1
    shown = capsys.readouterr().err
    assert "HEIGHTxWIDTH" in shown
    assert shown.endswith("got 2x3x4.\n")


def test_a_data_frame_in_units():
    needed("pandas")
    found = rf.compute_receptive_fields(rf.EXAMPLE_GRAPH).in_units([0.5, 2], "mm")
    row = found.to_dataframe().set_index("layer").loc[POOL]
    assert (row.rf_x_mm, row.rf_y_mm, row.local_rf_y_mm) == (7.5, 30, 30)
    # The first of 15 pixels is 2 to the left of the image: (15 / 2 - 2) * 0.5 mm.
    assert (row.padding_x_mm, row.center_x_mm) == (1, 2.75)
    assert row.kernel_x == 3


def test_what_cannot_be_analysed_is_an_error_in_units_too():
    nodes = (placeholder(), conv("conv", "input"), node("odd", "Odd", ["conv"]))
    fields = rf.compute_receptive_fields(graph_def(*nodes), input="input")
    found = fields.in_units(2, "mm")
    assert list(found.errors) == list(fields.errors) == ["odd"]
    assert "odd" not in found
    with pytest.raises(rf.ReceptiveFieldError, match="Odd"):
        found["odd"]


def test_tables_in_units_on_the_command_line():
    asked = ("layers", rf.EXAMPLE_GRAPH, "--filter", POOL, "--spacing", "0.5,2")
    (row,) = csv.DictReader(
        io.StringIO(answer(*asked, "--unit", "mm", "--format", "csv"))
    )
    assert (row["rf_x_mm"], row["rf_y_mm"], row["stride_x_mm"]) == ("7.5", "30", "2")
    assert (row["kernel_x"], row["layer_stride_x"]) == ("3", "2")
    (row,) = json.loads(answer(*asked, "--unit", "mm", "--format", "json"))
    assert row["receptive field (mm)"] == [7.5, 30]
    columns = ("--columns", "receptive field,kernel", "--format", "markdown")
    text = answer(*asked, "--unit", "mm", *columns)
    assert text.splitlines()[0] == "| receptive field (mm) | kernel |"
    assert "--spacing 0.5,2.0 --unit mm" in run(*asked).stderr
    done = run(*asked[:-2], "--unit", "mm")
    assert (done.returncode, done.stdout) == (1, "")
    assert "such as --spacing 0.0625 --unit mm" in done.stderr


# --- Looking ahead --------------------------------------------------------------------


def seen_by(model, size):
    """Which positions each feature of a linear 1-D model sees, by experiment."""
    return np.asarray(model(np.eye(size)[:, :, None]))[:, :, 0].T != 0


def sequence(*made):
    keras = needed("keras")
    x = y = keras.Input((None, 1))
    for layer in made:
        y = layer(y)
    return keras.Model(x, y)


def layer_1d(random):
    layers = needed("keras").layers
    kernel, stride = (int(n) for n in random.integers(1, 4, 2))
    plain = {"use_bias": False, "kernel_initializer": "ones"}
    padding = str(random.choice(["causal", "causal", "same", "valid"]))
    dilation = int(random.integers(1, 4))
    return [
        lambda: layers.Conv1D(1, kernel, stride, padding, **plain),
        lambda: layers.Conv1D(1, kernel, 1, padding, dilation_rate=dilation, **plain),
        lambda: layers.UpSampling1D(stride),
        lambda: layers.Conv1DTranspose(1, kernel, stride, padding="valid", **plain),
        lambda: layers.AveragePooling1D(kernel, stride, padding="valid"),
        lambda: layers.ZeroPadding1D((kernel, 0)),
        lambda: layers.Cropping1D((0, kernel)),
    ][random.integers(7)]()


@pytest.mark.slow
@pytest.mark.random
@pytest.mark.parametrize("seed", seeds("look-ahead", 8))
def test_look_ahead_of_random_models(seed):
    random = np.random.default_rng(seed)
    model = sequence(*(layer_1d(random) for _ in range(random.integers(1, 4))))
    field = rf.compute_receptive_field(model)
    found = field.look_ahead()
    (stride,), (causal,), late = found.stride, found.causal, []
    for size in (*range(30, 40), 60):
        seen = seen_by(model, size)
        at_size = rf.compute_receptive_field(model, input_resolution=[size])
        told = at_size.look_ahead()
        assert found.causal[0] is not True or told.causal[0] is True
        u, x = seen.nonzero()
        begin = np.array([int(i * stride // 1) for i in u])
        end = np.array([-int(-(i + 1) * stride // 1) - 1 for i in u])
        most = (max(x - begin), max(begin - x), max(x - end))
        for one in (found, told):
            (ahead,), (back,), (beyond,) = (
                one.look_ahead,
                one.look_back,
                one.beyond_step,
            )
            assert ahead >= most[0]
            assert back >= most[1]
            assert beyond >= most[2]
            # Paddings hide what the features at the borders see.
            if one.exact[0] and size == 60:
                assert (ahead, back, beyond) == most
        late.append(most[2] > 0)
    assert causal is not True or not any(late)
    assert causal is not False or any(late)


def test_look_ahead_without_a_step():
    """The stride of a resize to a fixed size depends on the size of the input."""
    graph = (
        placeholder(sizes=(1, None, None, 1)),
        constant("size", [20, 20]),
        node("small", "ResizeBilinear", ["input", "size"]),
    )
    found = field_of(*graph).look_ahead()
    assert found.stride == found.look_ahead == (None, None)
    told = dict(line.split("  ", 1) for line in str(found).splitlines())
    assert told["step"].strip().startswith("n/a (features without a positive stride")
    assert {told[name].strip() for name in ("looks ahead", "looks back")} == {"unknown"}
    assert "None" not in str(found) + str(found.in_units(2, "mm"))


def test_look_ahead_of_known_models():
    layers = needed("keras").layers
    tcn = sequence(*(layers.Conv1D(1, 3, 1, "causal", dilation_rate=d) for d in (1, 4)))
    found = rf.compute_receptive_field(tcn).look_ahead()
    assert (found.look_ahead, found.look_back, found.causal) == ((0,), (10,), (True,))
    assert found.latency == (1,)
    found = rf.compute_receptive_field(heard()).look_ahead()
    assert (found.look_ahead, found.beyond_step) == ((399,), (400 - 160,))
    assert (found.look_back, found.causal) == ((320,), (False,))
    in_ms = found.in_units(1 / 16, "ms")
    assert (in_ms.latency, in_ms.beyond_step, in_ms.look_back) == ((25,), (15,), (20,))
    assert in_ms.in_units(1000, "us").latency == (400_000,)  # From positions again.
    assert found.to_dict()["latency"] == [400]


def test_causal_at_one_size_is_not_causal_at_every_size():
    """With SAME padding, a kernel of 4 at stride 3 begins at 0 or at -1."""
    layers = needed("keras").layers
    model = sequence(layers.Conv1D(1, 4, 3, "same"))
    for size, causal in ((30, False), (31, None)):
        # Padding in total: 9 * 3 + 4 - 30 = 1, so 0 before; 10 * 3 + 4 - 31 = 3.
        found = rf.compute_receptive_field(model, input_resolution=[size]).look_ahead()
        assert found.causal == (causal,)
    assert rf.compute_receptive_field(model).look_ahead().causal == (None,)


def test_what_sees_a_whole_axis_is_not_proven_to_be_causal():
    layers = needed("keras").layers
    model = sequence(layers.LSTM(1, return_sequences=True))
    found = rf.compute_receptive_field(model).look_ahead()
    assert found.causal == (None,)
    assert "causal             not proven" in str(found)
    keras = needed("keras")
    x = keras.Input((8, 1))
    mean = layers.GlobalAveragePooling1D(keepdims=True)(x)
    field = rf.compute_receptive_field(keras.Model(x, layers.Add()([x, mean])))
    assert field.look_ahead().causal == (None,)
    assert field.look_ahead().to_dict()["look_ahead"] == ["inf"]
    local = field.without_global_context().look_ahead()
    assert (local.look_ahead, local.causal) == ((0,), (True,))
    with pytest.raises(rf.ReceptiveFieldError, match="are folded"):
        rf.compute_receptive_field(tokens()).look_ahead()


def test_look_ahead_on_the_command_line():
    name = "InceptionResnetV2/Conv2d_1a_3x3/Relu"
    asked = ("compute", rf.EXAMPLE_GRAPH, "--output", name)
    assert "looks ahead        2 x 2 positions" in answer(*asked, "--look-ahead")
    text = answer(*asked, "--look-ahead", "--spacing", "0.5", "--unit", "mm")
    assert "latency            1.5 x 1.5 mm" in text
    told = json.loads(answer(*asked, "--look-ahead", "--format", "json"))
    assert told["look_ahead"]["causal"] == [False, False]


# --- Features without padding ---------------------------------------------------------


def averaging(random):
    """A layer that keeps an image of ones as it is, where it sees no padding."""
    layers = needed("keras").layers
    kernel, other = (int(n) for n in random.integers(1, 6, 2))
    stride, dilation = (int(n) for n in random.integers(1, 4, 2))
    padding = str(random.choice(["same", "valid"]))

    def mean(**options):
        return layers.Conv2D(
            1,
            (kernel, other),
            padding=padding,
            use_bias=False,
            kernel_initializer=lambda shape, dtype=None: np.full(
                shape, 1 / (kernel * other), np.float32
            ),
            **options,
        )

    return [
        lambda: mean(strides=stride),
        lambda: mean(dilation_rate=dilation),
        lambda: layers.UpSampling2D((stride, 1)),
        lambda: layers.ZeroPadding2D(((kernel, 0), (0, other))),
        lambda: layers.Cropping2D(((0, kernel), (other, 0))),
        lambda: layers.AveragePooling2D(stride, stride, padding="valid"),
    ][random.choice(6, p=[0.3, 0.2, 0.1, 0.2, 0.1, 0.1])]()


@pytest.mark.slow
@pytest.mark.random
@pytest.mark.parametrize("seed", seeds("padding", 8))
def test_features_without_padding_of_random_models(seed):
    """Where an image of ones stays at one, no zero was averaged in."""
    keras = needed("keras")
    random = np.random.default_rng(seed)
    y = x = keras.Input((24, 31, 1))
    for _ in range(random.integers(1, 5)):
        y = averaging(random)(y)
        if min(y.shape[1:3]) < 16:  # A dilated kernel spans 13.
            break
    if random.random() < 0.3 and y is not x:
        height, width = y.shape[1:3]
        z = averaging(random)(x)
        rows, columns = min(height, z.shape[1]), min(width, z.shape[2])
        y = keras.layers.Average()([y[:, :rows, :columns], z[:, :rows, :columns]])
    model = keras.Model(x, y)
    found = rf.compute_receptive_field(model).features_without_padding()
    truth = np.asarray(model(np.ones((1, 24, 31, 1))))[0, ..., 0] > 1 - 1e-5
    assert not (found.mask() & ~truth).any()
    if found.exact:
        assert (found.mask() == truth).all()


def test_features_between_two_padded_maps_that_are_joined():
    keras = needed("keras")
    image = keras.Input((30, 40, 1))
    one, two = (
        keras.layers.Conv2D(1, kernel, padding="same")(image) for kernel in (3, 5)
    )
    joined = keras.layers.Concatenate(axis=1)([one, two])
    found = rf.compute_receptive_field(keras.Model(image, joined))
    across, down = found.features_without_padding().runs
    assert down == [(1, 28), (32, 57)]
    assert across == [(2, 37)]  # Of both maps; the first alone has two more.
    assert not found.features_without_padding().exact
    assert "y: 1 to 28 and 32 to 57" in str(found.features_without_padding())


def test_no_feature_is_without_padding():
    keras = needed("keras")
    image = keras.Input((8, 8, 1))
    wide = keras.layers.Conv2D(1, 17, padding="same")(image)
    found = rf.compute_receptive_field(keras.Model(image, wide))
    assert found.features_without_padding().runs == ([], [])
    unpadded = found.features_without_padding()
    assert str(unpadded) == "without padding    none"
    doubtful = replace(unpadded, exact=False)
    assert str(doubtful) == "without padding    none that is known"
    mean = keras.layers.GlobalAveragePooling2D(keepdims=True)(image)
    scores = keras.layers.Conv2D(1, 3, padding="same")(image)
    both = rf.compute_receptive_field(
        keras.Model(image, keras.layers.Add()([scores, mean]))
    )
    assert both.features_without_padding().runs == ([], [])
    assert not both.features_without_padding().exact
    local = both.without_global_context().features_without_padding()
    assert local.runs == ([(1, 6)], [(1, 6)])


def test_what_has_no_features_without_padding():
    field = field_of(placeholder(), conv("conv", "input"))
    with pytest.raises(rf.ReceptiveFieldError, match="Give input_resolution"):
        field.features_without_padding()
    with pytest.raises(rf.ReceptiveFieldError, match="are folded"):
        rf.compute_receptive_field(tokens()).features_without_padding()


def test_features_without_padding_on_the_command_line():
    asked = ("compute", rf.EXAMPLE_GRAPH, "--output", POOL, "--resolution", "64x64")
    assert "without padding    1 to 12 x 1 to 12" in answer(*asked)
    told = json.loads(answer(*asked, "--format", "json"))
    runs = [[[1, 12]], [[1, 12]]]
    assert told["features_without_padding"] == {"runs": runs, "exact": True}


# --- Tiles ----------------------------------------------------------------------------


def in_double_precision(build):
    """A Keras model whose input and layers have double precision."""
    keras = needed("keras")
    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    try:
        x = keras.Input((None, None, 1))
        return keras.Model(x, build(x))
    finally:
        keras.config.set_floatx(before)


def tile_by_tile(model, image, tiles, shape):
    """The result for an image, put together from tiles; each feature once."""
    found = np.full(shape, np.nan)
    for tile in tiles:
        part = np.asarray(model(image[(slice(None), *tile.input)]))
        place = (slice(None), *tile.output)
        assert np.isnan(found[place]).all()
        found[place] = part[(slice(None), *tile.kept)]
    assert not np.isnan(found).any()
    return found


def tiled_layer(random):
    layers = needed("keras").layers
    kernel, stride, dilation = (int(n) for n in random.integers(1, 4, 3))
    padding = {"padding": str(random.choice(["same", "valid"]))}
    return [
        lambda: layers.Conv2D(2, kernel, strides=stride, **padding),
        lambda: layers.Conv2D(2, kernel, dilation_rate=dilation, **padding),
        lambda: layers.Conv2D(2, kernel, activation="relu", **padding),
        lambda: layers.Conv2DTranspose(2, kernel + 1, strides=stride, **padding),
        lambda: layers.MaxPooling2D(kernel, stride, **padding),
        lambda: layers.AveragePooling2D(kernel, stride, **padding),
        lambda: layers.UpSampling2D(stride),
        lambda: layers.UpSampling2D(2, interpolation="bilinear"),
        lambda: layers.ZeroPadding2D(((kernel, 0), (0, stride))),
        lambda: layers.Cropping2D(((0, kernel), (stride, 0))),
    ][random.integers(10)]()


@pytest.mark.slow
@pytest.mark.random
@pytest.mark.parametrize("seed", seeds("tiles", 10))
def test_tiles_of_random_models_give_what_the_image_gives(seed):
    random = np.random.default_rng(seed)
    made = int(random.integers(1, 5))

    def build(x):
        for _ in range(made):
            x = tiled_layer(random)(x)
        return x

    model = in_double_precision(build)
    width, height = (int(n) for n in random.integers(70, 100, 2))
    tile = [int(n) for n in random.integers(50, 70, 2)]
    image = random.random((1, height, width, 1))
    whole = np.asarray(model(image))
    tiling = rf.compute_receptive_field(model).tiling(tile)
    tiles = tiling.tiles([width, height])
    assert len(tiles) > 1
    # A bilinear layer returns single precision.
    most = 1e-5 if whole.dtype == np.float32 else 1e-11
    found = tile_by_tile(model, image, tiles, whole.shape)
    assert np.abs(found - whole).max() <= most * np.abs(whole).max()


def a_unet(up):
    """Two poolings, and back; ``up`` makes the layers that double the size."""
    layers = needed("keras").layers

    def build(x):
        y, beside = layers.Conv2D(2, 3, padding="same", activation="relu")(x), []
        for _ in range(2):
            beside.append(y)
            y = layers.MaxPooling2D()(y)
            y = layers.Conv2D(2, 3, padding="same", activation="relu")(y)
        for one in beside[::-1]:
            y = layers.Concatenate()([up(layers)(y), one])
            y = layers.Conv2D(2, 3, padding="same")(y)
        return y

    return in_double_precision(build)


@pytest.mark.parametrize(
    "up",
    [
        lambda layers: layers.Conv2DTranspose(2, 2, strides=2),
        lambda layers: layers.Conv2DTranspose(2, 3, strides=2, padding="same"),
        lambda layers: layers.UpSampling2D(),
        lambda layers: layers.UpSampling2D(interpolation="bilinear"),
    ],
)
def test_tiles_of_a_unet(up):
    model = a_unet(up)
    tiling = rf.compute_receptive_field(model).tiling([64, 48])
    assert tiling.alignment == (4, 4)
    image = np.random.default_rng(0).random((1, 96, 128, 1))
    whole = np.asarray(model(image))
    tiles = tiling.tiles([128, 96])
    assert np.allclose(
        tile_by_tile(model, image, tiles, whole.shape), whole, rtol=1e-9, atol=1e-12
    )


def linear(*made):
    """Convolutions with positive weights, so that padding changes what sees it."""

    def build(x):
        for options in made:
            x = needed("keras").layers.Conv2D(
                1, kernel_initializer="ones", use_bias=False, **options
            )(x)
        return x

    return in_double_precision(build)


LINEAR = [
    ({"kernel_size": 3, "padding": "same"}, {"kernel_size": 3, "padding": "same"}),
    ({"kernel_size": 3, "strides": 2, "padding": "same"},) * 2,
    (
        {"kernel_size": 5, "dilation_rate": 2, "padding": "same"},
        {"kernel_size": 3, "strides": 3, "padding": "same"},
    ),
]


@pytest.mark.parametrize("made", LINEAR)
@pytest.mark.parametrize("size", [96, 97, 101])
def test_a_smaller_margin_or_another_start_fails(made, size):
    model = linear(*made)
    image = np.random.default_rng(1).random((1, size, size, 1)) + 0.5
    whole = np.asarray(model(image))
    tiling = rf.compute_receptive_field(model).tiling([49, 49])
    (_, second), *_ = zip(*[iter(tiling.tiles([size, size]))] * 2, strict=False)
    part = np.asarray(model(image[(slice(None), *second.input)]))[0, 0, :, 0]
    (kept, place), row = (second.kept[1], second.output[1]), whole[0, 0, :, 0]
    assert np.allclose(part[kept], row[place])
    shift = place.start - kept.start
    fitting = rf.compute_receptive_field(model).tiling([part_size(second)] * 2)
    first, last = fitting.margin[0]
    for discarded in (first - 1, len(part) - last):
        if 0 <= discarded < first or len(part) - last <= discarded < len(part):
            assert abs(part[discarded] - row[discarded + shift]) > 1e-3
    (alignment, _), start = tiling.alignment, second.input[1].start
    if alignment > 1:
        moved = image[:, : part_size(second), start + 1 : start + 1 + part_size(second)]
        part = np.asarray(model(moved))[0, 0, first : len(part) - last, 0]
        for d in range(-2, 3):
            own = row[first + shift + d : first + shift + d + len(part)]
            assert not np.allclose(part, own)


def part_size(tile):
    return tile.input[1].stop - tile.input[1].start


def test_the_overlap_of_a_chain_is_arithmetic():
    """Two kernels of 3 with padding 1: two features of each border see padding."""
    model = linear(*LINEAR[0])
    tiling = rf.compute_receptive_field(model).tiling([20, 30])
    assert (tiling.alignment, tiling.margin) == ((1, 1), ((2, 2), (2, 2)))
    assert (tiling.overlap, tiling.tile) == ((4, 4), (20, 30))
    starts = [tile.input[1].start for tile in tiling.tiles([50, 30])]
    assert starts == [0, 16, 30]
    assert [t.input for t in tiling.tiles([20, 10])] == [(slice(0, 10), slice(0, 20))]


def test_tiles_of_sound_and_volumes():
    keras = needed("keras")
    sound = keras.Input((None, 1))
    model = keras.Model(sound, keras.layers.Conv1D(1, 400, strides=160)(sound))
    tiling = rf.compute_receptive_field(model).tiling([4000])
    assert (tiling.alignment, tiling.margin) == ((160,), ((0, 0),))
    whole = np.random.default_rng(2).random((1, 16000, 1))
    tiles = tiling.tiles([16000])
    answer_ = np.asarray(model(whole))
    found = tile_by_tile(model, whole, tiles, answer_.shape)
    assert np.allclose(found, answer_, rtol=1e-4, atol=1e-4)
    volume = keras.Input((None, None, None, 1))
    scores = keras.layers.Conv3D(1, 3, strides=(1, 2, 2), padding="same")(volume)
    tiling = rf.compute_receptive_field(keras.Model(volume, scores)).tiling([9, 9, 9])
    assert tiling.alignment == (2, 2, 1)
    assert len(tiling.tiles([9, 17, 16])) > 3


def refused(build):
    return rf.compute_receptive_field(in_double_precision(build))


def test_what_cannot_be_tiled():
    keras = needed("keras")
    layers = keras.layers

    def with_mean(x):
        mean = layers.GlobalAveragePooling2D(keepdims=True)(x)
        return layers.Multiply()([x, mean])

    def two_strides(x):
        one, two = (layers.Conv2D(1, 1, strides=s)(x) for s in (2, 3))
        return one[:, :4, :4] + two[:, :4, :4]

    def with_coordinates(x):
        count = keras.ops.shape(x)[1]
        rows = keras.ops.cast(keras.ops.arange(count), x.dtype)
        return x + rows[None, :, None, None]

    def coordinates(x):
        return layers.Lambda(with_coordinates, lambda shape: shape)(x)

    def with_channel_of_coordinates(v):
        rows = keras.ops.cast(keras.ops.arange(keras.ops.shape(v)[1]), v.dtype)
        grid = keras.ops.zeros_like(v) + rows[None, :, None, None]
        return keras.ops.concatenate([v, grid], axis=-1)

    def coordinates_beside(x):
        return layers.Lambda(with_channel_of_coordinates, lambda s: (*s[:-1], 2))(x)

    def scaled_by_size(x):
        return layers.Lambda(
            lambda v: v * keras.ops.cast(keras.ops.shape(v)[1], v.dtype),
            lambda shape: shape,
        )(x)

    for build, message in (
        (with_mean, "because of 'global_average_pooling2d"),
        (two_strides, "paths with the strides 2 and 3 meet"),
        (coordinates, "a tensor that depends on the size of the image"),
        (coordinates_beside, "a tensor that depends on the size of the image"),
        (scaled_by_size, "a tensor that depends on the size of the image"),
        (lambda x: layers.Resizing(50, 50)(x), "has another stride"),
        (lambda x: x[:, ::-1, ::-1], "at one positive stride"),
        (lambda x: keras.ops.roll(x, 1, 2), "does not"),
        (lambda x: x[:, 2:30, 2:30], "does not grow"),
        (lambda x: layers.Concatenate(axis=2)([x, x]), "cannot be shown"),
    ):
        with pytest.raises(rf.ReceptiveFieldError) as caught:
            refused(build).tiling([40, 40])
        assert message in str(caught.value)
    field = refused(with_mean).without_global_context()
    with pytest.raises(rf.ReceptiveFieldError, match="but not out of the network"):
        field.tiling([40, 40])
    with pytest.raises(rf.ReceptiveFieldError, match="are folded"):
        rf.compute_receptive_field(tokens()).tiling([4, 4])


@pytest.fixture
def argmax():
    """The concrete functions of values and places of the largest pixels."""
    tf = needed("tensorflow")

    def of(number, **options):
        def run(x):
            return tf.nn.max_pool_with_argmax(x, 2, 2, "VALID", **options)[number]

        image = tf.TensorSpec((1, None, None, 1), tf.float32, "image")
        return tf.function(run).get_concrete_function(image)

    return of


def test_places_as_values_are_not_tiled(argmax):
    """The right half of an image gives other places than the whole image."""
    image = np.random.default_rng(1).normal(size=(1, 8, 8, 1)).astype(np.float32)
    for number, same in ((0, True), (1, False)):
        whole, half = (argmax(number)(x).numpy() for x in (image, image[:, :, 4:]))
        assert np.array_equal(whole[:, :, 2:], half) == same
        field = rf.compute_receptive_field(argmax(number))
        if same:
            assert field.tiling([8, 8]).alignment == (2, 2)
            continue
        with pytest.raises(rf.ReceptiveFieldError, match="a tile has other places"):
            field.tiling([8, 8])


def test_statistics_of_the_batch_are_not_tiled():
    tf = needed("tensorflow")
    keras = needed("keras")

    def fused(x, trains):
        ones, none = tf.ones(1), tf.zeros(0)
        given = (none, none) if trains else (ones, ones)
        return tf.compat.v1.nn.fused_batch_norm(
            x, ones, ones, *given, is_training=trains
        )[0]

    def separate(x, trains):
        mean, variance = tf.nn.moments(x, [0, 1, 2]) if trains else (0.5, 2.0)
        return tf.nn.batch_normalization(x, mean, variance, 0.0, 1.0, 0.001)

    image = np.random.default_rng(1).normal(size=(1, 8, 8, 1)).astype(np.float32)
    for norm in (fused, separate):
        for trains in (False, True):

            def run(x, norm=norm, trains=trains):
                return norm(keras.ops.multiply(x, 2.0), trains)

            spec = tf.TensorSpec((1, None, None, 1), tf.float32, "image")
            made = tf.function(run).get_concrete_function(spec)
            parts = (image, image[:, :, 4:])
            whole, half = (made(tf.constant(x)).numpy() for x in parts)
            assert np.allclose(whole[:, :, 4:], half) != trains
            field = rf.compute_receptive_field(made)
            if not trains:
                assert field.tiling([8, 8]).overlap == (0, 0)
                continue
            with pytest.raises(rf.ReceptiveFieldError, match="in training mode"):
                field.tiling([8, 8])


def test_random_values_are_not_tiled():
    tf = needed("tensorflow")

    @tf.function(input_signature=[tf.TensorSpec((1, None, None, 1), tf.float32)])
    def run(x):
        return tf.random.poisson([], 1.0 + tf.exp(x))

    with pytest.raises(rf.ReceptiveFieldError, match="drawn at random"):
        rf.compute_receptive_field(run).tiling([8, 8])


def test_tiles_that_are_too_small_or_do_not_fit():
    field = rf.compute_receptive_field(linear(*LINEAR[0]))
    for tile in ([4, 20], [1, 1]):
        with pytest.raises(rf.ReceptiveFieldError, match="too small"):
            field.tiling(tile)
    for tile in ([4], [4, 4.5], [0, 4], "ab", None, [True, None]):
        with pytest.raises(rf.ReceptiveFieldError, match="positive integers"):
            field.tiling(tile)
    with pytest.raises(rf.ReceptiveFieldError, match="size of an image"):
        field.tiling([20, 20]).tiles([100])
    unet = rf.compute_receptive_field(a_unet(lambda layers: layers.UpSampling2D()))
    with pytest.raises(rf.ReceptiveFieldError, match="next size that fits is 64 x 64"):
        unet.tiling([62, 62])
    with pytest.raises(rf.ReceptiveFieldError, match="for an input of x: 130"):
        unet.tiling([64, 64]).tiles([130, 97])
    # Both sides must be multiples of 4 here, so no equal growth of both sides fits.
    with pytest.raises(rf.ReceptiveFieldError, match="fits is x: 132, y: 96"):
        unet.tiling([64, 64]).tiles([130, 96])


def test_tiles_on_the_command_line():
    asked = ("tiling", rf.EXAMPLE_GRAPH, "--output", POOL, "--tile", "100x128")
    text = answer(*asked, "--image", "100x300")
    assert "starts at          multiples of 4 x 4" in text
    assert text.splitlines()[-1].startswith("0:100, 172:300")
    told = json.loads(answer(*asked, "--image", "100x300", "--format", "json"))
    assert (told["tile"], told["alignment"]) == ([128, 100], [4, 4])
    assert told["tiles"][0]["input"] == [[0, 100], [0, 128]]
    assert "tiles" not in json.loads(answer(*asked, "--format", "json"))
    assert "in this image" not in text
    smaller = answer(*asked, "--image", "101x302")
    line = "in this image      tiles of x: 126, y: 97, so that every layer pads a tile"
    assert line in smaller
    assert "0:97, 0:126" in smaller
    assert "in this image" not in answer(*asked, "--image", "99x128")
    assert run("tiling", rf.EXAMPLE_GRAPH).returncode == 2
    done = run("tiling", rf.EXAMPLE_GRAPH, "--output", POOL, "--tile", "12x12")
    assert (done.returncode, done.stdout) == (1, "")
    assert "too small" in done.stderr


@pytest.mark.parametrize("size", [8, 9, 10, 11])
def test_all_questions_mean_the_same_middle(size):
    """Of 4, 5, 5 and 6 features, these are numbers 1, 2, 2 and 2."""
    keras = needed("keras")
    image = keras.Input((size, size, 1))
    layer = keras.layers.Conv2D(1, 3, strides=2, padding="same")
    model = keras.Model(image, layer(image))
    field = rf.compute_receptive_field(model)
    middle = {8: (1, 1), 9: (2, 2), 10: (2, 2), 11: (2, 2)}[size]
    assert field.middle() == (middle, (3, 3))
    measured = rf.measure_receptive_field(model, axes_only=True)
    assert (measured.feature, tuple(measured.size)) == field.middle()
    assert field.effective_receptive_field().feature == middle


def test_features_that_were_not_asked_for_are_refused():
    """They have no row of their own in what is stored."""
    field = rf.compute_receptive_field(
        rf.EXAMPLE_GRAPH, output=POOL, input_resolution=[64, 64]
    )
    support = field.support(features=[[1, 1], [3, 2]])
    assert support.region([3, 2]).tolist() == field.support().region([3, 2]).tolist()
    for ask in (support.region, support.mask, support.projections):
        with pytest.raises(rf.ReceptiveFieldError, match="does not contain"):
            ask([2, 1])
