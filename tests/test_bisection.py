"""Rules that are broken on purpose are found, and the op with the rule is named."""

import sys

import pytest
from graphs import conv, graph_def, node, placeholder
from needed import needed

import receptive_field as rf
from receptive_field.algebra.axis_map import IDENTITY, convolution, sampling
from receptive_field.cli import main
from receptive_field.frameworks.tensorflow.ops import OPS, windows
from receptive_field.questions.bisection import bisect
from receptive_field.relations.relation import local
from receptive_field.rules import windows as sliding
from receptive_field.rules.elementwise import UNARY

tf = needed("tensorflow")
keras = needed("keras")
layers = keras.layers


@pytest.fixture(scope="module")
def network():
    """A graph of several ops, most types of which occur once."""
    graph = tf.Graph()
    with graph.as_default():
        x = tf.compat.v1.placeholder(tf.float32, (None, 12, 14, 2), "image")
        kernel = tf.ones((3, 3, 2, 2))
        x = tf.nn.relu(tf.nn.conv2d(x, kernel, 1, "SAME", name="first"), name="relu")
        x = tf.nn.conv2d(x, kernel, 1, "SAME", dilations=2, name="dilated")
        x = tf.nn.max_pool2d(x, 3, 1, "VALID", name="pool")
        x = tf.strided_slice(x, [0, 1, 0, 0], [1, 10, 12, 2], [1, 2, 3, 1], name="rows")
        x = tf.add(x, tf.reverse(x, [1], name="mirror"), name="sum")
        tf.nn.conv2d(x, kernel, 1, "SAME", name="last")
    return graph.as_graph_def(add_shapes=True)


def states(op, *maps, inputs=1):
    """A change of the rule of an op: maps of y and x for its first input."""

    def change(monkeypatch):
        rule = OPS[op]

        def relations(call, output):
            told = [*rule.relations(call, output)]
            told[inputs - 1] = local([IDENTITY, *maps, None])
            return told

        monkeypatch.setitem(OPS, op, rule._replace(relations=relations))

    return change


def pads_one_more(monkeypatch):
    right = sliding._same_windows

    def moved(*arguments):
        return tuple(w._replace(padding=w.padding + 1) for w in right(*arguments))

    monkeypatch.setattr(sliding, "_same_windows", moved)


def forgets_dilations(monkeypatch):
    monkeypatch.setattr(windows.Family, "dilations", lambda *a: [1, 1])


def forgets_the_second_input(monkeypatch):
    rule = OPS["AddV2"]
    forgetful = rule._replace(relations=lambda *a: [rule.relations(*a)[0], None])
    monkeypatch.setitem(OPS, "AddV2", forgetful)


def states_another_shape(monkeypatch):
    monkeypatch.setitem(OPS, "MaxPool", OPS["MaxPool"]._replace(shapes=UNARY.shapes))


@pytest.mark.parametrize(
    ("change", "name", "number", "told", "seen"),
    [
        (pads_one_more, "first", 0, "0", "0 to 1"),
        (forgets_dilations, "dilated", 0, "1 to 3", "0, 2, 4"),
        (
            states("StridedSlice", sampling(1, 2), sampling(0, 2)),
            *("rows", 0, "2", "3"),
        ),
        (
            states("MaxPool", convolution(3, 1, 0), convolution(5, 1, 0)),
            *("pool", 0, "0 to 4", "0 to 2"),
        ),
        (states("ReverseV2", IDENTITY, IDENTITY), "mirror", 0, "4", "0"),
        (forgets_the_second_input, "sum", 1, "none", "0"),
    ],
)
def test_a_broken_rule(network, monkeypatch, change, name, number, told, seen):
    change(monkeypatch)
    found = bisect(network)
    assert (found.wrong.node, found.wrong.input) == (name, number)
    assert found.wrong.proved
    assert name not in found.checked
    assert f"by the rule        for i = {told}\n" in f"{found}\n"
    assert f"in the experiment  for i = {seen}\n" in f"{found}\n"


def test_a_wrong_shape(network, monkeypatch):
    states_another_shape(monkeypatch)
    found = bisect(network)
    assert found.wrong.node == "pool"
    assert "[1, 12, 14, 2] by the rule, but [1, 10, 12, 2] in the exp" in str(found)


@pytest.mark.parametrize("maps", [[], [IDENTITY] * 3, [IDENTITY] * 2])
def test_a_rule_for_other_shapes(network, monkeypatch, maps):
    states("MaxPool", *maps)(monkeypatch)
    if len(maps) == 2:
        same = OPS["MaxPool"]._replace(relations=UNARY.relations)
        monkeypatch.setitem(OPS, "MaxPool", same)
    found = bisect(network)
    assert found.wrong.node == "pool"
    assert "[1, 12, 14, 2] of the input and the shape [1, 10, 12, 2]" in str(found)


def test_a_network_without_a_wrong_rule(network):
    found = bisect(network)
    assert found.wrong is None
    assert not found.suspected
    assert not found.unchecked
    names = ["first", "relu", "dilated", "pool", "rows", "mirror", "sum", "last"]
    assert found.checked == names
    assert bisect(network, output="dilated").checked == names[:3]


def model(shape, *stack):
    image = x = keras.Input(shape)
    for layer in stack:
        x = layer(x)
    return keras.Model(image, x)


