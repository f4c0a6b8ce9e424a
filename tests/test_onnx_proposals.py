"""Changes of ONNX models with which a field reaches a size: each is made and run."""

import numpy as np
import pytest
from onnx_experiments import Session, model_of, onnx

import receptive_field as rf
from receptive_field.rules.changed import WindowChange
from receptive_field.rules.windows import sliding_windows


def chain(*layers):
    """A model of convolutions and pools on one axis, each with these attributes."""
    nodes, constants, below = [], [], "x"
    for name, attributes in layers:
        given = dict(attributes)
        op, inputs = given.pop("op", "Conv"), [below]
        if op == "Conv":
            size = given.pop("kernel")
            kernel = np.ones((1, 1, size), np.float32)
            constants.append(onnx.numpy_helper.from_array(kernel, f"{name}_kernel"))
            inputs.append(f"{name}_kernel")
        nodes.append(onnx.helper.make_node(op, inputs, [name], **given))
        below = name
    return model_of(nodes, {"x": ("float32", (1, 1, "n"))}, [below], constants, 18)


def applied(layers, proposal):
    """The layers after the change, as a user writes it."""

    def new(name, given):
        if name not in proposal.layers:
            return name, given
        if proposal.kind == "stride":
            return name, {**given, "strides": [proposal.number]}
        kernel, dilation = given["kernel"], given.get("dilations", [1])[0]
        if proposal.kind == "kernel":
            kernel += proposal.number
        else:
            dilation = proposal.number
        changed = {**given, "kernel": kernel, "dilations": [dilation]}
        if name in proposal.grown_padding:
            half = dilation * (kernel - 1) // 2
            changed["pads"] = [half, dilation * (kernel - 1) - half]
        return name, changed

    return [new(*layer) for layer in layers]


def hold(layers, target):
    """Holds the field and the size of each proposal against the changed model."""
    found = rf.proposals(chain(*layers), target)
    sized = rf.proposals(chain(*layers), target, input_resolution=[40])
    for one in (*found, *sized):
        if one.kind != "add":
            model = chain(*applied(layers, one))
            size = one.field.axes[0].input_size
            resolution = None if size is None else [size]
            field = rf.compute_receptive_field(model, input_resolution=resolution)
            assert list(field) == list(one.field), one.change
            if one.kind == "dilate" and "auto_pad" in layers[0][1]:
                continue  # onnxruntime runs no dilated convolution with SAME padding.
            run = Session(model, result=layers[-1][0])
            count = run(np.zeros((1, 1, 40), np.float32)).shape[2]
            assert one.field.axes[0].output_size in (None, count), one.change
            before = sized.field.axes[0].output_size
            assert one.keeps_output == (count == before), one.change
    return found


def test_padding_that_keeps_the_size_grows():
    layers = [(n, {"kernel": 3, "pads": [1, 1]}) for n in ("a", "b", "c")]
    found = hold(layers, 15)
    changed = [p for p in found if p.kind in ("dilate", "kernel")]
    assert len(changed) == 4
    for one in changed:
        assert one.keeps_output
        assert one.grown_padding == one.layers
        assert one.kept_padding == ()
    assert "the padding grows to keep the size" in str(found)


def test_other_padding_stays():
    layers = [
        ("a", {"kernel": 3, "pads": [2, 2]}),
        ("b", {"kernel": 5, "pads": [1, 1]}),
        ("c", {"kernel": 3}),
    ]
    found = hold(layers, 19)
    changed = [p for p in found if p.kind in ("dilate", "kernel")]
    assert changed
    for one in changed:
        assert not one.keeps_output
        assert one.grown_padding == ()
        assert one.kept_padding == tuple(n for n in one.layers if n != "c")


@pytest.mark.parametrize("kind", ["SAME_UPPER", "SAME_LOWER"])
def test_padding_that_follows_the_size(kind):
    layers = [
        ("a", {"kernel": 2, "auto_pad": kind}),
        ("b", {"op": "MaxPool", "kernel_shape": [2], "auto_pad": kind}),
        ("c", {"kernel": 3, "auto_pad": kind}),
        ("d", {"kernel": 4, "strides": [2], "auto_pad": kind}),
    ]
    found = hold(layers, 12)
    assert {"stride", "dilate", "kernel"} <= {p.kind for p in found}
    assert {p.grown_padding + p.kept_padding for p in found} == {()}


def test_pools_that_round_up():
    layers = [
        ("a", {"op": "MaxPool", "kernel_shape": [3], "ceil_mode": 1}),
        ("b", {"kernel": 3}),
        ("c", {"kernel": 3}),
    ]
    found = hold(layers, 10)
    assert ("a",) in [p.layers for p in found if p.kind == "stride"]


@pytest.mark.parametrize(
    ("kernel", "pads", "change", "then"),
    [
        (3, (1, 1), {"dilation": 4}, (4, 4)),
        (3, (1, 1), {"wider": 2}, (2, 2)),
        (4, (1, 2), {"dilation": 3}, (4, 5)),
        (4, (2, 1), {"dilation": 3}, (5, 4)),
        (3, (2, 0), {"dilation": 4}, (8, 0)),
        (3, (0, 2), {"wider": 4}, (0, 6)),
        (5, (3, 1), {"dilation": 2}, (3, 1)),
        (5, (1, 1), {"dilation": 2}, (1, 1)),
        (3, (0, 0), {"dilation": 2}, (0, 0)),
        (1, (0, 0), {"dilation": 2}, (0, 0)),
        (3, (1, 1), {"stride": 2}, (1, 1)),
    ],
)
def test_padding_by_numbers(kernel, pads, change, then):
    (window,) = sliding_windows([None], [kernel], [1], [1], [pads])
    assert WindowChange(**change).padding(window) == then


@pytest.mark.parametrize("kind", ["NOTSET", "SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("ceil_mode", [0, 1])
@pytest.mark.parametrize("steps", [(2, 3, 1), (3, 2, 2), (2, 2, 3), (3, 4, 1)])
def test_a_window_keeps_its_kind_of_padding(kind, ceil_mode, steps):
    """Changed from stride 1 and dilation 1, a pool is the one that has these steps."""
    from receptive_field.frameworks import load
    from receptive_field.graph.edits import with_rules
    from receptive_field.rules.changed import with_window
    from receptive_field.rules.op import rule_of

    kernel, stride, dilation = steps
    given = {"op": "MaxPool", "kernel_shape": [kernel], "ceil_mode": ceil_mode}
    given["auto_pad"] = kind
    model = load(chain(("a", given)))
    wanted = chain(("a", {**given, "strides": [stride], "dilations": [dilation]}))
    node = model.graph.node("a")
    change = WindowChange(stride=stride, dilation=dilation)
    rules = {node.index: with_window(rule_of(node), change, [2])}
    for size in (None, 12, 13, 14):
        options = {"input_resolution": None if size is None else [size]}
        found = rf.compute_receptive_field(with_rules(model, rules), **options)
        expected = rf.compute_receptive_field(wanted, **options)
        assert list(found) == list(expected)
        assert found.feature_axes == expected.feature_axes
        # onnxruntime does not run all pools that skip positions between windows.
        if size is not None and stride <= kernel:
            count = Session(wanted, result="a")(np.zeros((1, 1, size), np.float32))
            assert found.axes[0].output_size == count.shape[2]
