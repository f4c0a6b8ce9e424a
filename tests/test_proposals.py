"""Changes with which a field reaches a size: each is made in Keras, and analysed."""

import json
import random
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from graphs import constant, conv, graph_def, node, placeholder, pool
from needed import needed
from random_search import seeds

import receptive_field as rf
from receptive_field.cli import main


@dataclass(frozen=True)
class Layer:
    """A layer of a small network; a branch is added to what it starts from."""

    name: str
    kind: str = "Conv2D"
    kernel: tuple = (3, 3)
    stride: int = 1
    dilation: int = 1
    padding: str = "same"
    branch: tuple = ()
    more: int = 0
    """The number of layers of 3x3 that follow."""


def applied(x, layer, one):
    """The output of a layer, and of what is added after it."""
    from keras import layers

    options = {"name": layer.name, "padding": layer.padding}
    if layer.kind == "MaxPooling2D":
        x = layers.MaxPooling2D(layer.kernel, layer.stride, **options)(x)
    elif layer.kind == "ReLU":
        x = layers.ReLU(name=layer.name)(x)
    elif layer.kind == "Add":
        y = x
        for inner in layer.branch:
            y = applied(y, inner, one)
        x = layers.Add(name=layer.name)([x, y])
    else:
        options |= {"strides": layer.stride, "dilation_rate": layer.dilation}
        if layer.kind == "DepthwiseConv2D":
            made = layers.DepthwiseConv2D(layer.kernel, **options)
        else:
            made = getattr(layers, layer.kind)(4, layer.kernel, **options)
        x = made(x)
    for number in range(layer.more):
        name = f"{layer.name}_more{number}"
        x = layers.Conv2D(4, 3, padding="same", use_bias=False, name=name)(x)
    return x


def built(spec, size):
    keras = needed("keras")
    image = keras.Input((size, size, 4), name="image")
    x = image
    for layer in spec:
        x = applied(x, layer, size)
    return keras.Model(image, x)


def changed(spec, proposal):
    """The layers after the change."""

    def new(layer):
        if layer.branch:
            layer = replace(layer, branch=tuple(map(new, layer.branch)))
        if layer.name not in proposal.layers:
            return layer
        if proposal.kind == "add":
            assert proposal.kernels == ((3, 3),)
            return replace(layer, more=proposal.number)
        if proposal.kind == "dilate":
            return replace(layer, dilation=proposal.number)
        if proposal.kind == "stride":
            return replace(layer, stride=proposal.number)
        kernel = proposal.kernels[proposal.layers.index(layer.name)]
        assert kernel == layer.kernel[::-1]  # Results list x first.
        wider = (k + proposal.number if k > 1 else k for k in layer.kernel)
        return replace(layer, kernel=tuple(wider))

    return [new(layer) for layer in spec]


def check(spec, size, target):
    """Makes each change, and compares what it does with what was promised."""
    found = rf.proposals(built(spec, size), target)
    for one in found:
        model = built(changed(spec, one), size)
        field = rf.compute_receptive_field(model)
        assert list(field) == list(one.field), one.change
        assert field.feature_axes == one.field.feature_axes, one.change
        if size is not None:
            kept = field.feature_axes == found.field.feature_axes
            assert one.keeps_output == kept, one.change
        assert (field.size >= target).all()
        assert field.exact
        if size is not None:
            total = rf.compute_costs(model).total.flops
            assert total == one.flops, one.change
    return found


CHAIN = [
    Layer("stem", stride=2),
    Layer("conv1"),
    Layer("pool", "MaxPooling2D", (2, 2), 2),
    Layer("conv2"),
    Layer("act", "ReLU"),
]
"""Its field is 3 + 2 * 2 + 1 * 2 * 2 ... : 3, then 7, then 9, then 17."""


