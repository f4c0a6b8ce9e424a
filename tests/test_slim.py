"""The networks of `tf_slim`: the published numbers, whatever else a graph holds."""

import csv
import itertools
import random
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

import pytest
import stored
from needed import needed
from random_search import seeds
from slim import drawn_deep, networks

import receptive_field as rf
from receptive_field.frameworks import load
from receptive_field.graph.model import Model

tf = needed("tensorflow")
v1 = tf.compat.v1

pytestmark = [
    pytest.mark.filterwarnings("ignore:`layer.apply` is deprecated:UserWarning"),
    pytest.mark.filterwarnings("ignore:Converting sparse IndexedSlices:UserWarning"),
]

RESOLUTIONS = [None, 224, 321]
CLASSIC = ["alexnet_v2", "vgg_a", "vgg_16", "vgg_19", "overfeat"]
INCEPTION = ["inception_v1", "inception_v2", "inception_v3"]
RESNET = [f"resnet_v{v}_{n}" for v in (1, 2) for n in (50, 101, 152, 200)]
FAMILIES = [
    *("vgg_a", "alexnet_v2", "overfeat", *INCEPTION),
    *("resnet_v1_small", "resnet_v2_small"),
]
"""The smallest network of each; the others repeat the same layers."""


def slow(*values: Any) -> Any:
    return pytest.param(*values, marks=pytest.mark.slow)


def large_ones_slow(names: list[str]) -> list[Any]:
    """One network of each family is left to be tested always."""
    quick = [*CLASSIC, *INCEPTION, "resnet_v1_50", "resnet_v1_small"]
    return [name if name in quick else slow(name) for name in names]


@dataclass(frozen=True)
class Built:
    """A graph with one network in it, and the nodes of its end-points by name."""

    definition: Any
    end_points: dict[str, str]

    @cached_property
    def model(self) -> Model:
        """The definition, loaded once for all questions."""
        return load(self.definition)

    @cached_property
    def _fields(self) -> dict[Any, rf.ReceptiveFields]:
        """What was found of all nodes, by resolution and options."""
        return {}

    def fields(self, resolution: int | None, **options: Any) -> rf.ReceptiveFields:
        """Of all nodes, in one pass; the same question is asked once."""
        key = resolution, repr(options)
        if key not in self._fields:
            sizes = "unknown" if resolution is None else [resolution] * 2
            self._fields[key] = rf.compute_receptive_fields(
                self.model, input="input_image", input_resolution=sizes, **options
            )
        return self._fields[key]

    def field(self, node: str, resolution: int | None = None, **options: Any) -> Any:
        """Of one node, by the function of the original library."""
        sizes = None if resolution is None else [resolution] * 2
        return rf.compute_receptive_field_from_graph_def(
            self.model, "input_image", node, input_resolution=sizes, **options
        )


Images = Any
Network = Callable[..., dict[str, Any]]
Variant = Callable[[Network, Images], dict[str, Any]]


def clean(network: Network, images: Images) -> dict[str, Any]:
    """The network as it is for inference; only the base of an inception network."""
    return network(images)


def in_inference(network: Network, images: Images) -> dict[str, Any]:
    """The same, with all that an inception network has for training."""
    return network(images, is_training=False)


@lru_cache(maxsize=8)
def built(name: str, variant: Variant = clean, data_format: str = "NHWC") -> Built:
    """The graph of a network, in which the variant may put more."""
    if variant in (clean, in_inference) and data_format == "NHWC":
        trained = variant is in_inference and name in INCEPTION
        return Built(*stored.slim_network(f"{name}_classifier" if trained else name))
    with tf.Graph().as_default() as graph:
        images = v1.placeholder(tf.float32, stored.SHAPES[data_format], "input_image")

        def network(images: Images, **options: Any) -> dict[str, Any]:
            trained = "is_training" in options and name in INCEPTION
            call = networks()[f"{name}_classifier" if trained else name]
            return call(images, data_format=data_format, **options)

        tensors = variant(network, images)
        end_points = {end: tensor.op.name for end, tensor in tensors.items()}
        return Built(graph.as_graph_def(), end_points)


