"""Tables of layers: what they show, and how they fit a terminal."""

import csv
import doctest
import io
import itertools
import json
import os
import re
import subprocess
import sys

import pytest
from graphs import conv, graph_def, node, placeholder
from needed import needed, needs

import receptive_field as rf
from receptive_field.cli import main
from receptive_field.results import layer_window
from receptive_field.results.fitting import Fit, table
from receptive_field.results.layer_window import LayerWindow

POOL = "InceptionResnetV2/MaxPool_3a_3x3/MaxPool"


def shown(capsys, *arguments):
    assert main([*map(str, arguments)]) == 0
    return capsys.readouterr().out


def rows_of(capsys, *arguments):
    text = shown(capsys, "layers", *arguments, "--format", "csv")
    return list(csv.DictReader(io.StringIO(text)))


def windows(model, name, **options):
    """The windows of a layer, height before width as Keras lists them."""
    return rf.compute_receptive_fields(model, **options)[name].layer_windows[::-1]


# --- Windows of single layers ---------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("application", ["ResNet50", "MobileNetV2", "InceptionV3"])
def test_windows_of_applications_are_those_of_their_configs(application):
    keras = needed("keras")
    model = getattr(keras.applications, application)(weights=None)
    fields = rf.compute_receptive_fields(model)
    kinds = {
        keras.layers.Conv2D: ("kernel_size", "strides", "dilation_rate"),
        keras.layers.DepthwiseConv2D: ("kernel_size", "strides", "dilation_rate"),
        keras.layers.MaxPooling2D: ("pool_size", "strides"),
        keras.layers.AveragePooling2D: ("pool_size", "strides"),
    }
    compared = 0
    for layer in model.layers:
        if layer.name not in fields:
            continue
        found = fields[layer.name].layer_windows[::-1]
        names = kinds.get(type(layer))
        if names is None:
            assert found == (None, None), layer.name
            continue
        compared += 1
        of_axes = zip(*(getattr(layer, name) for name in names), strict=True)
        for window, wanted in zip(found, of_axes, strict=True):
            assert window[: len(wanted)] == tuple(wanted)
            assert window.same == (layer.padding == "same")
            if not window.same:
                assert (window.before, window.after) == (0, 0)
            elif window.stride == 1:
                total = window.before + window.after
                assert total == window.dilation * (window.kernel - 1)
    assert compared > 50


@pytest.mark.parametrize("trace", [False, True])
def test_windows_of_layers_that_consist_of_several_ops(trace):
    keras = needed("keras")
    layers = keras.layers
    image = keras.Input((12, 16, 3))
    x = layers.Conv2D(4, (3, 5), padding="same", activation="swish", name="wide")(image)
    x = layers.SeparableConv2D(4, 3, strides=2, padding="same", name="apart")(x)
    x = layers.Conv2DTranspose(4, 3, strides=2, padding="same", name="up")(x)
    x = layers.Permute((2, 1, 3), name="turned")(x)
    x = layers.Conv2D(4, (1, 7), name="after")(x)
    model = keras.Model(image, x)

    def found(name):
        return windows(model, name, trace=trace)

    assert found("wide") == (
        LayerWindow(3, 1, 1, 1, 1, True),
        LayerWindow(5, 1, 1, 2, 2, True),
    )
    # An even size and a stride of 2 leave one position of padding, at the end.
    assert found("apart") == (LayerWindow(3, 2, 1, 0, 1, True),) * 2
    assert found("up") == (LayerWindow(3, 2, 1, 0, 1, True),) * 2
    assert found("turned") == (None, None)
    # The axes of the result are those of the input: its height runs along the width.
    assert found("after") == (
        LayerWindow(7, 1, 1, 0, 0, False),
        LayerWindow(1, 1, 1, 0, 0, False),
    )