@pytest.mark.parametrize("size", [64, None])
def test_each_proposal_does_what_it_says(size):
    found = check(CHAIN, size, 30)
    assert found.field.size.tolist() == [3 + 2 * 2 + 1 * 2 + 2 * 4] * 2
    kinds = {one.kind: (one.layers, one.number) for one in reversed(found)}
    # 13 more: neighbours are 4 pixels apart in the input of conv2, whose kernel has two
    # steps, so 2 more steps of dilation, or two layers.
    assert kinds["add"] == (("act",), 2)
    assert kinds["dilate"] == (("conv2",), 3)
    assert kinds["kernel"] == (("conv2",), 4)
    # 2 * 17 - 7 = 27 is too small, and 2 * 17 - 3 = 31 would need another stem.
    assert "stride" not in kinds
    assert check(CHAIN, size, 27)[-1].layers == ("conv1",)


def test_a_trace_leads_to_the_same_proposals():
    model = built(CHAIN, 64)
    read, traced = rf.proposals(model, 30), rf.proposals(model, 30, trace=True)
    found = [[(p.change, list(p.field)) for p in some] for some in (read, traced)]
    assert found[0] == found[1]


def test_a_layer_without_padding_changes_the_output_at_every_size():
    spec = [Layer("first"), Layer("second", padding="valid")]
    for size in (64, None):
        found = {one.kind: one for one in check(spec, size, 6)}
        assert found["add"].keeps_output
        assert not found["stride"].keeps_output
        dilated = rf.proposals(built(spec[1:], size), 4)
        assert {p.keeps_output for p in dilated if p.kind == "dilate"} == {False}
        assert size or "the size of the output changes" in str(dilated)


def test_the_smallest_number_is_proposed():
    for one in rf.proposals(built(CHAIN, None), 30):
        smaller = one.number - (2 if one.kind == "kernel" else 1)
        if smaller > 1 or (smaller and one.kind in ("add", "kernel")):
            model = built(changed(CHAIN, replace(one, number=smaller)), None)
            assert (rf.compute_receptive_field(model).size < 30).any(), one.change


def test_branches_and_uneven_kernels():
    spec = [
        Layer("stem", stride=2),
        Layer("sum", "Add", branch=(Layer("wide", kernel=(1, 7)), Layer("deep"))),
        Layer("depth", "DepthwiseConv2D"),
        Layer("apart", "SeparableConv2D", (3, 5), padding="valid"),
    ]
    for target in (30, 60):
        assert len(check(spec, 96, target)) >= 3
    assert check(spec, 96, (30, 20))[0].field.size.tolist()[1] >= 30


def random_spec(rng):
    spec = []
    for number in range(rng.randint(2, 5)):
        kinds = ["Conv2D", "Conv2D", "DepthwiseConv2D", "SeparableConv2D"]
        kind = rng.choice([*kinds, "MaxPooling2D", "Add"])
        kernel = (rng.choice([1, 3, 5]), rng.choice([3, 5]))
        padding = rng.choice(["same", "same", "valid"])
        layer = Layer(f"layer{number}", kind, kernel, padding=padding)
        if kind == "MaxPooling2D":
            layer = replace(layer, kernel=(2, 2), stride=2)
        elif kind == "Add":
            inner = (Layer(f"a{number}"), Layer(f"b{number}", kernel=kernel))
            layer = replace(layer, branch=inner)
        elif rng.random() < 0.3:
            layer = replace(layer, stride=2)
        elif rng.random() < 0.3 and kind == "Conv2D":
            layer = replace(layer, dilation=2)
        spec.append(layer)
    return spec


@pytest.mark.parametrize("seed", [0, 1, *seeds("proposals", 6)])
def test_random_networks(seed):
    rng = random.Random(seed)
    spec, size = random_spec(rng), rng.choice([None, 120])
    try:
        now = rf.compute_receptive_field(built(spec, size))
    except rf.ReceptiveFieldError:  # Two paths whose sizes do not fit.
        return
    target = int(max(now.size)) + rng.randint(1, 40)
    found = check(spec, size, target)
    if all(layer.padding == "same" for layer in spec):
        assert any(one.kind == "add" for one in found)