def numbers(field: rf.ReceptiveField) -> tuple[Any, ...]:
    """Size, stride and padding, which have to be the same on both axes."""
    values = list(field)
    assert values[::2] == values[1::2]
    return tuple(values[::2])


def summary(field: rf.ReceptiveField) -> tuple[Any, ...]:
    """All that two graphs of one network have in common."""
    return list(field), field.aligned, [known(axis.map) for axis in field.axes]


def known(axis_map: Any) -> Any:
    """The map; if its offset is unknown all but the name that is given to it."""
    if axis_map.is_floating:
        return axis_map.rates, axis_map.size(), axis_map.exact, axis_map.aligned
    return axis_map


# The published table.


@cache
def published() -> dict[str, dict[int | None, dict[str, tuple[int | None, ...]]]]:
    """Model -> resolution -> end-point -> size, stride, padding."""
    table: dict[str, Any] = {}
    path = Path(__file__).parent / "data" / "published_table.csv"
    with path.open() as file:
        for row in csv.DictReader(file):
            resolution, *values = (
                int(row[column]) if row[column] else None
                for column in (
                    *("input_resolution", "receptive_field"),
                    *("effective_stride", "effective_padding"),
                )
            )
            model = table.setdefault(row["model"], {r: {} for r in RESOLUTIONS})
            model[resolution][row["end_point"]] = tuple(values)
    return table


QUICK = [*CLASSIC, *INCEPTION, "resnet_v1_50", "resnet_v2_50"]
PUBLISHED = large_ones_slow(
    [name for name in [*QUICK, drawn_deep()] if name in published()]
)
"""Of the deep ones, `test_tables.py` holds every row with the networks of the zoo."""


def test_networks_without_published_rows():
    assert {*CLASSIC, *INCEPTION, *RESNET} - set(published()) == {
        *("vgg_19", "overfeat", "inception_v1")
    }


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_numbers(name):
    """Each one by one and in one pass; the last of each size of a GraphDef, too."""
    network = built(name)
    for resolution, expected in published()[name].items():
        nodes = {end: network.end_points[end] for end in expected}
        found = {end: numbers(network.field(nodes[end], resolution)) for end in nodes}
        assert (resolution, found) == (resolution, expected)
        fields = network.fields(resolution)
        found = {end: numbers(fields[nodes[end]]) for end in nodes}
        assert (resolution, found) == (resolution, expected)
        last = list(nodes)[-1]
        sizes = None if resolution is None else [resolution] * 2
        field = rf.compute_receptive_field_from_graph_def(
            network.definition, "input_image", nodes[last], input_resolution=sizes
        )
        assert numbers(field) == expected[last]


# Numbers by hand: each layer as kernel, /stride if not 1, V if padded VALID.

VGG = {"vgg_a": (1, 1, 2, 2, 2), "vgg_16": (2, 2, 3, 3, 3), "vgg_19": (2, 2, 4, 4, 4)}
LAYERS = {
    "alexnet_v2": "conv1 11/4V pool1 3/2V conv2 5 pool2 3/2V conv3 3 conv4 3 conv5 3 "
    "pool5 3/2V fc6 5V fc7 1 fc8 1",
    "overfeat": "conv1 11/4V pool1 2/2V conv2 5V pool2 2/2V conv3 3 conv4 3 conv5 3 "
    "pool5 2/2V fc6 6V fc7 1 fc8 1",
    # A block with branches is its largest kernel.
    "inception_v1": "Conv2d_1a_7x7 7/2 MaxPool_2a_3x3 3/2 Conv2d_2b_1x1 1 "
    "Conv2d_2c_3x3 3 MaxPool_3a_3x3 3/2 Mixed_3b 3 Mixed_3c 3 MaxPool_4a_3x3 3/2 "
    "Mixed_4b 3 Mixed_4c 3 Mixed_4d 3 Mixed_4e 3 Mixed_4f 3 MaxPool_5a_2x2 2/2 "
    "Mixed_5b 3 Mixed_5c 3",
    **{
        name: " ".join(
            "".join(f"conv{s}/conv{s}_{i + 1} 3 " for i in range(n)) + f"pool{s} 2/2V"
            for s, n in enumerate(stages, start=1)
        )
        + " fc6 7V fc7 1 fc8 1"
        for name, stages in VGG.items()
    },
}