def test_windows_of_dilated_layers():
    """A trace may spread the positions over blocks, and has no SAME padding then."""
    keras = needed("keras")
    image = keras.Input((32, 32, 3))
    options = {"dilation_rate": (2, 3), "padding": "same"}
    x = keras.layers.DepthwiseConv2D((3, 5), name="deep", **options)(image)
    x = keras.layers.Conv2D(4, (5, 1), dilation_rate=2, name="high")(x)
    model = keras.Model(image, x)
    for trace in (False, True):
        found = windows(model, "deep", trace=trace)
        assert [w[:5] for w in found] == [(3, 1, 2, 2, 2), (5, 1, 3, 6, 6)]
        found = windows(model, "high", trace=trace)
        assert found[0] == LayerWindow(5, 1, 2, 0, 0, False)
        assert (found[1].kernel, found[1].before, found[1].after) == (1, 0, 0)
    sound = keras.Input((40, 2))
    options = {"dilation_rate": 4, "padding": "causal"}
    layer = keras.layers.Conv1D(4, 3, name="causal", **options)
    model = keras.Model(sound, layer(sound))
    for trace in (False, True):
        found = windows(model, "causal", trace=trace)
        assert found == (LayerWindow(3, 1, 4, 8, 0, False),)


def test_windows_along_time():
    keras = needed("keras")
    layers = keras.layers
    sound = keras.Input((64, 2))
    causal = {"dilation_rate": 4, "padding": "causal"}
    x = layers.Conv1D(4, 3, name="causal", **causal)(sound)
    x = layers.MaxPooling1D(2, name="pool")(x)
    model = keras.Model(sound, layers.Conv1DTranspose(4, 3, 2, name="up")(x))
    # A causal convolution pads its whole extent in front: 4 * (3 - 1).
    assert windows(model, "causal") == (LayerWindow(3, 1, 4, 8, 0, False),)
    assert windows(model, "pool") == (LayerWindow(2, 2, 1, 0, 0, False),)
    assert windows(model, "up") == (LayerWindow(3, 2, 1, 0, 0, False),)
    frames = keras.Input((5, 9, 11, 3))
    x = layers.TimeDistributed(layers.Conv2D(2, (3, 5)), name="each")(frames)
    model = keras.Model(frames, x)
    assert windows(model, "each") == (
        None,
        LayerWindow(3, 1, 1, 0, 0, False),
        LayerWindow(5, 1, 1, 0, 0, False),
    )


def test_a_layer_with_different_windows_has_none():
    keras = needed("keras")
    layers = keras.layers
    inner = keras.Sequential([layers.Conv2D(2, 3), layers.Conv2D(2, 5)], name="inner")
    image = keras.Input((32, 32, 3))
    model = keras.Model(image, layers.Conv2D(1, 3, name="last")(inner(image)))
    fields = rf.compute_receptive_fields(model)
    assert fields["last"].layer_windows == (LayerWindow(3, 1, 1, 0, 0, False),) * 2
    if "inner" in fields:
        assert fields["inner"].layer_windows == (None, None)


def test_layers_that_return_their_input():
    """They share the tensor of the layer below, but not its window."""
    keras = needed("keras")
    image = keras.Input((32, 32, 3))
    x = keras.layers.Conv2D(4, 3, name="conv")(image)
    x = keras.layers.Dropout(0.2, name="dropout")(x)
    x = keras.layers.Activation("linear", name="linear")(x)
    model = keras.Model(image, keras.layers.Conv2D(4, 3, name="next")(x))
    for trace in (False, True):
        fields = rf.compute_receptive_fields(model, trace=trace)
        wide = [name for name in fields if any(fields[name].layer_windows)]
        assert wide == ["conv", "next"]
        assert list(fields.covering(3)) == ["conv"]
        assert list(fields.covering(4)) == ["next"]