def test_calls_of_one_layer_change_together():
    keras = needed("keras")

    def model(dilation):
        layer = keras.layers.Conv2D(
            4, 3, padding="same", dilation_rate=dilation, name="shared"
        )
        image = keras.Input((None, None, 4), name="image")
        return keras.Model(image, layer(layer(image)))

    found = rf.proposals(model(1), 8)
    (one,) = (p for p in found if p.kind == "dilate")
    assert (one.layers, one.number) == (("shared",), 2)
    assert list(rf.compute_receptive_field(model(2))) == list(one.field)


def test_layers_that_pad_by_themselves_are_not_dilated():
    keras = needed("keras")
    image = keras.Input((64, 4), name="signal")
    last = keras.layers.Conv1D(4, 3, padding="causal", name="causal")(image)
    found = rf.proposals(keras.Model(image, last), 9)
    assert {one.kind for one in found} == {"add"}
    assert found[0].change == "add 3 layers of 3 after 'causal'"
    same = keras.layers.Conv1D(4, 3, padding="same", name="same")(image)
    found = rf.proposals(keras.Model(image, same), 9)
    dilated = keras.layers.Conv1D(4, 3, padding="same", dilation_rate=4)(image)
    (one,) = (p for p in found if p.kind == "dilate")
    field = rf.compute_receptive_field(keras.Model(image, dilated))
    assert list(field) == list(one.field)


# --- Graphs -------------------------------------------------------------------------


def saved(path, *nodes):
    path.write_bytes(graph_def(*nodes).SerializeToString())
    return str(path)


@pytest.fixture
def chain(tmp_path):
    nodes = placeholder(), conv("a", "input", padding="SAME"), pool("b", "a")
    return saved(tmp_path / "chain.pb", *nodes, conv("c", "b", padding="SAME"))