def by_hand(name: str, size: int | None) -> dict[str, tuple[int | None, ...]]:
    """End-point -> size, stride, padding, until the feature map vanishes."""
    found = {}
    field, jump, padding = 1, 1, 0
    words = LAYERS[name].split()
    for end_point, layer in zip(words[::2], words[1::2], strict=True):
        kernel, _, step = layer.rstrip("V").partition("/")
        k, s = int(kernel), int(step or 1)
        before: int | None = 0
        if not layer.endswith("V"):
            total = k - s if size is None or size % s == 0 else k - size % s
            before = max(total, 0) // 2
            if size is None and s > 1 and k % 2:
                before = None  # 0 or 1 positions more, as the size is.
            size = None if size is None else -(-size // s)
        elif size is not None:
            size = (size - k) // s + 1
            if size < 1:
                break
        unknown = padding is None or before is None
        padding = None if unknown else padding + before * jump
        field += (k - 1) * jump
        jump *= s
        found[end_point] = (field, jump, padding)
    return found


@pytest.mark.parametrize("name", LAYERS)
def test_numbers_by_hand(name):
    network = built(name)
    scope = "" if name in INCEPTION else f"{name}/"
    for resolution in (*RESOLUTIONS, 231):
        expected = by_hand(name, resolution)
        nodes = {end: network.end_points[scope + end] for end in expected}
        fields = network.fields(resolution, outputs=list(nodes.values()))
        alone = {end: network.field(node, resolution) for end, node in nodes.items()}
        for found in (
            {end: numbers(fields[node]) for end, node in nodes.items()},
            {end: numbers(field) for end, field in alone.items()},
        ):
            assert (resolution, found) == (resolution, expected)


def test_numbers_by_hand_end_where_the_feature_map_vanishes():
    assert list(by_hand("overfeat", 224))[-1] == "pool5"
    assert list(by_hand("overfeat", 231))[-1] == "fc8"


@pytest.mark.parametrize(
    ("name", "vanishing", "size", "kernel"),
    [
        ("overfeat", "overfeat/fc6/Conv2D", 5, 6),
        slow("inception_v3", "InceptionV3/AuxLogits/Conv2d_2a_5x5/Conv2D", 3, 5),
    ],
)
def test_where_a_feature_map_vanishes_the_others_are_not_affected(
    name, vanishing, size, kernel
):
    """OverFeat needs 231 pixels, the classifier of Inception v3 needs 299."""
    network = built(name, in_training if name in INCEPTION else clean)
    fields = network.fields(224)
    assert vanishing in fields.errors
    with pytest.raises(
        rf.ReceptiveFieldError, match=f"{size} positions .* spans {kernel}"
    ):
        fields[vanishing]
    for end_point in built(name).end_points:
        node = network.end_points[end_point]
        if node not in fields.errors:
            assert summary(fields[node]) == summary(network.field(node, 224))


# The same answers, whatever else is in the graph.


@contextmanager
def control_flow_v1():
    """Conditions and loops are Switch and Merge, as in TensorFlow 1."""
    was_enabled = v1.control_flow_v2_enabled()
    v1.disable_control_flow_v2()
    try:
        yield
    finally:
        if was_enabled:
            v1.enable_control_flow_v2()


def with_reference_variables(network: Network, images: Images) -> dict[str, Any]:
    with v1.variable_scope(v1.get_variable_scope(), use_resource=False):
        return in_inference(network, images)


def in_training(network: Network, images: Images) -> dict[str, Any]:
    return network(images, is_training=True)


def by_condition(network: Network, images: Images) -> dict[str, Any]:
    return network(images, is_training=v1.placeholder(tf.bool, (), "is_training"))


def by_switch(network: Network, images: Images) -> dict[str, Any]:
    with control_flow_v1():
        return by_condition(network, images)


def last_of(end_points: dict[str, Any]) -> Any:
    return list(end_points.values())[-1]


def with_gradients(network: Network, images: Images) -> dict[str, Any]:
    end_points = in_inference(network, images)
    v1.gradients(tf.reduce_mean(last_of(end_points)), [images, *v1.global_variables()])
    return end_points


def with_optimizer(network: Network, images: Images) -> dict[str, Any]:
    end_points = in_training(network, images)
    with tf.control_dependencies(v1.get_collection(v1.GraphKeys.UPDATE_OPS)):
        loss = tf.reduce_mean(tf.square(last_of(end_points)))
        v1.train.MomentumOptimizer(0.1, 0.9).minimize(loss)
    return end_points


def with_saver_and_summaries(network: Network, images: Images) -> dict[str, Any]:
    end_points = in_inference(network, images)
    summarise({"input": images, **end_points})
    v1.train.Saver()
    return end_points


def summarise(tensors: dict[str, Any]) -> None:
    for name, tensor in tensors.items():
        v1.summary.histogram(name, tensor)
        v1.summary.scalar(f"{name}/sparsity", tf.nn.zero_fraction(tensor))
        v1.summary.image(name, tensor[..., :3])
    v1.summary.merge_all()


def with_foreign_ops(network: Network, images: Images) -> dict[str, Any]:
    """Ops that no rule can know read the input and all end-points."""
    end_points = in_inference(network, images)
    for tensor in [images, *end_points.values()]:
        foreign_op(tensor)
    return end_points


def foreign_op(tensor: Any) -> Any:
    return tf.numpy_function(lambda x: x, [tensor], tf.float32)


def under_control(network: Network, images: Images) -> dict[str, Any]:
    """All ops of the network wait for others, some of which read the input."""
    checked = v1.assert_non_negative(images)
    with tf.control_dependencies([foreign_op(images), checked]):
        end_points = in_inference(network, images)
    with tf.control_dependencies([last_of(end_points)]):
        tf.identity(images, "after")
    return end_points


def count_to_three() -> Any:
    return v1.while_loop(lambda i: i < 3, lambda i: i + 1, [tf.constant(0)])


def beside_a_loop(network: Network, images: Images) -> dict[str, Any]:
    with control_flow_v1(), tf.control_dependencies([count_to_three()]):
        return in_inference(network, images)


def with_loops_that_read(network: Network, images: Images) -> dict[str, Any]:
    """Loops of which one reads the input and one the last end-point."""
    end_points = in_inference(network, images)
    for tensor in (images, last_of(end_points)):
        v1.while_loop(
            lambda i, x: i < 3, lambda i, x: (i + 1, x * 2), [tf.constant(0), tensor]
        )
    return end_points


def with_loops_v1(network: Network, images: Images) -> dict[str, Any]:
    with control_flow_v1():
        return with_loops_that_read(network, images)


def with_everything(network: Network, images: Images) -> dict[str, Any]:
    """Training, with checks, summaries and loops, as real programs have it."""
    with control_flow_v1():
        checks = [foreign_op(images), count_to_three()]
        with tf.control_dependencies(checks):
            end_points = with_optimizer(network, images)
        foreign_op(last_of(end_points))
        summarise({"input": images, **end_points})
    v1.train.Saver()
    return end_points


VARIANTS = {
    with_reference_variables: {"VariableV2"},
    in_training: {"RandomUniform"},
    by_condition: {"If", "StatelessIf"},
    by_switch: {"Switch"},
    with_gradients: {"Conv2DBackpropInput"},
    with_optimizer: {"ResourceApplyMomentum"},
    with_saver_and_summaries: {"HistogramSummary"},
    with_foreign_ops: {"PyFunc"},
    under_control: {"PyFunc"},
    beside_a_loop: {"NextIteration"},
    with_loops_that_read: {"While", "StatelessWhile"},
    with_loops_v1: {"NextIteration"},
    with_everything: {"NextIteration"},
}
"""Variants, and the ops of which each graph has to hold one."""


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.__name__)
def test_variants_hold_what_they_are_for(variant):
    ops = {node.op for node in built("vgg_a", variant).definition.node}
    assert ops & VARIANTS[variant]