def test_the_window_of_a_layer_whose_axes_are_those_of_no_input_axis():
    """Above a global pooling, and where a map meets its transpose."""
    keras = needed("keras")
    layers = keras.layers
    image = keras.Input((16, 16, 3))
    whole = layers.GlobalAveragePooling2D(keepdims=True)(image)
    whole = layers.Conv2D(4, (2, 3), padding="same", name="whole")(whole)
    both = layers.Add()([image, layers.Permute((2, 1, 3))(image)])
    both = layers.Conv2D(4, (2, 3), name="both")(both)
    model = keras.Model(image, [whole, both])
    for name in ("whole", "both"):
        assert [window.kernel for window in windows(model, name)] == [2, 3]


def test_bounds_are_marked(capsys, tmp_path):
    """Pools of random lengths: only their longest length is known."""
    ratio = "list { f: 1 f: 1.5 f: 1.5 f: 1 }"
    pool = node("pool", "FractionalMaxPool", ["input"], pooling_ratio=ratio)
    file = tmp_path / "graph.pbtxt"
    file.write_text(str(graph_def(placeholder(), conv("conv", "input"), pool)))
    options = ("--resolution", "12x12")
    table = shown(capsys, "layers", file, *options, "--columns", "layer,exact")
    rows = [re.split(r"  +", line) for line in table.splitlines()[2:]]
    assert rows == [["conv", "yes"], ["pool", "at most"]]
    found = {row["layer"]: row["exact"] for row in rows_of(capsys, file, *options)}
    assert found == {"conv": "True", "pool": "False"}


def test_windows_of_nodes():
    definition = graph_def(
        placeholder(), conv("conv", "input", 3, 2, "SAME"), conv("next", "conv", 3, 1)
    )
    fields = rf.compute_receptive_fields(definition)
    # An unknown size decides whether SAME padding has 1 or 2 positions.
    assert fields["conv"].layer_windows == (LayerWindow(3, 2, 1, None, None, True),) * 2
    known = rf.compute_receptive_fields(definition, input_resolution=[9, 8])
    assert known["conv"].layer_windows == (
        LayerWindow(3, 2, 1, 0, 1, True),  # x: 8 positions, 2 * 3 + 3 - 8 = 1
        LayerWindow(3, 2, 1, 1, 1, True),  # y: 9 positions, 2 * 4 + 3 - 9 = 2
    )
    assert known["next"].layer_windows == (LayerWindow(3, 1, 1, 0, 0, False),) * 2
    text = str(fields).splitlines()[2]
    assert text.split()[-3:] == ["same", "yes", "yes"]


# --- On a terminal --------------------------------------------------------------------

HEADER = ("layer", "op", "output size", "kernel")
CELLS = [["block_13_expand/depthwise/BatchNorm", "Add", "7 x 5", "-"]]


def lines_at(width, **options):
    fit = Fit(width, **options)
    return table(HEADER, CELLS, HEADER[:2], HEADER, fit).splitlines()


def test_a_table_that_fits_is_left_as_it_is():
    whole = table(HEADER, CELLS, HEADER[:2], HEADER, None)
    width = max(map(len, whole.splitlines()))
    assert table(HEADER, CELLS, HEADER[:2], HEADER, Fit(width)) == whole


@pytest.mark.parametrize("width", [1, 5, 9, 20, 30, 40, 50])
def test_a_table_fits_the_width(width):
    lines = lines_at(width)
    rows = lines[: lines.index("")] if "" in lines else lines
    assert max(map(len, rows)) <= max(width, len("layer"))
    left_out = " ".join(lines).partition("not shown: ")[2]
    shown_columns = " ".join(lines[:2])
    for column in HEADER[1:]:
        words = column.split()
        assert (column in left_out) != all(w in shown_columns for w in words) or (
            width < 12
        )


def test_a_column_that_says_little_is_the_first_to_go():
    header = ("layer", "size", "kernel")
    cells = [["a", "-", "3"], ["b", "-", "-"], ["c", "1", "5"]]
    width = len("layer  kernel")
    shown = table(header, cells, header[:1], header, Fit(width)).splitlines()
    assert [line.split() for line in (shown[0], *shown[2:5])] == [
        ["layer", "kernel"],
        *(["a", "3"], ["b", "-"], ["c", "5"]),
    ]
    full = [[name, "7", kernel] for name, _, kernel in cells]
    shown = table(header, full, header[:1], header, Fit(width)).splitlines()
    assert shown[0].split() == ["layer", "size"]


