"""Calls, branches and loops, written out and analysed, built by TensorFlow."""

import pytest
from google.protobuf import text_format
from needed import needed

import receptive_field as rf
from receptive_field.frameworks.tensorflow.messages import GraphDef
from receptive_field.frameworks.tensorflow.ops import OPS
from receptive_field.frameworks.tensorflow.signatures import OUTPUT_ARGUMENTS

tf = needed("tensorflow")

IMAGE = tf.TensorSpec((1, None, None, 3), name="image")


def conv(x, kernel, stride=1):
    return tf.nn.conv2d(x, tf.ones((kernel, kernel, 3, 3)), stride, "VALID")


def field(function, *specs, **options):
    concrete = tf.function(function).get_concrete_function(IMAGE, *specs)
    return rf.compute_receptive_field(concrete, input="image", **options)


def test_two_calls_of_one_function_share_nothing():
    inner = tf.function(lambda x: conv(x, 3, 2))
    assert list(field(lambda x: inner(inner(x)))) == [7, 7, 4, 4, 0, 0]


def test_calls_within_calls_from_any_source(tmp_path):
    inner = tf.function(lambda x: conv(x, 3), autograph=False)
    outer = tf.function(lambda x: inner(inner(x) + 1) * inner(x[:, 2:, 2:]))
    concrete = outer.get_concrete_function(IMAGE)
    message = concrete.graph.as_graph_def(add_shapes=True)
    assert message.library.function
    (tmp_path / "graph.pb").write_bytes(message.SerializeToString())
    (tmp_path / "graph.pbtxt").write_text(str(message))
    names = {"input": "image", "output": concrete.outputs[0].name}
    for model in (outer, concrete, concrete.graph, message):
        answer = rf.compute_receptive_field(model, **names)
        assert answer.compute_input_region([[0, 0]]).tolist() == [[[0, 4]] * 2]
    for file in ("graph.pb", "graph.pbtxt"):
        answer = rf.compute_receptive_field(tmp_path / file, **names)
        assert list(answer) == [5, 5, 1, 1, 0, 0]


def test_a_function_of_several_traces_must_be_chosen():
    function = tf.function(lambda x: conv(x, 3))
    with pytest.raises(rf.ReceptiveFieldError, match="0 traced signatures"):
        rf.compute_receptive_field(function)
    function.get_concrete_function(IMAGE)
    assert rf.compute_receptive_field(function).size.tolist() == [3, 3]
    function.get_concrete_function(tf.TensorSpec((2, 9, 9, 3)))
    with pytest.raises(rf.ReceptiveFieldError, match="2 traced signatures"):
        rf.compute_receptive_field(function)


def test_a_tensor_that_is_in_no_graph():
    with pytest.raises(rf.ReceptiveFieldError, match="computed eagerly"):
        rf.compute_receptive_field(tf.constant([1.0]))


def test_any_branch_may_be_taken():
    flag, number = tf.TensorSpec((), tf.bool), tf.TensorSpec((), tf.int32)
    branches = [lambda x: conv(x, 3), lambda x: conv(x, 7), lambda x: x[:, 1:-1, 1:-1]]

    def chosen(x, flag):
        return tf.cond(flag, lambda: branches[0](x), lambda: branches[1](x))

    def switched(x, number):
        return tf.switch_case(number, [lambda b=b: b(x) for b in branches])

    assert field(chosen, flag).size.tolist() == [7, 7]
    assert field(switched, number).size.tolist() == [7, 7]


def test_which_branch_is_taken_is_not_known():
    """A flag that is fed may leave out the larger one; alike, they are exact."""
    flag = tf.TensorSpec((), tf.bool)

    def chosen(kernels):
        def function(x, flag):
            branches = [lambda k=k: conv(x, k) for k in kernels]
            return tf.cond(flag, *branches)

        return function

    other = field(chosen((3, 7)), flag)
    assert (other.size.tolist(), other.exact) == ([7, 7], False)
    same = field(chosen((3, 3)), flag)
    assert (same.size.tolist(), same.exact) == ([3, 3], True)


@pytest.mark.parametrize(
    ("kernels", "decide", "exact"),
    [
        ((3, 7), lambda x, flag: flag, False),
        ((3, 3), lambda x, flag: flag, True),
        ((3, 7), lambda x, flag: tf.logical_and(flag, True), False),
        # Whatever is drawn, one of both is computed.
        ((3, 7), lambda x, flag: tf.random.uniform(()) > 0.5, True),
        ((3, 7), lambda x, flag: tf.reduce_mean(x) > 0, True),
    ],
    ids=["unknown", "alike", "computed", "drawn", "image"],
)
def test_which_branch_of_version_1_is_taken_is_not_known(kernels, decide, exact):
    with tf.Graph().as_default() as graph:
        image = tf.compat.v1.placeholder(tf.float32, (1, 9, 9, 3), name="image")
        condition = decide(image, tf.compat.v1.placeholder(tf.bool, ()))
        pairs = zip(kernels, tf.raw_ops.Switch(data=image, pred=condition), strict=True)
        branches = [conv(side, kernel) for kernel, side in pairs]
        tf.identity(tf.raw_ops.Merge(inputs=branches).output, name="out")
    found = rf.compute_receptive_field(graph, input="image", output="out")
    local = found.local or found
    assert local.size.tolist() == [max(kernels)] * 2
    assert found.exact is exact


