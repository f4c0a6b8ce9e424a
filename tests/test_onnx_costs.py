"""The operations of ONNX models, counted by arithmetic."""

from pathlib import Path

import numpy as np
import pytest
from onnx_experiments import model_of, onnx, operation

import receptive_field as rf
from receptive_field.cli import main

EXPORTED = Path(__file__).parent / "data" / "onnx"


def ones(*shape):
    return np.ones(shape, np.float32)


IMAGE = (1, 3, 8, 8)


@pytest.mark.parametrize(
    ("op", "shape", "inputs", "options", "macs", "added"),
    [
        ("Conv", IMAGE, [ones(5, 3, 3, 3)], {}, 5 * 36 * 27, 0),
        ("Conv", IMAGE, [ones(5, 3, 3, 3), ones(5)], {}, 5 * 36 * 27, 5 * 36),
        ("ConvTranspose", IMAGE, [ones(3, 5, 2, 2)], {}, 192 * 20, 0),
        ("ConvTranspose", IMAGE, [ones(3, 5, 2, 2), ones(5)], {}, 192 * 20, 5 * 81),
        (
            "FusedConv",
            IMAGE,
            [ones(5, 3, 1, 1), ones(5), ones(1, 5, 8, 8)],
            {"domain": "com.microsoft"},
            5 * 64 * 3,
            2 * 5 * 64,
        ),
        ("Gemm", (2, 7), [ones(7, 4), ones(4)], {}, 2 * 7 * 4, 8),
        ("Gemm", (2, 7), [ones(7, 4)], {}, 2 * 7 * 4, 0),
        ("MatMul", (2, 7), [ones(7, 4)], {}, 2 * 7 * 4, 0),
        ("Sum", (2, 7), [ones(2, 7), ones(1, 7)], {}, 0, 2 * 14),
    ],
)
def test_a_bias_is_an_addition_for_each_element(
    op, shape, inputs, options, macs, added
):
    model = operation(op, shape, *inputs, **options)
    total = rf.compute_costs(model, output="y").total
    assert (total.macs, total.flops) == (macs, 2 * macs + added)


def test_an_addition_at_the_end_of_a_block_belongs_to_the_block():
    """The exporter puts it into ``layer1.0``, and the ReLU after it into another."""
    path = str(EXPORTED / "resnet18.onnx.xz")
    costs = rf.compute_costs(path, input_resolution=[224, 224])
    for block, channels, size in (("1.0", 64, 56), ("2.1", 128, 28), ("4.0", 512, 7)):
        assert costs[f"layer{block}"].flops == channels * size * size
        assert costs[f"layer{block}.relu:2"] == rf.Cost()
    assert sum(costs.values(), start=rf.Cost()) == costs.total


def test_what_lies_between_layers_counts_at_the_next():
    """A sum outside of all modules counts at the first layer that needs it."""
    scopes = {"a": "first", "c": "second"}
    nodes = [
        onnx.helper.make_node("Relu", ["x"], ["a"]),
        onnx.helper.make_node("Add", ["x", "a"], ["b"]),
        onnx.helper.make_node("Neg", ["b"], ["c"]),
        onnx.helper.make_node("Add", ["a", "c"], ["y"]),
    ]
    for node in nodes:
        if node.output[0] in scopes:
            node.name = f"/{scopes[node.output[0]]}/{node.op_type}"
    model = model_of(nodes, {"x": ("float32", (1, 2, 4, 4))}, ["y"])
    costs = rf.compute_costs(model)
    assert {name: cost.flops for name, cost in costs.items()} == {
        "first": 0,
        "second": 2 * 32,
    }
    assert costs.total.flops == 3 * 32