def test_names_are_shortened_in_the_middle():
    row = lines_at(40)[-1] if "not shown" not in " ".join(lines_at(40)) else None
    row = row or next(line for line in lines_at(40) if line.startswith("block"))
    name = row.split()[0]
    start, end = name.split("…")
    assert CELLS[0][0].startswith(start)
    assert CELLS[0][0].endswith(end)
    assert abs(len(start) - len(end)) <= 1
    assert "..." in "".join(lines_at(40, ellipsis="..."))
    assert all(line.isascii() for line in lines_at(40, ellipsis="..."))


def on_terminal(width, *arguments, encoding="utf-8", **more):
    import pty

    leader, follower = pty.openpty()
    env = os.environ | {"COLUMNS": str(width), "NO_COLOR": "1"}
    env |= {"PYTHONIOENCODING": encoding, **more}
    command = [sys.executable, "-m", "receptive_field.cli", *map(str, arguments)]
    process = subprocess.Popen(command, stdout=follower, env=env)
    os.close(follower)
    found = b""
    try:
        while data := os.read(leader, 1 << 16):
            found += data
    except OSError:  # The command has ended.
        pass
    finally:
        os.close(leader)
    assert process.wait() == 0
    return found.decode(encoding).replace("\r\n", "\n")


@pytest.mark.parametrize("width", [20, 80, 140])
@pytest.mark.parametrize("more", [{}, {"TERM": "dumb"}])
def test_layers_on_a_terminal(width, more):
    text = on_terminal(
        width, "layers", rf.EXAMPLE_GRAPH, "--filter", "*MaxPool", **more
    )
    assert max(map(len, text.splitlines())) <= width
    assert "--columns all" in " ".join(text.split())
    assert ("…" in text) == (width < 140)
    # The narrowest table does not consist of names only.
    assert "receptive field" not in " ".join(text.split()).partition("not shown")[2]


def test_what_a_terminal_leaves_out(capsys):
    chosen = ("layers", rf.EXAMPLE_GRAPH, "--filter", "*MaxPool")
    narrow = on_terminal(80, *chosen, encoding="ascii")
    assert narrow.isascii()
    assert "..." in narrow
    every = on_terminal(80, *chosen, "--columns", "all")
    assert "not shown" not in every
    assert "dilation" in every
    pipe = shown(capsys, *chosen)
    assert POOL in pipe
    assert "not shown" not in pipe
    assert len(pipe.splitlines()[0]) > 140


# --- Global layers --------------------------------------------------------------------


@pytest.fixture(scope="module")
def gated(tmp_path_factory):
    """A model with a gate that sees everything, and convolutions of 3 above it."""
    keras = needed("keras")
    layers = keras.layers
    image = keras.Input((32, 32, 3))
    x = layers.Conv2D(4, 3, name="before")(image)
    gate = layers.GlobalAveragePooling2D(keepdims=True, name="pool")(x)
    gate = layers.Conv2D(4, 1, name="gate")(gate)
    x = layers.Multiply(name="product")([x, gate])
    model = keras.Model(image, layers.Conv2D(4, 3, name="after")(x))
    file = tmp_path_factory.mktemp("gated") / "model.keras"
    model.save(file)
    return file


def test_global_layers_show_their_local_field(gated, capsys):
    text = shown(capsys, "layers", gated, "--columns", "layer,receptive field,stride")
    rows = [re.split(r"  +", line) for line in text.splitlines()]
    assert ["before", "3", "1"] in rows
    assert ["gate", "global", "-"] in rows
    assert ["after", "5 + global", "1"] in rows
    notes = [row[0].partition(":")[0] for row in rows[-2:]]
    assert notes == ["+ global", "global"]
    markdown = shown(capsys, "layers", gated, "--format", "markdown")
    assert "| 5 + global |" in markdown
    assert "+ global" in rf.compute_receptive_fields(gated)._repr_html_()