@pytest.mark.parametrize(
    ("variant", "kind"),
    [(clean, "VarHandleOp"), (with_reference_variables, "VariableV2")],
)
def test_kind_of_variables(variant, kind):
    ops = {node.op for node in built("vgg_a", variant).definition.node}
    assert ops & {"VarHandleOp", "VariableV2"} == {kind}


def answers(
    network: Built, resolution: int | None, one_pass: bool, end_points: list[str]
) -> dict[str, Any]:
    """What is said of end-points; a message where the feature map has vanished."""
    fields = network.fields(resolution) if one_pass else None
    found = {}
    for end in end_points:
        node = network.end_points[end]
        try:
            field = network.field(node, resolution) if fields is None else fields[node]
        except rf.ReceptiveFieldError as error:
            found[end] = str(error)
        else:
            found[end] = summary(field)
    return found


@cache
def expected_answers(
    name: str, reference: Variant, resolution: int | None, one_pass: bool
) -> dict[str, Any]:
    network = built(name, reference)
    return answers(network, resolution, one_pass, list(network.end_points))


def check_same_answers(network: Built, name: str, reference: Variant) -> None:
    """Of all end-points in one pass, and of some one by one."""
    for resolution, one_pass in itertools.product(RESOLUTIONS, (True, False)):
        expected = expected_answers(name, reference, resolution, one_pass)
        common = [end for end in expected if end in network.end_points]
        assert len(common) > 3
        if not one_pass:
            common = random.Random(0).sample(common[:-1], 3) + common[-1:]
        found = answers(network, resolution, one_pass, common)
        expected = {end: expected[end] for end in common}
        assert (resolution, one_pass, found) == (resolution, one_pass, expected)