def looped(count=None, goes_on=True, is_kept=True):
    """A 1x1 convolution in a loop, which ends by what it computes unless kept."""
    node = onnx.helper.make_node
    value = onnx.helper.make_tensor_value_info
    nodes = [
        node("Conv", ["v", "k"], ["v2"]),
        node("ReduceMax", ["v2"], ["m"], keepdims=0),
        node("Greater", ["m", "zero"], ["large"]),
        node("Identity", ["go" if is_kept else "large"], ["on"]),
    ]
    body = onnx.helper.make_graph(
        nodes,
        "body",
        [value("i", 7, []), value("go", 9, []), value("v", 1, None)],
        [value("on", 9, []), value("v2", 1, None)],
    )
    constants = [
        onnx.numpy_helper.from_array(ones(3, 3, 1, 1), "k"),
        onnx.numpy_helper.from_array(np.float32(0), "zero"),
        onnx.numpy_helper.from_array(np.array(goes_on), "c"),
        onnx.numpy_helper.from_array(np.array(count or 0), "n"),
    ]
    loop = node("Loop", ["" if count is None else "n", "c", "x"], ["l"], body=body)
    last = node("Conv", ["l", "k"], ["y"])
    return model_of([loop, last], {"x": ("float32", IMAGE)}, ["y"], constants)


@pytest.mark.parametrize(
    ("options", "rounds"), [({"count": 5}, 5), ({"count": 5, "goes_on": False}, 0)]
)
def test_all_iterations_of_a_loop_of_known_length_count(options, rounds):
    costs = rf.compute_costs(looped(**options))
    assert costs.is_complete
    assert costs.total.macs == (1 + rounds) * 64 * 9
    assert costs.total.parameters == 9


@pytest.mark.parametrize(
    "options", [{"is_kept": False}, {"count": 5, "is_kept": False}]
)
def test_one_iteration_counts_of_a_loop_of_unknown_length(options):
    costs = rf.compute_costs(looped(**options))
    assert list(costs.uncounted) == ["l"]
    assert costs.total.macs == 2 * 64 * 9
    assert costs.flops("y") == 2 * 64 * 9
    assert costs.flops("l/v2") is None


def test_a_scan_runs_along_an_axis():
    """Without a state, so that nothing in the graph is a cycle."""
    node, value = onnx.helper.make_node, onnx.helper.make_empty_tensor_value_info
    body = onnx.helper.make_graph(
        [node("MatMul", ["v", "k"], ["w"])], "body", [value("v")], [value("w")]
    )
    scan = node("Scan", ["x"], ["y"], body=body, num_scan_inputs=1, scan_input_axes=[1])
    kernel = onnx.numpy_helper.from_array(ones(3, 2), "k")
    model = model_of([scan], {"x": ("float32", (4, 7, 3))}, ["y"], [kernel])
    costs = rf.compute_costs(model)
    assert costs.total.macs == 7 * 4 * 3 * 2
    assert costs.is_complete


def with_unknown_op():
    nodes = [
        onnx.helper.make_node("Conv", ["x", "k"], ["a"], name="/first/Conv"),
        onnx.helper.make_node("Odd", ["a"], ["b"], name="/odd/Odd", domain="mine"),
        onnx.helper.make_node("Conv", ["a", "k"], ["c"], name="/last/Conv"),
        onnx.helper.make_node("Add", ["b", "c"], ["y"], name="/last/Add"),
    ]
    kernel = onnx.numpy_helper.from_array(ones(2, 2, 3, 3), "k")
    return model_of(nodes, {"x": ("float32", (1, 2, 8, 8))}, ["y"], [kernel])


def test_a_node_without_a_count_hides_no_other():
    """The sum has the shape of an unknown tensor, so its operations are unknown."""
    costs = rf.compute_costs(with_unknown_op())
    assert list(costs.uncounted) == ["b", "y"]
    assert "mine.Odd" in costs.uncounted["b"]
    assert costs.total.macs == 2 * 18 * (36 + 16)
    assert costs.flops("first") == 2 * 2 * 18 * 36
    assert costs.flops("odd") is None
    assert costs.flops("last") is None


def test_a_table_says_which_node_has_no_count(tmp_path, capsys):
    path = tmp_path / "odd.onnx"
    path.write_bytes(with_unknown_op().SerializeToString())
    main(["layers", str(path), "--columns", "layer,FLOPs"])
    found = capsys.readouterr()
    rows = [line.split() for line in found.out.splitlines()]
    assert ["first", str(2 * 2 * 18 * 36)] in rows
    assert "no FLOPs are counted for 'b' and 1 more" in found.err