def test_global_layers_as_data(gated, capsys):
    rows = {row["layer"]: row for row in rows_of(capsys, gated)}
    assert [rows["after"][c] for c in ("rf_x", "global", "local_rf_x")] == [
        *("inf", "True", "5")
    ]
    assert [rows["gate"][c] for c in ("rf_y", "global", "local_rf_y")] == [
        *("inf", "True", "")
    ]
    assert rows["before"]["global"] == "False"
    told = json.loads(shown(capsys, "layers", gated, "--format", "json"))
    after = next(row for row in told if row["layer"] == "after")
    assert (after["receptive field"], after["global"]) == (["inf", "inf"], True)
    assert after["local receptive field"] == [5, 5]
    assert (after["kernel"], after["layer padding"]) == ([3, 3], [[0, 0], [0, 0]])


@needs("pandas")
def test_csv_and_dataframes_have_the_same_names_and_numbers(gated, capsys):
    rows = rows_of(capsys, gated)
    frame = rf.compute_receptive_fields(gated).to_dataframe()
    assert [*frame.columns] == [
        *(name for name in rows[0] if name not in ("flops", "parameters")),
        "error",
    ]
    for row, line in zip(rows, frame.to_dict("records"), strict=True):
        for name in row.keys() & line.keys():
            value = line[name]
            text = "" if str(value) in ("<NA>", "None") else str(value)
            assert row[name] == text.removesuffix(".0"), name


def test_columns_of_models_with_one_and_three_axes(capsys, tmp_path):
    keras = needed("keras")
    for rank, axes in ((1, "x"), (3, "xyz")):
        layer = getattr(keras.layers, f"Conv{rank}D")(2, 3, name="conv")
        image = keras.Input((*(7, 8, 9)[-rank:], 1))
        file = tmp_path / f"{rank}.keras"
        keras.Model(image, layer(image)).save(file)
        (row,) = rows_of(capsys, file)
        assert {name[3:] for name in row if name.startswith("rf_")} == set(axes)
        assert [row[f"kernel_{axis}"] for axis in axes] == ["3"] * rank


# --- Choosing rows --------------------------------------------------------------------


def test_all_columns(capsys):
    chosen = ("layers", rf.EXAMPLE_GRAPH, "--filter", "*MaxPool", "--format")
    for kind in ("csv", "json", "markdown", "table"):
        every = shown(capsys, *chosen, kind, "--columns", "all")
        assert every == shown(capsys, *chosen, kind)


def test_sorting(capsys):
    chosen = (rf.EXAMPLE_GRAPH, "--filter", "*Conv2D", "--columns", "layer,kernel")
    rows = rows_of(capsys, *chosen, "--sort", "-kernel", "--top", "3")
    # The widest kernel is 5 x 5; those of 7 x 1 and 1 x 7 are compared along x first.
    widths = [int(r["kernel_x"]) for r in rows_of(capsys, *chosen, "--sort", "-Kernel")]
    assert widths == sorted(widths, reverse=True)
    assert [int(row["kernel_x"]) for row in rows] == widths[:3] == [7, 7, 7]
    ascending = rows_of(capsys, *chosen, "--sort", "kernel")
    assert [int(row["kernel_x"]) for row in ascending] == widths[::-1]
    names = [row["layer"] for row in rows_of(capsys, *chosen, "--sort", "layer")]
    assert names == sorted(names)