BATCH_NORMALISED = [
    *(("resnet_v1_small", variant) for variant in VARIANTS),
    *(
        ("inception_v1_small", variant)
        for variant in (in_training, by_condition, with_gradients, with_everything)
    ),
    *(
        (name, with_everything)
        for name in ("alexnet_v2", "overfeat", "inception_v2_small", "resnet_v2_small")
    ),
]
"""Each variant in a network with residual connections, the one that is all of them in
every family, and those that change batch normalisation where branches are joined, in
two modules of Inception v1; in three of Inception v2, which has separable convolutions
and a stride where branches are joined (Inception v3 has no op that the first two lack).
Others are drawn at random, of whole networks, too."""

VARIED = [
    *(("vgg_a", variant) for variant in VARIANTS),
    ("inception_v1_small", by_switch),
    *(slow(*varied) for varied in BATCH_NORMALISED),
]


@pytest.mark.parametrize(
    ("name", "variant"), VARIED, ids=lambda v: getattr(v, "__name__", None)
)
def test_variants(name, variant):
    network = built(name, variant)
    check_same_answers(network, name, in_inference)
    check_agreement_of_some(network, 8, random.Random(0))


@pytest.mark.slow
@pytest.mark.parametrize("seed", seeds("variants of networks", 3))
def test_any_variant_of_any_network(seed):
    """Softmax in an inception network takes the last axis for that of the channels."""
    choice = random.Random(seed)
    name = choice.choice([*FAMILIES, "vgg_16", "resnet_v1_50", "resnet_v2_50"])
    variant = choice.choice(list(VARIANTS))
    formats = ["NHWC"] if name in INCEPTION else ["NHWC", "NCHW"]
    network = built(name, variant, choice.choice(formats))
    check_same_answers(network, name, in_inference)
    check_agreement_of_some(network, 8, choice)


