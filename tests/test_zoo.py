"""The networks of the zoo are those of TF-Slim, of the papers and of the table."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterable
from typing import Any

import pytest
import stored
from needed import needed
from slim import drawn_deep

from receptive_field import zoo
from receptive_field.errors import ReceptiveFieldError

PUBLISHED_END_POINTS = {
    "alexnet_v2": 7,
    "vgg_a": 13,
    "vgg_16": 13,
    "inception_v2": 15,
    "inception_v2-no-separable-conv": 15,
    "inception_v3": 18,
    "inception_v4": 22,
    "inception_resnet_v2": 12,
    "inception_resnet_v2-same": 12,
    "mobilenet_v1": 14,
    "mobilenet_v1_075": 14,
    **{f"resnet_v{v}_{n}": 4 for v in (1, 2) for n in (50, 101, 152, 200)},
}
"""Rows of the published table with an unknown resolution, by model."""

GFLOPS = {
    "alexnet_v2": 1.380,
    "vgg_a": 14.984,
    "vgg_16": 30.713,
    "inception_v2": 3.883,
    "inception_v2-no-separable-conv": 4.051,
    "inception_v3": 5.689,
    "inception_v4": 12.271,
    "inception_resnet_v2": 12.958,
    "inception_resnet_v2-same": 17.755,
    "mobilenet_v1": 1.140,
    "mobilenet_v1_075": 0.653,
    "resnet_v1_50": 6.963,
    "resnet_v1_101": 14.387,
    "resnet_v1_152": 21.811,
    "resnet_v1_200": 28.799,
    "resnet_v2_50": 6.969,
    "resnet_v2_101": 14.397,
    "resnet_v2_152": 21.826,
    "resnet_v2_200": 28.820,
}
"""Published billions of floating-point operations of the last end-point, at 224."""

CLASSIC_SIZES = {"conv1": 112, "maxpool": 56, "layer1": 56} | {
    "layer2": 28,
    "layer3": 14,
    "layer4": 7,
}


class TestDefinitions:
    def test_every_published_model_has_its_end_points(self) -> None:
        counts = {
            name: len(zoo.NETWORKS[name].end_points) for name in PUBLISHED_END_POINTS
        }
        assert counts == PUBLISHED_END_POINTS
        assert sum(counts.values()) == 561 / 3

    def test_other_networks_are_the_residual_ones(self) -> None:
        assert set(zoo.NETWORKS) - set(PUBLISHED_END_POINTS) == {
            *("resnet_18", "resnet_34", "resnet_50", "resnet_101", "resnet_152"),
            *("resnet_50_b", "resnet_101_b", "resnet_152_b", "resnet_cifar_20"),
        }

    @pytest.mark.parametrize(
        ("name", "end_points"),
        [
            ("alexnet_v2", "conv1 pool1 conv2 conv3 conv4 conv5 pool5"),
            (
                "vgg_16",
                "conv1/conv1_1 pool1 conv2/conv2_1 pool2 conv3/conv3_1 conv3/conv3_2 "
                "pool3 conv4/conv4_1 conv4/conv4_2 pool4 conv5/conv5_1 conv5/conv5_2 "
                "pool5",
            ),
            ("resnet_v2_152", "block1 block2 block3 block4"),
        ],
    )
    def test_scoped_end_points(self, name: str, end_points: str) -> None:
        expected = tuple(f"{name}/{part}" for part in end_points.split())
        assert zoo.NETWORKS[name].end_points == expected

    def test_unscoped_end_points(self) -> None:
        assert zoo.NETWORKS["inception_resnet_v2"].end_points == (
            *("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "MaxPool_3a_3x3"),
            *("Conv2d_3b_1x1", "Conv2d_4a_3x3", "MaxPool_5a_3x3", "Mixed_5b"),
            *("Mixed_6a", "PreAuxLogits", "Mixed_7a", "Conv2d_7b_1x1"),
        )

    def test_years_are_those_of_the_paper(self) -> None:
        assert zoo.NETWORKS["mobilenet_v1"].year == 2017
        assert zoo.NETWORKS["resnet_v2_50"].year is None

    def test_importing_the_zoo_leaves_tensorflow_alone(self) -> None:
        program = (
            "import sys, receptive_field.zoo; sys.exit('tensorflow' in sys.modules)"
        )
        subprocess.run([sys.executable, "-c", program], check=True)

    def test_without_tensorflow_the_error_says_what_to_install(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "tensorflow", None)
        with pytest.raises(
            ReceptiveFieldError, match=r'pip install "receptive_field\[tensorflow\]"'
        ):
            zoo.build("alexnet_v2")

    def test_unknown_network_lists_the_known_ones(self) -> None:
        with pytest.raises(ReceptiveFieldError, match="alexnet_v2, vgg_a, vgg_16"):
            zoo.build("alexnet_v3")


def large_ones_slow(names: Iterable[str]) -> list[Any]:
    """The names as parameters; those of deep residual networks are marked slow."""
    return [
        pytest.param(
            name,
            marks=[pytest.mark.slow] if name.endswith(("101", "152", "200")) else [],
        )
        for name in names
    ]


@pytest.fixture(scope="module")
def tf() -> Any:
    return needed("tensorflow")


def sizes(built: zoo.BuiltNetwork) -> dict[str, int | None]:
    """End-point -> its height, which has to be its width too."""
    found = {}
    for end_point, node in built.end_points.items():
        _, height, width, _ = built.graph.get_tensor_by_name(
            f"{node}:0"
        ).shape.as_list()
        assert height == width
        found[end_point] = height
    return found


class TestGraphs:
    @pytest.mark.parametrize("resource_variables", [False, True])
    def test_kind_of_variables(self, tf: Any, resource_variables: bool) -> None:
        built = zoo.build("inception_v2", resource_variables=resource_variables)
        types = {operation.type for operation in built.graph.get_operations()}
        assert ("VarHandleOp" in types) == resource_variables
        assert ("VariableV2" in types) != resource_variables

    def test_resolution_is_unknown_unless_given(self, tf: Any) -> None:
        for resolution, expected in ((None, [None, None]), ([97, 65], [97, 65])):
            built = zoo.build("mobilenet_v1", resolution)
            tensor = built.graph.get_tensor_by_name(f"{built.input}:0")
            assert tensor.shape.as_list() == [1, *expected, 3]

    @pytest.mark.parametrize(
        ("network", "end_point", "node"),
        [
            ("alexnet_v2", "alexnet_v2/conv1", "alexnet_v2/conv1/Relu"),
            ("vgg_a", "vgg_a/conv1/conv1_1", "vgg_a/conv1/conv1_1/Relu"),
            ("inception_v4", "Mixed_7d", "InceptionV4/Mixed_7d/concat"),
            (
                "inception_resnet_v2",
                "Conv2d_7b_1x1",
                "InceptionResnetV2/Conv2d_7b_1x1/Relu",
            ),
            (
                "inception_resnet_v2",
                "PreAuxLogits",
                "InceptionResnetV2/Repeat_1/block17_20/Relu",
            ),
            ("mobilenet_v1", "Conv2d_0", "MobilenetV1/Conv2d_0/Relu"),
            (
                "resnet_v1_50",
                "resnet_v1_50/block1",
                "resnet_v1_50/block1/unit_3/bottleneck_v1/Relu",
            ),
            (
                "resnet_v2_50",
                "resnet_v2_50/block4",
                "resnet_v2_50/block4/unit_3/bottleneck_v2/add",
            ),
        ],
    )
    def test_nodes_of_end_points(
        self, tf: Any, network: str, end_point: str, node: str
    ) -> None:
        assert stored.zoo_network(network).end_points[end_point] == node

    @pytest.mark.parametrize(
        "node",
        [
            "InceptionResnetV2/Mixed_5b/Branch_1/Conv2d_0a_1x1/Relu",
            "InceptionResnetV2/Repeat/block35_1/Branch_0/Conv2d_1x1/Relu",
            "InceptionResnetV2/Repeat_2/block8_9/Relu",
            "InceptionResnetV2/Block8/add",
        ],
    )
    def test_nodes_inside(self, tf: Any, node: str) -> None:
        graph = stored.zoo_network("inception_resnet_v2").graph
        assert graph.get_operation_by_name(node)

    @pytest.mark.parametrize(
        "name",
        [f"resnet_{n}" for n in (18, 34, 50, 101, 152, "50_b", "101_b", "152_b")],
    )
    def test_classic_resnets_halve_in_each_stage(self, tf: Any, name: str) -> None:
        assert sizes(stored.zoo_network(name, (224, 224))) == CLASSIC_SIZES

    @pytest.mark.parametrize(
        ("name", "strided"), [("resnet_50", "conv1"), ("resnet_50_b", "conv2")]
    )
    def test_placement_of_the_stride(self, tf: Any, name: str, strided: str) -> None:
        graph = stored.zoo_network(name).graph
        convolutions = {
            operation.name.split("/")[-2]: operation.get_attr("strides")[1]
            for operation in graph.get_operations()
            if operation.type == "Conv2D" and "layer3/unit_1/" in operation.name
        }
        strides = {"shortcut": 2, "conv1": 1, "conv2": 1, "conv3": 1} | {strided: 2}
        assert convolutions == strides

    def test_classic_resnets_have_paddings_that_no_size_changes(self, tf: Any) -> None:
        for name in ("resnet_50", "resnet_cifar_20"):
            for operation in stored.zoo_network(name).graph.get_operations():
                if operation.type in ("Conv2D", "MaxPool"):
                    assert operation.get_attr("padding") == b"VALID"

    def test_cifar_resnet(self, tf: Any) -> None:
        built = stored.zoo_network("resnet_cifar_20", (32, 32))
        expected = {"conv1": 32, "stage1": 32, "stage2": 16, "stage3": 8}
        assert sizes(built) == expected
        kernels = [
            operation
            for operation in built.graph.get_operations()
            if operation.type == "Conv2D" and "shortcut" not in operation.name
        ]
        assert len(kernels) == 19

    @pytest.mark.parametrize(
        ("name", "resolution", "node"),
        [
            ("alexnet_v2", [10, 224], "alexnet_v2/conv1/Conv2D"),
            ("alexnet_v2", [224, 30], "alexnet_v2/pool2/MaxPool"),
            ("vgg_16", [31, 31], "vgg_16/pool5/MaxPool"),
            (
                "inception_v3",
                [74, 74],
                "InceptionV3/Mixed_7a/Branch_0/Conv2d_1a_3x3/Conv2D",
            ),
        ],
    )
    def test_vanishing_feature_map_is_located(
        self, tf: Any, name: str, resolution: list[int], node: str
    ) -> None:
        with pytest.raises(ReceptiveFieldError, match=f"vanishes at {node},"):
            zoo.build(name, resolution)

    @pytest.mark.parametrize("name", ["resnet_18", "resnet_v2_50", "mobilenet_v1"])
    def test_padded_networks_accept_a_single_pixel(self, tf: Any, name: str) -> None:
        assert set(sizes(zoo.build(name, [1, 1])).values()) == {1}

    @pytest.mark.parametrize("resolution", [[0, 9], [224], [1, 2, 3], ["a", "b"], 224])
    def test_resolution_has_to_be_one(self, tf: Any, resolution: Any) -> None:
        with pytest.raises(ReceptiveFieldError, match=r"\[height, width\]"):
            zoo.build("alexnet_v2", resolution)

    @pytest.mark.parametrize("name", large_ones_slow(GFLOPS))
    def test_floating_point_operations_are_the_published_ones(
        self, tf: Any, name: str
    ) -> None:
        """AddV2 apart, which TensorFlow did not count when the table was made."""
        ops = needed("tensorflow.python.framework.ops")
        importlib.import_module("tensorflow.python.profiler.internal.flops_registry")
        built = stored.zoo_network(name, (224, 224))
        last = list(built.end_points.values())[-1]
        flops = sum(
            ops.get_stats_for_node_def(built.graph, operation.node_def, "flops").value
            or 0
            for operation in ancestors(built.graph, [last])
            if operation.type in COUNTED
        )
        assert flops / 1e9 == pytest.approx(GFLOPS[name], abs=0.0006)


COUNTED = (
    *("Conv2D", "DepthwiseConv2dNative", "BiasAdd", "Mul"),
    *("MaxPool", "AvgPool", "FusedBatchNormV3"),
)


def ancestors(graph: Any, nodes: Iterable[str]) -> set[Any]:
    """The operations of these names and all that they depend on."""
    found: set[Any] = set()
    waiting = [graph.get_operation_by_name(node) for node in nodes]
    while waiting:
        found.add(operation := waiting.pop())
        waiting += {tensor.op for tensor in operation.inputs} - found
    return found


FORWARD = (
    *("Placeholder", "Pad", "Conv2D", "DepthwiseConv2dNative", "BiasAdd", "Relu"),
    *("FusedBatchNormV3", "MaxPool", "AvgPool", "ConcatV2", "AddV2"),
)
ATTRIBUTES = (
    *("strides", "padding", "ksize", "dilations", "explicit_paddings"),
    *("data_format", "N"),
)
PARAMETERS = ("Pad", "Conv2D", "DepthwiseConv2dNative", "ConcatV2")


def forward_pass(
    tf: Any, definition: Any, outputs: Iterable[str]
) -> dict[str, tuple[object, ...]]:
    """Name -> type, attributes and data inputs, for what leads to the outputs.

    With the shapes of kernels, the paddings and the axes of concatenations: all sizes
    follow from these.
    """
    nodes = {node.name: node for node in definition.node}

    def parameter(name: str) -> Any:
        node = nodes[name]
        if node.op == "Const":
            return tf.make_ndarray(node.attr["value"].tensor).tolist()
        if "shape" in node.attr:  # A variable.
            return [dim.size for dim in node.attr["shape"].shape.dim]
        return parameter(node.input[0])

    found: dict[str, tuple[object, ...]] = {}
    waiting = list(outputs)
    while waiting:
        node = nodes[waiting.pop()]
        read = [name.partition(":")[0] for name in node.input]
        data = [name for name in read if nodes[name].op in FORWARD]
        others = [name for name in read if nodes[name].op not in FORWARD]
        found[node.name] = (
            node.op,
            [node.attr[name] for name in ATTRIBUTES if name in node.attr],
            data,
            [parameter(n) for n in others] if node.op in PARAMETERS else None,
        )
        waiting += set(data) - found.keys()
    return found


@pytest.mark.filterwarnings("ignore:`layer.apply` is deprecated:UserWarning")
@pytest.mark.parametrize(
    "name",
    large_ones_slow(
        [
            *("alexnet_v2", "vgg_a", "vgg_16", "inception_v2", "inception_v3"),
            *("resnet_v1_50", "resnet_v2_50", drawn_deep()),
        ]
    ),
)
def test_same_operations_as_tf_slim(tf: Any, name: str) -> None:
    """The same nodes: names, types, kernels, strides, paddings and connections."""
    slim, _ = stored.slim_network(name)
    definition, _, end_points = stored.zoo_definition(name)
    nodes = end_points.values()
    assert forward_pass(tf, definition, nodes) == forward_pass(tf, slim, nodes)


@pytest.mark.parametrize(
    ("chosen", "message"), [("pool5", "must be a list"), (["no"], "no end-point 'no'")]
)
def test_end_points_that_do_not_exist(chosen: Any, message: str) -> None:
    with pytest.raises(ReceptiveFieldError, match=message):
        zoo.table("vgg_16", end_points=chosen)
