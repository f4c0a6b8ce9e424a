"""Convolutions, pools, branches and loops of ONNX."""

from __future__ import annotations

import numpy as np
from needed import needed
from onnx_cases import Case, Cases, case
from onnx_experiments import model_of

onnx = needed("onnx")


def weights(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(0.5, 1.5, shape).astype("float32")


def pool(op: str, **attributes: object) -> object:
    return case(op, kernel_shape=[3, 2], strides=[2, 1], check_exact=True, **attributes)


def body(name: str, nodes: list[object], inputs: str, outputs: str) -> object:
    value = onnx.helper.make_empty_tensor_value_info
    return onnx.helper.make_graph(
        nodes, name, [*map(value, inputs.split())], [*map(value, outputs.split())]
    )


KERNEL = onnx.numpy_helper.from_array(weights(2, 2, 3, 3), "w")


def conv(source: str, result: str) -> object:
    return onnx.helper.make_node("Conv", [source, "w"], [result], pads=[1] * 4)


def of_nodes(*nodes: object, **options: object) -> Case:
    shape = (1, 2, 5, 6)
    model = model_of(nodes, {"x": ("float32", shape)}, ["y"], [KERNEL])
    return Case(model, shape, options)


def branch() -> Case:
    """A condition that any position of the input can decide."""
    nodes = [
        onnx.helper.make_node("ReduceMax", ["x"], ["m"], keepdims=0),
        onnx.helper.make_node("Constant", [], ["l"], value_float=50.0),
        onnx.helper.make_node("Greater", ["m", "l"], ["c"]),
        onnx.helper.make_node(
            "If",
            ["c"],
            ["y"],
            then_branch=body("then", [conv("x", "t")], "", "t"),
            else_branch=body("else", [conv("x", "i"), conv("i", "e")], "", "e"),
        ),
    ]
    return of_nodes(*nodes)


def loop() -> Case:
    """Two iterations of a convolution."""
    typed = onnx.helper.make_tensor_value_info
    inner = onnx.helper.make_graph(
        [conv("v", "v2"), onnx.helper.make_node("Identity", ["go"], ["on"])],
        "body",
        [typed("i", 7, []), typed("go", 9, []), typed("v", 1, [1, 2, 5, 6])],
        [typed("on", 9, []), typed("v2", 1, [1, 2, 5, 6])],
    )
    nodes = [
        onnx.helper.make_node("Constant", [], ["n"], value_int=2),
        onnx.helper.make_node("Loop", ["n", "", "x"], ["y"], body=inner),
    ]
    return of_nodes(*nodes)


def scan() -> Case:
    """A running sum along an axis."""
    inner = body(
        "body",
        [
            onnx.helper.make_node("Add", ["s", "v"], ["s2"]),
            onnx.helper.make_node("Identity", ["s2"], ["o"]),
        ],
        "s v",
        "s2 o",
    )
    zeros = onnx.numpy_helper.from_array(np.zeros((1, 2, 5), "float32"), "z")
    node = onnx.helper.make_node(
        "Scan",
        ["z", "x"],
        ["f", "y"],
        body=inner,
        num_scan_inputs=1,
        scan_input_axes=[3],
        scan_output_axes=[3],
    )
    shape = (1, 2, 5, 6)
    model = model_of([node], {"x": ("float32", shape)}, ["y"], [zeros])
    return Case(model, shape, {})


CASES: Cases = {
    "Conv": [
        case("Conv", weights(3, 2, 3, 2), strides=[2, 1], check_exact=True),
        case("Conv", weights(2, 1, 3, 3), group=2, auto_pad="SAME_LOWER"),
        case("Conv", weights(2, 2, 3, 3), dilations=[2, 1], pads=[1, 2, 1, 0]),
    ],
    "ConvTranspose": [
        case("ConvTranspose", weights(2, 3, 3, 2), strides=[2, 3], check_exact=True),
        case(
            "ConvTranspose",
            weights(2, 3, 3, 3),
            strides=[2, 2],
            output_shape=[9, 12],
            auto_pad="SAME_UPPER",
        ),
        case(
            "ConvTranspose", weights(2, 1, 3, 3), strides=[2, 2], output_padding=[1, 0]
        ),
    ],
    "MaxPool": [
        pool("MaxPool", ceil_mode=1),
        case("MaxPool", kernel_shape=[2, 2], auto_pad="SAME_LOWER"),
        case("MaxPool", kernel_shape=[2, 3], dilations=[2, 1], outputs=2, output=0),
    ],
    "AveragePool": [
        pool("AveragePool", pads=[1, 0, 1, 1], count_include_pad=1),
        case("AveragePool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
    ],
    "LpPool": [pool("LpPool")],
    "GlobalAveragePool": [case("GlobalAveragePool", check_exact=True)],
    "GlobalMaxPool": [case("GlobalMaxPool", check_exact=True)],
    "GlobalLpPool": [case("GlobalLpPool", opset=20, check_exact=True)],
    "If": [branch],
    "Loop": [loop],
    "Scan": [scan],
}