@pytest.mark.parametrize("name", ["inception_v1", *map(slow, INCEPTION[1:])])
def test_batch_normalisation_changes_no_number(name):
    base, whole = built(name), built(name, in_inference)
    for resolution in RESOLUTIONS:
        one, two = base.fields(resolution), whole.fields(resolution)
        expected = {end: numbers(one[node]) for end, node in base.end_points.items()}
        found = {end: numbers(two[whole.end_points[end]]) for end in expected}
        assert (resolution, found) == (resolution, expected)


@pytest.mark.parametrize("name", ["vgg_a", *map(slow, FAMILIES[1:])])
def test_channels_first(name):
    network = built(name, data_format="NCHW")
    formats = {n.attr["data_format"].s for n in network.definition.node} - {b""}
    assert formats == {b"NCHW"}
    check_same_answers(network, name, clean)


@pytest.mark.parametrize("variant", [in_training, with_optimizer, by_switch])
@pytest.mark.parametrize("name", ["vgg_a", slow("resnet_v1_small")])
def test_channels_first_in_training(name, variant):
    check_same_answers(built(name, variant, "NCHW"), name, in_inference)


def frozen(name: str, reference_variables: bool) -> Built:
    """What leads to the end-points, variables made constants; dense layers left out."""
    with tf.Graph().as_default() as graph:
        images = v1.placeholder(tf.float32, stored.SHAPES["NHWC"], "input_image")
        scope = v1.variable_scope(
            v1.get_variable_scope(), use_resource=not reference_variables
        )
        with scope:
            tensors = networks()[name](images)
        end_points = {e: t.op.name for e, t in tensors.items() if "/fc" not in e}
        with v1.Session() as session:
            variables = [v for v in v1.global_variables() if "/fc" not in v.name]
            session.run(v1.variables_initializer(variables))
            definition = v1.graph_util.convert_variables_to_constants(
                session, graph.as_graph_def(), list(end_points.values())
            )
    return Built(definition, end_points)


@pytest.mark.parametrize(
    ("name", "reference_variables"),
    [
        *(("vgg_a", kind) for kind in (False, True)),
        *(slow(name, True) for name in FAMILIES[1:] if name not in INCEPTION),
        *(slow("inception_v2_small", kind) for kind in (False, True)),
        slow("resnet_v1_small", False),
    ],
)
def test_frozen(name, reference_variables):
    network = frozen(name, reference_variables)
    ops = {node.op for node in network.definition.node}
    assert "Const" in ops
    assert not ops & {"VarHandleOp", "VariableV2"}
    check_same_answers(network, name, clean)


def test_an_op_that_nobody_knows():
    network = built("vgg_a")
    definition = v1.GraphDef()
    definition.CopyFrom(network.definition)
    last = network.end_points["vgg_a/fc8"]
    definition.node.add(name="odd", op="NobodyKnows", input=["input_image", last])
    definition.node.add(name="above", op="Relu", input=["odd"])
    odd = Built(definition, network.end_points)
    check_same_answers(odd, "vgg_a", clean)
    assert set(odd.fields(224).errors) == {"odd", "above"}
    with pytest.raises(rf.ReceptiveFieldError, match=r"NobodyKnows \(odd\)"):
        odd.field("above")


# Paths that are not followed.