def test_a_condition_on_the_image_sees_all_of_it():
    def chosen(x):
        return tf.cond(tf.reduce_mean(x) > 0, lambda: conv(x, 3), lambda: conv(x, 3))

    answer = field(chosen)
    assert answer.size.tolist() == [float("inf")] * 2
    assert list(answer.local) == [3, 3, 1, 1, 0, 0]
    assert answer.aligned


def loops(step):
    """The same loop as a function, and with the control flow of TensorFlow 1."""

    def function(x):
        return tf.while_loop(lambda i, x: i < 3, lambda i, x: (i + 1, step(x)), (0, x))[
            1
        ]

    return tf.function(function).get_concrete_function(IMAGE)


def loop_of_version_1(step):
    with tf.Graph().as_default() as graph:
        tf.compat.v1.disable_control_flow_v2()
        try:
            image = tf.compat.v1.placeholder(tf.float32, IMAGE.shape, "image")
            _, out = tf.compat.v1.while_loop(
                lambda i, x: i < 3, lambda i, x: (i + 1, step(x)), (0, image)
            )
        finally:
            tf.compat.v1.enable_control_flow_v2()
        tf.identity(out, name="output")
    assert any(node.op == "NextIteration" for node in graph.as_graph_def().node)
    return graph


@pytest.mark.parametrize("make", [loops, loop_of_version_1])
def test_a_loop_that_stays_in_place_is_local(make):
    answer = rf.compute_receptive_field(make(lambda x: tf.nn.relu(x) * 2 + 1))
    assert list(answer) == [1, 1, 1, 1, 0, 0]
    assert answer.exact


@pytest.mark.parametrize("make", [loops, loop_of_version_1])
def test_a_loop_that_moves_is_a_bound_on_that_axis(make):
    kernel = tf.ones((1, 3, 3, 3)).numpy()
    answer = rf.compute_receptive_field(
        make(lambda x: tf.nn.conv2d(x, kernel, 1, "SAME"))
    )
    assert answer.size.tolist() == [float("inf"), 1]
    assert not answer.exact


def test_both_passes_agree_on_loops_and_branches():
    @tf.function
    def function(x):
        y = tf.cond(tf.shape(x)[1] > 5, lambda: conv(x, 3), lambda: x[:, 2:, 2:])
        return tf.while_loop(
            lambda i, y: i < 3, lambda i, y: (i + 1, tf.nn.relu(y)), (0, y)
        )[1]

    concrete = function.get_concrete_function(IMAGE)
    for name, one in rf.compute_receptive_fields(concrete, input="image").items():
        other = rf.compute_receptive_field(concrete, input="image", output=name)
        assert [axis.map for axis in one.axes] == [axis.map for axis in other.axes]


CALL = """
node { name: "image" op: "Placeholder" attr { key: "shape" value { shape {
  dim { size: 1 } dim { size: 9 } dim { size: 9 } dim { size: 1 } } } } }
node { name: "call" op: "PartitionedCall" input: "image"
  attr { key: "f" value { func { name: "f" } } } }
"""
FUNCTION = """
library { function {
  signature { name: "f" input_arg { name: "x" } output_arg { name: "y" } }
  node_def { name: "inner" op: "PartitionedCall" input: "x"
    attr { key: "f" value { func { name: "%s" } } } }
  ret { key: "y" value: "%s" }
} }
"""


IDENTITY = """
library { function {
  signature { name: "f" input_arg { name: "x" } output_arg { name: "y" } }
  node_def { name: "inner" op: "Identity" input: "x" }
  ret { key: "y" value: "inner:output:0" }
} }
"""


def test_an_op_that_is_named_like_a_function():
    text = CALL.replace('"PartitionedCall"', '"f"') + IDENTITY
    field = rf.compute_receptive_field(text_format.Parse(text, GraphDef()))
    assert (field.size.tolist(), field.exact) == ([1, 1], True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (CALL + FUNCTION % ("f", "inner:output:0"), "function 'f' calls itself"),
        (CALL + FUNCTION % ("g", "inner:output:0"), "calls the function 'g', which"),
        (
            CALL.replace('input: "image"', 'input: "image" input: "image"') + IDENTITY,
            "with 2 inputs, but the function takes 1",
        ),
        (
            CALL.replace('"PartitionedCall" input: "image"', '"If"') + IDENTITY,
            "If node 'call' has no condition",
        ),
        (
            CALL + FUNCTION % ("g", "lost:output:0"),
            "returns .lost:output:0., which is not",
        ),
    ],
)
def test_functions_that_cannot_be_written_out(text, message):
    graph = text_format.Parse(text, GraphDef())
    with pytest.raises(rf.ReceptiveFieldError, match=message):
        rf.compute_receptive_field(graph)