def test_rows_without_a_value_come_last(gated, capsys):
    for order in ("padding", "-padding"):
        rows = rows_of(capsys, gated, "--sort", order)
        known = [bool(row["padding_x"]) for row in rows]
        assert known == sorted(known, reverse=True)
    rows = rows_of(capsys, gated, "--sort", "-receptive field")
    assert [row["layer"] for row in rows][:2] == ["after", "product"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--sort", "strid"), "did you mean 'stride'? (the columns are layer, op,"),
        (("--sort", "-strid"), "did you mean 'stride'?"),
        (("--columns", "layer,kernl"), "did you mean 'kernel'?"),
        (("--sort", "-rf_x"), "did you mean 'receptive field'?"),
        (("--columns", "layer,rf_y_mm"), "did you mean 'receptive field'?"),
        (("--sort", "center_x"), "did you mean 'first centre'?"),
        (("--top", "0"), "'0' is not a positive integer"),
        (("--covering", "big"), "is not HEIGHTxWIDTH"),
        (("--covering", "64,128"), "write a size as HEIGHTxWIDTH: 64x128"),
    ],
)
def test_mistakes_in_the_choice_of_rows(arguments, message, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["layers", rf.EXAMPLE_GRAPH, *arguments])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_covering():
    fields = rf.compute_receptive_fields(rf.EXAMPLE_GRAPH)
    first = fields.covering(64)
    assert first
    links = next(iter(fields.values())).origin.links(fields)
    for name in fields:
        sizes = fields[name].size.tolist()
        below = [lower for lower, upper in links if upper == name and lower in fields]
        wide = min(sizes) >= 64
        is_first = wide and all(min(fields[n].size.tolist()) < 64 for n in below)
        assert (name in first) == is_first
    # x before y: a kernel one position high and seven wide sees more along x.
    wide = "InceptionResnetV2/Repeat_1/block17_1/Branch_1/Conv2d_0b_1x7/Conv2D"
    x, y = fields[wide].size.tolist()
    assert x == y + 6 * 16
    assert wide in fields.covering([x, y])
    assert wide not in fields.covering([y, x])
    assert fields.covering([64, 64]).keys() == first.keys()


def test_sizes_that_no_layer_covers(gated, capsys):
    fields = rf.compute_receptive_fields(gated)
    assert list(fields.covering(5)) == ["after"]
    with pytest.raises(
        rf.ReceptiveFieldError, match=r"x: 6, y: 7.*'after', with 5 x 5"
    ):
        fields.covering([6, 7])
    for size in (0, [3], [3, 3, 3], "3", 2.5, [3, None]):
        with pytest.raises(rf.ReceptiveFieldError, match="size to cover must be"):
            fields.covering(size)
    rows = rows_of(capsys, gated, "--covering", "3")
    assert [row["layer"] for row in rows] == ["before"]
    assert main(["layers", str(gated), "--covering", "64x32"]) == 1
    assert "covers x: 32, y: 64. The largest" in capsys.readouterr().err


def test_a_filter_that_leaves_out_all_that_cover_a_size(gated, capsys):
    question = ("layers", str(gated), "--covering", "3", "--filter")
    assert main([*question, "after"]) == 1
    shown = capsys.readouterr().err
    assert "no layer that matches 'after' is among those that --covering" in shown
    assert "which are: before." in shown
    assert main([*question, "aftre"]) == 1
    assert "no name matches 'aftre'. Did you mean 'after'" in capsys.readouterr().err


def test_unproductive_layers_only(tmp_path, capsys):
    """At 4 x 4, the first kernel of 5 sees all, so the second one adds nothing."""
    nodes = [placeholder()]
    for name, below in (("first", "input"), ("second", "first")):
        nodes.append(conv(name, below, 5, padding="SAME"))
    file = tmp_path / "graph.pb"
    file.write_bytes(graph_def(*nodes).SerializeToString())
    chosen = file, "--unproductive", "--resolution"
    assert [row["layer"] for row in rows_of(capsys, *chosen, "4x4")] == ["second"]
    assert main(["layers", *map(str, chosen), "64x64"]) == 1
    assert "no layer is unproductive at this size" in capsys.readouterr().err
    assert main(["layers", *map(str, chosen), "4x4", "--filter", "first"]) == 1
    assert "which are: second." in capsys.readouterr().err
    assert main(["layers", str(file), "--unproductive"]) == 1
    assert "Give --resolution" in capsys.readouterr().err