@cache
def small_block() -> Built:
    """A stem and an inception block whose branches are named alike."""

    def conv(x: Any, kernel: int, stride: int = 1, padding: str = "SAME") -> Any:
        kernels = tf.zeros((kernel, kernel, 3, 3))
        return tf.nn.conv2d(x, kernels, stride, padding, name="conv")

    with tf.Graph().as_default() as graph:
        images = v1.placeholder(tf.float32, stored.SHAPES["NHWC"], "input_image")
        with tf.name_scope("small"):
            with tf.name_scope("stem"):
                stem = conv(images, 3, 2, "VALID")
            with tf.name_scope("Branch_0"):
                branches = [conv(stem, 1)]
            with tf.name_scope("Branch_1"):
                branches.append(conv(stem, 3))
            with tf.name_scope("Branch_1b"):
                branches.append(conv(stem, 5))
            with tf.name_scope("Branch_2"):
                branches.append(
                    conv(tf.nn.avg_pool2d(stem, 7, 1, "SAME", name="pool"), 1)
                )
            block = tf.concat(branches, 3, name="concat")
            with tf.name_scope("Crooked"):
                padded = tf.pad(stem, [[0, 0], [0, 2], [0, 2], [0, 0]])
                crooked = conv(padded, 3, padding="VALID")
            tf.concat([block, crooked], 3, name="both")
        return Built(graph.as_graph_def(), {})


@pytest.mark.parametrize(
    ("stopped", "size", "padding"),
    [
        (None, 3 + 6 * 2, 6),
        ([], 3 + 6 * 2, 6),
        (["small/Branch_2"], 3 + 4 * 2, 4),
        ("small/Branch_2", 3 + 4 * 2, 4),
        (("small/Branch_2/pool",), 3 + 4 * 2, 4),
        (["small/Branch_1"], 3 + 6 * 2, 6),
        (["small/Branch_2", "small/Branch_1"], 3, 0),
        (["small/Branch_2", "small/Branch_1/"], 3 + 4 * 2, 4),
        (["small/Branch_2", "small/Branch_1b"], 3 + 2 * 2, 2),
        (["Branch_2", "Branch", "concat"], 3 + 6 * 2, 6),
        (["small/concat"], 3 + 6 * 2, 6),
        (["nothing is named like this"], 3 + 6 * 2, 6),
    ],
)
def test_a_branch_that_is_cut(stopped, size, padding):
    network, node = small_block(), "small/concat"
    options = {"stop_propagation": stopped}
    assert numbers(network.field(node, **options)) == (size, 2, padding)
    assert numbers(network.fields(None, **options)[node]) == (size, 2, padding)
    alone = rf.compute_receptive_field(network.definition, output=node, **options)
    assert numbers(alone) == (size, 2, padding)


@pytest.mark.parametrize(
    "stopped", ["small", ["small/stem"], ["small/Branch"], ["input_image"]]
)
def test_when_all_is_cut_the_output_does_not_depend_on_the_input(stopped):
    network, node = small_block(), "small/concat"
    with pytest.raises(rf.ReceptiveFieldError, match="does not depend on the input"):
        network.field(node, stop_propagation=stopped)
    assert node not in network.fields(None, stop_propagation=stopped)


def test_cutting_the_misaligned_branch():
    network, node = small_block(), "small/both"
    with pytest.raises(rf.ReceptiveFieldError, match="not aligned"):
        network.field(node)
    assert network.fields(None)[node].aligned is False
    cut = network.field(node, stop_propagation=["small/Crooked"])
    assert numbers(cut) == (15, 2, 6)
    assert cut.aligned