def test_reach(chain, capsys):
    assert main(["reach", chain, "12", "--resolution", "32x32"]) == 0
    shown = capsys.readouterr().out.splitlines()
    # 3, then 4, then 8; a layer of 3x3 after c adds 2 * 2 pixels.
    assert shown[0] == "receptive field of c in input: 8 x 8, to reach: 12 x 12"
    # 9 multiply-adds for each of 32 x 32 and 16 x 16 outputs, and 4 comparisons.
    flops = 18 * 32 * 32 + 18 * 16 * 16 + 4 * 16 * 16
    more = f"{100 * 18 * 16 * 16 / flops:+.3g} % FLOPs"
    assert f"  - add 1 layer of 3 x 3 after 'c': 12 x 12, {more}" in shown
    assert any(
        "give 'c' a dilation of 2: 12 x 12, same FLOPs" in line for line in shown
    )
    assert main(["reach", chain, "12", "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["reached"], told["target"], told["flops"]) == (False, [12, 12], None)
    assert {one["field"]["size"][0] for one in told["proposals"]} >= {12}


def test_what_a_stride_does_to_the_output(chain, capsys):
    found = rf.proposals(chain, 12, input_resolution=[32, 32])
    (one,) = (p for p in found if p.kind == "stride")
    assert (one.layers, one.field.size.tolist()) == (("a",), [13, 13])  # 3 + 2 + 8
    assert "the output has 8 x 8 instead of 16 x 16 positions" in str(found)
    assert "the effective stride is 4 x 4 instead of 2 x 2" in str(
        rf.proposals(chain, 12)
    )


def test_a_target_that_is_reached(chain, capsys):
    found = rf.proposals(chain, 8)
    assert (found.reached, len(found)) == (True, 0)
    assert main(["reach", chain, "8x7"]) == 0
    assert "The field has this size already." in capsys.readouterr().out


def test_global_context(tmp_path, capsys):
    axes = node(
        "axes",
        "Const",
        value="tensor { dtype: DT_INT32 tensor_shape { dim { "
        "size: 2 } } int_val: 1 int_val: 2 }",
    )
    mean = node("mean", "Mean", ["a", "axes"], keep_dims="b: true")
    nodes = placeholder(), conv("a", "input", padding="SAME"), axes, mean
    gate = saved(tmp_path / "gate.pb", *nodes, node("gate", "Mul", ["a", "mean"]))
    assert main(["reach", gate, "50"]) == 1  # The mean might not see the last pixels.
    shown = capsys.readouterr().out
    assert "only an upper bound" in shown
    assert "It is: whole input, because of mean, an upper bound" in shown
    assert "Use --exclude-global" in shown
    assert main(["reach", gate, "5", "--exclude-global"]) == 0
    assert "add 1 layer of 3 x 3 after 'gate': 5 x 5" in capsys.readouterr().out
    whole = saved(tmp_path / "whole.pb", *nodes)
    question = ["reach", whole, "5", "--output", "mean", "--exclude-global"]
    assert main(question) == 1
    assert "all paths see a whole axis" in capsys.readouterr().err


def test_what_cannot_be_reached_says_why(tmp_path, capsys):
    # The pixels are joined in one axis, which has no stride.
    shape = node(
        "shape",
        "Const",
        value="tensor { dtype: DT_INT32 tensor_shape { dim "
        "{ size: 3 } } int_val: 1 int_val: 64 int_val: 1 }",
    )
    flat = node("flat", "Reshape", ["input", "shape"])
    path = saved(tmp_path / "flat.pb", placeholder(sizes=(1, 8, 8, 1)), shape, flat)
    assert main(["reach", path, "5", "--output", "flat"]) == 1
    shown = capsys.readouterr().out
    assert "No change is proposed" in shown
    assert "no layer below it has a window" in shown


def test_a_size_beyond_all_that_is_tried(chain, capsys):
    assert main(["reach", chain, "100000000"]) == 1
    assert "numbers up to 1024 are tried" in capsys.readouterr().out


def test_upper_bounds_prove_nothing(tmp_path, capsys):
    places = node("places", "Placeholder", shape="shape { dim { size: 4 } }")
    reads = node("read", "GatherV2", ["input", "places", "axis"])
    image = placeholder(sizes=(1, 8, 8, 1))
    nodes = image, places, constant("axis", [1], []), reads, conv("last", "read")
    path = saved(tmp_path / "read.pb", *nodes)
    assert main(["reach", path, "4", "--input", "input"]) == 1
    assert "because the sizes are only upper bounds" in capsys.readouterr().out


def test_maps_that_vanish_are_not_proposed():
    # At most a dilation of 3 or a kernel of 7 fits on 8 pixels without padding.
    found = check([Layer("only", padding="valid")], 8, 9)
    assert {one.kind for one in found} == {"add"}
    assert "Note that the input has only 8 x 8 positions" in str(found)
    assert "the output has 2 x 2 instead of 6 x 6" in str(
        check([Layer("only", padding="valid")], 8, 7)
    )


def test_far_more_operations(chain):
    shown = str(rf.proposals(chain, 100, input_resolution=[64, 64]))
    # A kernel of 49 x 49 instead of 3 x 3 at 32 x 32 positions.
    flops = 18 * 64 * 64 + 18 * 32 * 32 + 4 * 32 * 32
    times = (flops + 2 * (49 * 49 - 9) * 32 * 32) / flops
    assert (
        f"a kernel of 49 x 49 instead of 3 x 3: 100 x 100, {times:.0f} times" in shown
    )


@pytest.mark.parametrize("target", [0, "much", [3, 0], [], 2.5, True])
def test_targets_that_make_no_sense(chain, target):
    with pytest.raises(rf.ReceptiveFieldError, match="target must be"):
        rf.proposals(chain, target)


def test_a_target_for_other_axes(chain, capsys):
    assert main(["reach", chain, "3x3x3"]) == 1
    assert "has 2 spatial axes" in capsys.readouterr().err


def test_the_model_is_not_changed():
    model = built(CHAIN, None)
    before = list(rf.compute_receptive_field(model))
    rf.proposals(model, 100)
    assert list(rf.compute_receptive_field(model)) == before


def test_added_layers_do_not_fit_an_empty_map():
    """At small sizes, there are no positions for the windows of the added layers."""
    config = Path(__file__).parent / "data/keras/functions_2.15.json"
    found = rf.proposals(config, target=9)  # It only has upper bounds.
    assert not found.proposals
    assert "only upper bounds" in found.reasons[0]