# --- Parameters -----------------------------------------------------------------------


def test_parameters_of_a_graph_do_not_need_the_size_of_its_input(capsys):
    chosen = (rf.EXAMPLE_GRAPH, "--filter", "*a_3x3/Conv2D")
    rows = rows_of(capsys, *chosen)
    known = rows_of(capsys, *chosen, "--resolution", "299x299", "--costs")
    assert [r["parameters"] for r in rows] == [r["parameters"] for r in known]
    assert rows[0]["parameters"] == str(3 * 3 * 3 * 32)
    assert {row["flops"] for row in rows} == {""}
    sort = ("--sort", "-parameters", "--top", "1", "--columns", "layer,parameters")
    (most,) = rows_of(capsys, *chosen, *sort)
    assert int(most["parameters"]) == max(int(row["parameters"]) for row in rows)


# --- Unproductive layers --------------------------------------------------------------


def chain(count):
    """Convolutions of 3: the n-th sees 2n + 1 positions."""
    names = ["input", *(f"conv{n}" for n in range(1, count + 1))]
    nodes = (
        conv(name, below, 3, 1, "SAME") for below, name in itertools.pairwise(names)
    )
    return graph_def(placeholder(), *nodes)


def test_unproductive_layers():
    # The input of conv5 sees 9 positions, that of conv4 only 7.
    fields = rf.compute_receptive_fields(chain(6), input_resolution=[9, 9])
    assert fields.unproductive() == ("conv5", "conv6")
    assert fields.to_dict()
    larger = rf.compute_receptive_fields(chain(6), input_resolution=[9, 10])
    assert larger.unproductive() == ("conv6",)  # conv5 still sees more along x.
    unknown = rf.compute_receptive_fields(chain(2))
    with pytest.raises(rf.ReceptiveFieldError, match="Give input_resolution"):
        unknown.unproductive()
    lines = str(fields).splitlines()
    assert [line.split()[0] for line in lines if " 11* " in line] == ["conv5"]
    assert any(line.startswith("*: unproductive") for line in lines)
    assert "unproductive" not in str(unknown)


def test_unproductive_layers_are_those_of_resolutions():
    fields = rf.compute_receptive_fields(rf.EXAMPLE_GRAPH, input_resolution=[79, 79])
    found = fields.unproductive()
    of_axes = rf.resolutions(rf.EXAMPLE_GRAPH).unproductive_layers(79)
    kernels = {n: [w.kernel for w in fields[n].layer_windows] for n in found}
    assert found
    for name in found:
        for axis, names in enumerate(of_axes):
            assert (name in names) == (kernels[name][axis] > 1)


def test_unproductive_layers_on_the_command_line(tmp_path, capsys):
    file = tmp_path / "graph.pbtxt"
    file.write_text(str(chain(6)))
    rows = rows_of(capsys, file, "--resolution", "9x9")
    assert [r["layer"] for r in rows if r["unproductive"] == "True"] == [
        *("conv5", "conv6")
    ]
    assert {row["unproductive"] for row in rows_of(capsys, file)} == {""}
    text = shown(capsys, "layers", file, "--resolution", "9x9")
    assert "11*" in text
    assert "\n*: unproductive" in text


def test_examples_in_docstrings():
    results = doctest.testmod(layer_window)
    assert results.attempted
    assert not results.failed


def test_printing_fits_a_terminal_too(monkeypatch):
    class Terminal(io.StringIO):
        encoding = "utf-8"

        def isatty(self):
            return True

    fields = rf.compute_receptive_fields(rf.EXAMPLE_GRAPH)
    whole = str(fields)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr(sys, "stdout", Terminal())
    fitted = str(fields)
    assert max(map(len, whole.splitlines())) > 60
    assert max(map(len, fitted.splitlines())) <= 60
    assert "to_dataframe()" in fitted