@pytest.mark.parametrize(
    ("branches", "size"),
    [([], 63), ([1], 63), ([2], 63), ([1, 2], 47), ([1, 2, 3], 31)],
)
def test_cutting_branches_of_inception_v3(branches, size):
    """From 31 pixels and stride 8: 5x5, two 3x3 and a pooling by 3x3 side by side."""
    network = built("inception_v3")
    stopped = [f"InceptionV3/Mixed_5b/Branch_{number}" for number in branches]
    node = network.end_points["Mixed_5b"]
    field = network.field(node, 224, stop_propagation=stopped)
    assert numbers(field) == (size, 8, 2 + (size - 31) // 2)


# The two passes.


def alone(network: Built, node: str, resolution: int | None) -> rf.ReceptiveField:
    """One node's, by the backward pass."""
    return rf.compute_receptive_field(
        network.model,
        output=node,
        input="input_image",
        input_resolution="unknown" if resolution is None else [resolution] * 2,
    )


@pytest.mark.parametrize("name", large_ones_slow([*FAMILIES, "resnet_v1_50"]))
def test_all_nodes_that_depend_on_the_input_are_analysed(name):
    network = built(name)
    readers: dict[str, list[str]] = {}
    for node in network.definition.node:
        for read in node.input:
            readers.setdefault(read.partition(":")[0], []).append(node.name)
    expected: set[str] = set()
    waiting = ["input_image"]
    while waiting:
        above = set(readers.get(waiting.pop(), ())) - expected
        expected |= above
        waiting += above
    fields = network.fields(None)
    assert set(fields) == expected
    assert not fields.errors


def check_agreement(network: Built, nodes: list[str], resolution: int | None) -> None:
    """Both are the same, but one may have found exact what the other could bound."""
    fields = network.fields(resolution)
    for node in nodes:
        backward, forward = alone(network, node, resolution), fields[node]
        if backward.exact != forward.exact:
            backward, forward = as_bound(backward), as_bound(forward)
        assert (node, *summary(backward)) == (node, *summary(forward))


def as_bound(field: rf.ReceptiveField) -> rf.ReceptiveField:
    axes = [replace(axis, map=axis.map.as_bound()) for axis in field.axes]
    return replace(field, axes=tuple(axes))


def check_agreement_of_some(network: Built, count: int, choice: random.Random) -> None:
    """Of so many nodes at each resolution, and of some that have failed."""
    for resolution in RESOLUTIONS:
        fields = network.fields(resolution)
        nodes = choice.sample(list(fields), min(len(fields), count))
        check_agreement(network, nodes, resolution)
        failed = choice.sample(list(fields.errors), min(len(fields.errors), 5))
        for node in failed:
            with pytest.raises(rf.ReceptiveFieldError):
                alone(network, node, resolution)


@pytest.mark.parametrize("name", large_ones_slow([*FAMILIES, "resnet_v1_50"]))
def test_both_passes_agree(name):
    check_agreement_of_some(built(name), 40, random.Random(0))


@pytest.mark.parametrize("name", map(slow, [*FAMILIES, "resnet_v1_50", "resnet_v2_50"]))
def test_both_passes_agree_at_all_nodes(name):
    network = built(name)
    check_agreement(network, list(network.fields(224)), 224)


def test_both_passes_agree_after_flattening():
    """As where the scores of Inception v1, a softmax over [-1, 1000], are summed."""
    with tf.Graph().as_default() as graph:
        images = v1.placeholder(tf.float32, stored.SHAPES["NHWC"], "input_image")
        flat = tf.reshape(images, [-1, 3])
        tf.reduce_sum(tf.reshape(flat, tf.shape(images)), name="sum")
        network = Built(graph.as_graph_def(), {})
    check_agreement(network, ["sum"], 5)


@pytest.mark.parametrize("resolution", [9, None])
def test_both_passes_see_the_gaps_below_a_global_pooling(resolution):
    """Three of four pixels are seen: stride 2, then a shortcut that subsamples."""
    with tf.Graph().as_default() as graph:
        images = v1.placeholder(tf.float32, stored.SHAPES["NHWC"], "input_image")
        strided = tf.nn.conv2d(images, tf.zeros((3, 3, 3, 3)), 2, "SAME")
        sampled = tf.nn.max_pool2d(strided, 1, 2, "SAME")
        tf.reduce_mean(sampled, [1, 2], name="mean")
        network = Built(graph.as_graph_def(), {})
    assert not alone(network, "mean", resolution).exact
    assert not network.fields(resolution)["mean"].exact