def test_output_arguments_are_those_of_tensorflow():
    from tensorflow.python.framework import op_def_registry

    for name in OPS:
        definition = op_def_registry.get(name)
        if definition is None:
            continue
        arguments = tuple(argument.name for argument in definition.output_arg)
        expected = arguments if len(arguments) > 1 else ()
        assert OUTPUT_ARGUMENTS.get(name, ()) == expected, name


def test_a_size_that_branches_do_not_share_is_not_known():
    """A map of 8 positions is not padded in front, one of 7 by one position."""
    with tf.Graph().as_default() as graph:
        image = tf.compat.v1.placeholder(tf.float32, (1, 8, 8, 3), name="image")
        takes_all = tf.compat.v1.placeholder(tf.bool, ())
        cropped, whole = tf.raw_ops.Switch(data=image, pred=takes_all)
        branches = [tf.identity(whole), cropped[:, :7, :7]]
        merged = tf.raw_ops.Merge(inputs=branches).output
        tf.nn.conv2d(merged, tf.ones((3, 3, 3, 3)), 2, "SAME", name="out")
    found = rf.compute_receptive_field(
        graph.as_graph_def(), input="image", output="out"
    )
    assert found.size.tolist() == [3, 3]
    assert found.padding.tolist() == [None, None]


class TestBranchesThatAreKnown:
    """What cannot be taken is not looked at."""

    @pytest.mark.parametrize("resolution", [None, [20, 28]])
    def test_a_turn_by_ninety_degrees(self, resolution):
        """Its number of turns is a constant, and asked about in branches."""
        graph = tf.Graph()
        with graph.as_default():
            shape = (1, None, None, 3) if resolution else (1, 20, 28, 3)
            image = tf.compat.v1.placeholder(tf.float32, shape, "image")
            kernel = tf.ones((3, 5, 3, 1))
            turned = tf.image.rot90(tf.nn.conv2d(image, kernel, 1, "VALID"))
            tf.identity(turned, "out")
        found = rf.compute_receptive_field(
            graph, output="out", input_resolution=resolution
        )
        assert (found.size.tolist(), found.exact) == ([5, 3], True)
        # The first row of the turned map is the last column.
        assert found.compute_input_region([0, 0]).tolist() == [[23, 27], [0, 2]]
        assert [axis.output_axis for axis in found.feature_axes] == [1, 2]

    @pytest.mark.parametrize(
        ("number", "size"), [(0, 1), (1, 3), (2, 5), (7, 5), (-1, 5)]
    )
    def test_a_case(self, number, size):
        """The last one stands for all that there is not."""

        def network(image):
            cases = [lambda k=k: same(image, k) for k in (1, 3, 5)]
            return tf.switch_case(tf.constant(number), cases)

        def same(x, kernel):
            return tf.nn.conv2d(x, tf.ones((kernel, kernel, 3, 3)), 1, "SAME")

        assert field(network).size.tolist() == [size] * 2

    @pytest.mark.parametrize("whole", [False, True])
    def test_a_switch(self, whole):
        with tf.Graph().as_default() as graph:
            image = tf.compat.v1.placeholder(tf.float32, (1, 8, 8, 3), name="image")
            known = tf.identity(tf.constant(whole))
            wide, narrow = tf.raw_ops.Switch(data=image, pred=known)
            branches = [tf.nn.conv2d(wide, tf.ones((3, 3, 3, 3)), 1, "SAME"), narrow]
            tf.identity(tf.raw_ops.Merge(inputs=branches).output, name="out")
        found = rf.compute_receptive_field(graph, input="image", output="out")
        assert (found.size.tolist(), found.exact) == ([1 if whole else 3] * 2, True)

    def test_a_branch_that_would_fail_is_refused_only_if_it_may_be_taken(self):
        keras = needed("keras")

        class Scan(keras.layers.Layer):
            def call(self, x):
                return keras.ops.associative_scan(lambda a, b: a + b, x, axis=1)

            def compute_output_shape(self, shape):
                return shape

        image = keras.Input((13, 2))
        found = rf.compute_receptive_field(keras.Model(image, Scan()(image)))
        # Sums of all before: what is seen begins at the first and ends at its own.
        for last in range(13):
            first, end = found.compute_input_region([last], clip=True)[0]
            assert (first, end >= last) == (0, True)