@pytest.mark.parametrize(
    ("shape", "stack"),
    [
        ((16, 2), [layers.Conv1D(3, 3, 2, "same"), layers.UpSampling1D(2)]),
        ((6, 7, 8, 1), [layers.Conv3D(2, 3), layers.MaxPooling3D(2)]),
        (
            (2, 9, 9),
            [
                layers.MaxPooling2D(3, 2, "same", data_format="channels_first"),
                layers.Permute((2, 3, 1)),
                layers.Conv2DTranspose(2, 3, 2),
            ],
        ),
        (
            (12, 12, 3),
            [
                layers.Conv2D(4, 4, 4),
                layers.Reshape((9, 4)),
                layers.LayerNormalization(),
                layers.Dense(2),
                layers.Softmax(1),
            ],
        ),
    ],
    ids=["one axis", "three axes", "channels first", "tokens"],
)
def test_models_without_a_wrong_rule(shape, stack):
    found = bisect(model(shape, *stack))
    assert (found.wrong, [*found.suspected], found.unchecked) == (None, [], {})
    assert len(found.checked) >= 2


def test_ops_inside_of_functions_of_a_file(tmp_path, monkeypatch):
    stack = [layers.Conv2D(2, 3), layers.BatchNormalization(), layers.MaxPooling2D(3)]
    model((None, None, 3), *stack).export(tmp_path / "saved", verbose=False)
    states("MaxPool", convolution(3, 3, 1), convolution(3, 3, 0))(monkeypatch)
    found = bisect(tmp_path / "saved", input_resolution=[12, 12])
    assert found.wrong.op == "MaxPool"
    assert len(found.checked) >= 2
    # The first window holds rows 0 to 2, by the broken rule -1 to 1.
    assert "rule        for i = 0 to 1\n" in str(found)
    assert "experiment  for i = 0 to 2" in str(found)


def float_node(name, op, *inputs):
    return node(name, op, inputs, T="type: DT_FLOAT")


def test_a_node_that_cannot_be_checked_does_not_matter(monkeypatch):
    monkeypatch.setitem(OPS, "MyOp", UNARY)
    graph = graph_def(
        placeholder(sizes=(1, 9, 9, 1)),
        *(float_node("relu", "Relu", "input"), float_node("own", "MyOp", "relu")),
        *(
            float_node("other", "Unknown", "own"),
            float_node("sum", "AddV2", "own", "own"),
        ),
    )
    found = bisect(graph, output="sum")
    assert (found.wrong, found.checked) == (None, ["relu", "sum"])
    assert found.unchecked == {"own": "TensorFlow does not know the op MyOp"}
    assert "not checked (1): own: TensorFlow does not know" in str(found)
    # Of what reads an op without a rule, the shape is not known.
    with pytest.raises(rf.ReceptiveFieldError, match="other: there is no rule for Unk"):
        bisect(graph, input="own", output="other")


def test_what_numbers_may_hide_is_only_suspected():
    """Zeta is not a number for some of them."""
    graph = tf.Graph()
    with graph.as_default():
        image = tf.compat.v1.placeholder(tf.float32, (1, 8, 8, 1), "image")
        tf.raw_ops.Zeta(x=image, q=image + 1.0, name="zeta")
    found = bisect(graph)
    assert found.wrong is None
    assert {one.node for one in found.suspected} == {"zeta"}
    assert str(found).startswith("suspected: Zeta node 'zeta'")


def test_what_reads_no_values_is_checked_too():
    graph = tf.Graph()
    with graph.as_default():
        image = tf.compat.v1.placeholder(tf.float32, (1, 8, 8, 1), "image")
        relu = tf.nn.relu(image, name="relu")
        shape = tf.raw_ops.Shape(input=relu, name="shape")
        tf.add(image, tf.random.uniform(shape), name="sum")
    found = bisect(graph, output="sum")
    assert found.checked == ["relu", "shape", "sum"]


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        ((placeholder(), conv("one", "input")), "can be run. Give input_resolution"),
        (
            (placeholder(sizes=(1, 9, 9, 1)), conv("one", "input")),
            "no op between 'input' and 'one' can be checked. one: the graph does not",
        ),
        (
            (placeholder(sizes=(1, 9, 9, 1)), node("own", "MyOp", ["input"])),
            "no op.*can be checked. own: there is no rule for MyOp",
        ),
    ],
)
def test_a_model_that_cannot_be_run(graph, message):
    with pytest.raises(rf.ReceptiveFieldError, match=message):
        bisect(graph_def(*graph), output="own" if "MyOp" in message else "one")


@pytest.fixture
def file(network, tmp_path):
    path = tmp_path / "network.pb"
    path.write_bytes(network.SerializeToString())
    return str(path)


def test_the_command(file, monkeypatch, capsys):
    assert main(["bisect", file]) == 0
    shown = capsys.readouterr().out
    assert shown == (
        "no wrong relation between 'image' and 'last'; nodes that agree with their "
        "rules: 8\n"
    )
    states("StridedSlice", sampling(1, 2), sampling(0, 2))(monkeypatch)
    assert main(["bisect", file, "--output", "sum"]) == 1
    assert capsys.readouterr().out == (
        "wrong: StridedSlice node 'rows', input 0 ('pool')\n"
        "  rows[:, 0, 1, :] reads pool[:, :, i, :]\n"
        "    by the rule        for i = 2\n"
        "    in the experiment  for i = 3\n"
    )


def test_the_command_of_a_model_that_cannot_be_run(tmp_path, capsys):
    path = tmp_path / "graph.pbtxt"
    path.write_text(str(graph_def(placeholder(), conv("one", "input"))))
    assert main(["bisect", str(path)]) == 1
    assert capsys.readouterr().err.endswith("Give --resolution HEIGHTxWIDTH.\n")
    assert main(["bisect", str(path), "--resolution", "9x9"]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("error: no op between 'input' and 'one' can be checked")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "tensorflow", None)
        assert main(["bisect", str(path), "--resolution", "9x9"]) == 1
    assert "TensorFlow, which is not installed" in capsys.readouterr().err
