"""Why graphs are misaligned, and that what is proposed does align them."""

import doctest
import itertools
import math
from dataclasses import dataclass, replace
from fractions import Fraction

import pytest
from graphs import (
    add,
    constant,
    conv,
    graph_def,
    integers,
    node,
    pad,
    placeholder,
    variable,
)
from hypothesis import assume, event, given
from hypothesis import strategies as st
from needed import needed
from random_search import examples

import receptive_field as rf
from receptive_field.frameworks import load
from receptive_field.questions import explain as explanation
from receptive_field.questions.explain import explain
from receptive_field.questions.question import Options, ask
from receptive_field.results.explanation import Explanation, Setting

INPUT = placeholder()


def explained(model, output=None, **options) -> Explanation:
    question, field = ask(load(model), output, None, Options(**options))
    ((name, tensor),) = question.outputs.items()
    found = explain(question, name, tensor)
    assert found.aligned == field.aligned
    return found


def nodes_of(proposal):
    return [change.node for change in proposal.changes]


# --- Networks that can be changed -----------------------------------------------------


@dataclass(frozen=True)
class Layer:
    """A convolution or pooling, or (k = 1, s = 1, p < 0) a crop; (y, x)."""

    name: str
    below: str
    kernel: tuple[int, int] = (3, 3)
    stride: int = 1
    before: tuple[int, int] = (0, 0)
    after: tuple[int, int] = (0, 0)
    op: str = "Conv2D"
    dilation: int = 1
    same: bool = False

    @property
    def text(self):
        per_axis = zip(self.before, self.after, strict=True)
        pads = [0, 0, *itertools.chain.from_iterable(per_axis), 0, 0]
        common = {
            "strides": integers([1, self.stride, self.stride, 1]),
            "padding": 's: "SAME"' if self.same else 's: "EXPLICIT"',
            "explicit_paddings": integers(pads),
        }
        if self.op == "MaxPool":
            ksize = integers([1, *self.kernel, 1])
            return node(self.name, "MaxPool", [self.below], ksize=ksize, **common)
        weights = f"{self.name}/weights"
        dilations = integers([1, self.dilation, self.dilation, 1])
        return variable(weights, (*self.kernel, 1, 1)) + node(
            self.name, "Conv2D", [self.below, weights], dilations=dilations, **common
        )

    def changed(self, change):
        """The same with what a change says of x and y."""
        found = self
        for place, new in ((1, change.new[0]), (0, change.new[1])):
            if new is not None:
                assert change.old[1 - place].kernel == self.kernel[place]
                for field, value in zip(
                    ("kernel", "before", "after"), new, strict=True
                ):
                    values = [*getattr(found, field)]
                    values[place] = value
                    found = replace(found, **{field: tuple(values)})
        if self.same:
            assert None not in change.new, "of a SAME layer all axes are to be told"
        return replace(found, same=False)


def graph(layers, rest, size=None):
    start = placeholder(sizes=(1, size, size, 1))
    return graph_def(start, *(layer.text for layer in layers), *rest)


def applied(layers, proposal):
    names = {layer.name for layer in layers}
    changes = {change.node: change for change in proposal.changes}
    assert set(changes) <= names
    return [
        layer.changed(changes[layer.name]) if layer.name in changes else layer
        for layer in layers
    ]


def repaired(layers, rest, size=None):
    """Applies the first proposal until all is aligned; how often that was."""
    found = explained(graph(layers, rest, size))
    for count in itertools.count():
        if found.aligned:
            return count
        assert found.changes, str(found)
        remaining = found.changes[0].remaining
        layers = applied(layers, found.changes[0])
        found = explained(graph(layers, rest, size))
        assert remaining == (found.meetings or 0)


# --- What is said ---------------------------------------------------------------------


def test_an_aligned_graph_says_so_in_one_line():
    model = graph_def(INPUT, conv("output", "input", 3, 2))
    found = explained(model)
    assert found.aligned is True
    assert str(found) == (
        "receptive field of output in input: size 3 x 3, stride 2 x 2, padding 0 x 0 "
        "(aligned)"
    )


def test_an_unknown_alignment_names_the_layers_that_hide_it():
    model = graph_def(
        INPUT,
        conv("left", "input", 3, 2, "SAME"),
        conv("right", "input", 1, 2, "SAME"),
        add("output", "left", "right"),
        conv("behind", "output", 5, 3, "SAME"),
    )
    found = explained(model, "output")
    assert found.aligned is None
    assert found.unknown_paddings == ("left",)
    assert "the padding of 'left' depends on the size" in str(found)
    assert "\n" not in str(found)


PAPER = """\
misaligned: two paths from 'input' to 'output' differ.
  x: strides 2 and 1
  y: strides 2 and 1
  one path: size 5 x 5, stride 2 x 2, padding 2 x 2
    padded (Pad): k 1 s 1 p 2/1
    left (Conv2D): k 5 s 2 p 0/0
  the other: size 5 x 5, stride 1 x 1, padding 0 x 0
    right_1 (Conv2D): k 3 s 1 p 0/0
    right_2 (Conv2D): k 3 s 1 p 0/0
On x and y no padding aligns the paths: the product of the strides is 2 (2 by 'left') \
on one path and 1 (no layer has a stride) on the other. Make the products equal."""


def toy(right_stride=1, before=2, after=1):
    return graph_def(
        INPUT,
        pad("padded", "input", before, after),
        conv("left", "padded", 5, 2),
        conv("right_1", "input", 3),
        conv("right_2", "right_1", 3, right_stride),
        add("output", "left", "right_2"),
    )


def test_the_misaligned_network_of_the_paper():
    found = explained(toy())
    assert str(found) == PAPER
    assert found.parts == "input"
    assert found.meets == "output"
    assert found.changes == ()
    assert found.meetings == 1
    assert [d.strides for d in found.differences] == [(2, 1), (2, 1)]


def test_the_network_of_the_paper_with_equal_strides():
    """Then its centres are at 0 and 2: padded before and after, it is aligned."""
    found = explained(toy(right_stride=2))
    for difference in found.differences:
        assert difference.centres == (0, 2)
        assert difference.offset == 2
    # An addition reads maps of one size only: what goes in front, comes from behind.
    texts = list(map(str, found.changes))
    assert (
        "pad 'padded' by 0 before and 3 after instead of 2 before and 1 after (x and y)"
        in texts
    )
    assert explained(toy(2, 0, 3)).aligned


def test_steps_list_what_moves_positions_x_first():
    model = graph_def(
        INPUT,
        node("relu", "Relu", ["input"]),
        conv("wide", "relu", (3, 5), 1, "SAME", dilation=2),
        node("relu_2", "Relu", ["wide"]),
        pad("moved", "relu_2", 2, 0),
        conv("narrow", "moved", 3),
        add("output", "narrow", "relu"),
    )
    found = explained(model)
    assert (found.parts, found.meets) == ("relu", "output")
    one, other = found.paths
    assert [str(step) for step in one.steps] == [
        "wide (Conv2D): x k 5 s 1 p 4/4 d 2, y k 3 s 1 p 2/2 d 2",
        "moved (Pad): k 1 s 1 p 2/0",
        "narrow (Conv2D): k 3 s 1 p 0/0",
    ]
    assert list(one.field) == [11, 7, 1, 1, 6, 4]
    assert other.steps == ()
    assert list(other.field) == [1, 1, 1, 1, 0, 0]
    assert "no node that moves positions" in str(found)


def test_one_axis_only():
    layers = [
        Layer("left", "input", before=(1, 0), after=(1, 2)),
        Layer("right", "input", (1, 1)),
    ]
    rest = [add("output", "left", "right")]
    found = explained(graph(layers, rest))
    (difference,) = found.differences
    assert (difference.axis, difference.offset) == (0, -1)
    proposal = found.changes[0]
    assert proposal.changes[0].old == (Setting(3, 0, 2), None)
    assert proposal.changes[0].new == (Setting(3, 1, 1), None)
    assert str(proposal) == (
        "pad 'left' by 1 before and 1 after instead of 0 before and 2 after (x)"
    )
    assert repaired(layers, rest) == 1


def test_same_padding_that_is_aligned_at_other_sizes():
    layers = [
        Layer("left", "input", stride=2, same=True),
        Layer("right", "input", (1, 1), stride=2),
    ]
    rest = [add("output", "left", "right")]
    found = explained(graph(layers, rest, 8))
    assert found.size_dependent == ("left",)
    assert "rf.resolutions" in str(found)
    (proposal,) = found.changes
    assert proposal.changes[0].new == (Setting(3, 1, 1),) * 2
    fixed = applied(layers, proposal)
    assert all(explained(graph(fixed, rest, size)).aligned for size in (None, 7, 8, 9))


def test_even_kernels_need_another_kernel():
    layers = [
        Layer("left", "input", (4, 4), before=(1, 1), after=(2, 2)),
        Layer("right", "input", before=(1, 1), after=(1, 1)),
    ]
    rest = [add("output", "left", "right")]
    found = explained(graph(layers, rest))
    assert "centres differ by 0.5" in found.reasons[0]
    assert "'left'" in found.reasons[0]
    for proposal in found.changes:
        assert explained(graph(applied(layers, proposal), rest)).aligned
    assert {new.kernel for p in found.changes for new in p.changes[0].new} == {3, 4}


def test_a_crop_may_start_elsewhere():
    """The encoder's map is cut to the size of the decoder's, from the wrong side."""
    model = graph_def(
        placeholder(sizes=(1, 20, 20, 1)),
        conv("left", "input", 3),
        conv("left_2", "left", 3),
        constant("begin", [0, 0, 0, 0]),
        constant("size", [1, 16, 16, 1]),
        node("crop", "Slice", ["input", "begin", "size"]),
        add("output", "left_2", "crop"),
    )
    found = explained(model)
    assert "crop (Slice): k 1 s 1 p 0/-4" in str(found)
    assert str(found.changes[0]) == (
        "make 'crop' cut off 2 at the start and 2 at the end instead of 0 at the start "
        "and 4 at the end (x and y)"
    )
    for definition in model.node:
        if definition.name == "begin":
            definition.attr["value"].tensor.int_val[:] = [0, 2, 2, 0]
    assert explained(model).aligned


def test_several_layers_at_once():
    """Three are needed in front, and no layer has as many to give."""
    layers = [
        Layer(f"c{i}", f"c{i - 1}" if i else "input", (1, 1), after=(1, 1))
        for i in range(3)
    ]
    layers += [
        Layer("d0", "input", (1, 1), before=(1, 1)),
        Layer("d1", "d0", (1, 1), before=(2, 2)),
    ]
    rest = [add("output", "c2", "d1")]
    (proposal,) = explained(graph(layers, rest)).changes
    assert len(nodes_of(proposal)) == 2
    assert ", and " in str(proposal)
    assert repaired(layers, rest) == 1


def test_what_is_put_in_front_of_one_layer_is_taken_from_behind_another():
    layers = [
        Layer("one", "input", stride=2),
        Layer("two", "one", (1, 1), after=(1, 1)),
        Layer("right", "input", (1, 1), stride=2),
    ]
    rest = [add("output", "two", "right")]
    found = explained(graph(layers, rest))
    (proposal,) = found.changes
    assert proposal.keeps_size
    assert {c.node: c.new for c in proposal.changes} == {
        "one": (Setting(3, 1, 1),) * 2,
        "two": (Setting(1, 0, 0),) * 2,
    }
    assert repaired(layers, rest) == 1


@pytest.mark.parametrize("same", [False, True])
def test_what_a_later_stride_skips_is_no_change_of_size(same):
    """Of 24 positions one more in front makes 13 of 12, and 6 of either."""
    layers = [
        Layer("left", "input", (1, 1), stride=4),
        Layer("one", "input", (1, 1), stride=2),
        Layer("two", "one", (2, 2), stride=2, same=same),
    ]
    rest = [add("output", "left", "two")]
    (proposal,) = explained(graph(layers, rest, 24)).changes
    assert proposal.keeps_size
    assert proposal.changes[0].new == (Setting(1, 1, 0),) * 2
    # The padding of the layer behind must not follow the size of its input.
    assert nodes_of(proposal) == (["one", "two"] if same else ["one"])
    assert ("'two' by 0 before and 0 after as now" in str(proposal)) == same
    assert repaired(layers, rest, 24) == 1


def test_a_padding_that_changes_the_size_says_so():
    """Nothing is known of the sizes, so the addition may be one that broadcasts."""
    layers = [Layer("left", "input")]
    rest = [add("output", "left", "input")]
    found = explained(graph(layers, rest))
    assert "keeps the size of 'output'" in found.reasons[0]
    (proposal,) = found.changes
    assert not proposal.keeps_size
    assert "changes the size" in str(proposal)
    assert repaired(layers, rest) == 1


def test_branches_that_all_differ_are_aligned_one_by_one():
    layers = [
        Layer(f"branch_{i}", "input", (5, 5), before=(i, i), after=(4 - i, 4 - i))
        for i in range(5)
    ]
    names = [layer.name for layer in layers]
    rest = [constant("axis", [3], []), node("output", "ConcatV2", [*names, "axis"])]
    found = explained(graph(layers, rest))
    assert found.meetings == 1
    assert repaired(layers, rest) == 4


def test_one_meeting_of_several():
    layers, rest, below = [], [], "input"
    for i in range(4):
        layers += [
            Layer(f"a{i}", below, stride=2, after=(1, 1)),
            Layer(f"b{i}", below, (1, 1), stride=2),
        ]
        rest.append(add(f"sum{i}", f"a{i}", f"b{i}"))
        below = f"sum{i}"
    found = explained(graph(layers, rest, 64), below)
    assert (found.parts, found.meets) == ("sum2", "sum3")
    assert found.meetings == 4
    assert "one of 4 tensors" in str(found)
    assert all(proposal.remaining == 3 for proposal in found.changes)
    assert repaired(layers, rest, 64) == 4


def test_a_change_must_not_part_other_paths():
    """``left`` agrees with what joins further on: only ``right`` may change."""
    layers = [
        Layer("left", "input", before=(1, 1), after=(1, 1)),
        Layer("right", "input", before=(0, 0), after=(2, 2)),
    ]
    rest = [add("sum", "left", "right"), add("output", "sum", "input")]
    found = explained(graph(layers, rest))
    assert [nodes_of(p) for p in found.changes] == [["right"]]
    assert found.changes[0].remaining == 0
    assert repaired(layers, rest) == 1


def test_a_change_must_not_part_a_path_in_itself():
    """What another way leads past is not to be changed alone."""
    layers = [
        Layer("left", "input", after=(2, 2)),
        Layer("inner", "left", before=(1, 1), after=(1, 1)),
        Layer("right", "input", before=(1, 1), after=(1, 1)),
    ]
    rest = [add("block", "inner", "left"), add("output", "block", "right")]
    found = explained(graph(layers, rest))
    assert sorted(map(nodes_of, found.changes)) == [["left"], ["right"]]
    assert [step.node for step in found.paths[0].steps] == ["left", "inner"]
    assert repaired(layers, rest) == 1


def test_the_shortest_paths_are_told():
    layers = [
        Layer("stem", "input", stride=2),
        Layer("left_1", "stem", before=(2, 2)),
        Layer("left_2", "left_1", before=(1, 1), after=(1, 1)),
        Layer("right", "stem", (1, 1)),
        Layer("top", "sum", (5, 5)),
    ]
    rest = [add("sum", "left_2", "right"), node("output", "Relu", ["top"])]
    found = explained(graph(layers, rest))
    assert (found.parts, found.meets) == ("stem", "sum")
    assert [[s.node for s in p.steps] for p in found.paths] == [
        ["left_1", "left_2"],
        ["right"],
    ]


def test_paths_over_a_whole_axis_do_not_count():
    layers = [
        Layer("left", "input", before=(0, 0), after=(2, 2)),
        Layer("right", "input", before=(1, 1), after=(1, 1)),
        Layer("top", "gated", stride=2),
    ]
    rest = [
        add("sum", "left", "right"),
        constant("axes", [1, 2]),
        node("mean", "Mean", ["sum", "axes"], keep_dims="b: true"),
        node("gated", "Mul", ["sum", "mean"]),
    ]
    found = explained(graph(layers, rest), "top")
    assert (found.parts, found.meets) == ("input", "sum")
    assert repaired(layers, [*rest, node("output", "Relu", ["top"])]) == 1


# --- Networks at random ---------------------------------------------------------------


def path_size(layers, size):
    """The size of what comes out; 0 if nothing does."""
    for layer in layers:
        extent = layer.dilation * (layer.kernel[0] - 1) + 1
        size += layer.before[0] + layer.after[0]
        if size < extent:
            return 0
        size = (size - extent) // layer.stride + 1
    return size


def padded(layers, size):
    """With the paddings that SAME stands for: those of ``tf.nn.convolution``."""
    found = []
    for layer in layers:
        if layer.same:
            extent = layer.dilation * (layer.kernel[0] - 1) + 1
            total = max(extent - (size % layer.stride or layer.stride), 0)
            before, after = total // 2, total - total // 2
            layer = replace(layer, before=(before,) * 2, after=(after,) * 2)
        size = path_size([layer], size)
        found.append(layer)
    return found


def centre(layers):
    """Of the first feature, by the paper's sum over layers."""
    found, stride = Fraction(0), 1
    for layer in layers:
        extent = layer.dilation * (layer.kernel[0] - 1) + 1
        found += stride * (Fraction(extent - 1, 2) - layer.before[0])
        stride *= layer.stride
    return found


@st.composite
def two_chains(draw):
    """Two paths, mostly of equal strides."""
    strides = draw(st.sampled_from([[], [2], [3], [2, 2], [2, 3], [4]]))
    paths = []
    for name in "lr":
        ones = draw(st.integers(0 if strides else 1, 3 - len(strides)))
        of_path = draw(st.permutations([*strides, *[1] * ones]))
        if draw(st.integers(0, 11)) == 11:
            of_path[0] += 1
        paths.append(draw(chains(name, of_path)))
    return paths


@st.composite
def chains(draw, name, strides):
    below, layers = "input", []
    for i, stride in enumerate(strides):
        before, after = draw(st.integers(0, 2)), draw(st.integers(0, 2))
        kernel = draw(st.sampled_from([1, 1, 3, 3, 5, 2]))
        op = draw(st.sampled_from(["Conv2D", "MaxPool"]))
        dilation = draw(st.sampled_from([1, 1, 2])) if op == "Conv2D" else 1
        pads = (before, before), (after, after)
        same = draw(st.integers(0, 3)) == 3
        numbers = (kernel,) * 2, stride, *pads, op, dilation, same
        layers.append(Layer(f"{name}{i}", below, *numbers))
        below = layers[-1].name
    return layers


def filled(one, two, size):
    """Both, the smaller padded behind its last layer until they are of one size."""
    lengths = [path_size(path, size) for path in (one, two)]
    paths = [one, two]
    smaller = lengths.index(min(lengths))
    *first, last = paths[smaller]
    missing = (max(lengths) - min(lengths)) * last.stride
    after = last.after[0] + missing
    if missing:
        paths[smaller] = [*first, replace(last, after=(after, after), same=False)]
    return paths


@pytest.mark.slow
@given(two_chains(), st.integers(24, 40), st.booleans())
@examples(200)
def test_networks_at_random(paths, size, is_known):
    left, right = (
        padded(path, size)
        if is_known
        else [replace(layer, same=False) for layer in path]
        for path in paths
    )
    strides = [math.prod(layer.stride for layer in path) for path in (left, right)]
    assume(path_size(left, size) and path_size(right, size))
    left, right = filled(left, right, size)
    if not is_known:
        some = range(size, size + 2 * math.lcm(*strides))
        assume(all(path_size(left, n) == path_size(right, n) for n in some))
    known = size if is_known else None
    rest = [add("output", left[-1].name, right[-1].name)]
    layers = [*left, *right]
    found = explained(graph(layers, rest, known))
    assert found.aligned == (strides[0] == strides[1] and centre(left) == centre(right))
    if found.aligned:
        event("aligned")
        return
    before = rf.compute_receptive_field(graph(layers, rest, known))
    for proposal in found.changes:
        changed = applied(layers, proposal)
        sides = [
            padded(side, size) for side in (changed[: len(left)], changed[len(left) :])
        ]
        sizes = [path_size(side, size) for side in sides]
        assert proposal.keeps_size == (sizes == [path_size(left, size)] * 2)
        if not proposal.keeps_size:
            event("size changes")
            assert centre(sides[0]) == centre(sides[1])
            continue
        after = rf.compute_receptive_field(graph(changed, rest, known))
        assert after.aligned is True
        assert after.stride.tolist() == [strides[0]] * 2
        assert after.stride.tolist() == before.stride.tolist()
        event(f"{len(proposal.changes)} changes")
    if strides[0] != strides[1]:
        event("strides differ")
        assert not found.changes
        return
    by_padding = [p for p in found.changes if not changes_a_kernel(p)]
    if not any(p.keeps_size for p in by_padding):
        event("no padding" if by_padding else "no padding at all")
        sizes = range(size, size + (1 if is_known else 2 * strides[0]))
        reachable = [
            centres(path, None if by_padding == [] else sizes) for path in paths
        ]
        assert not reachable[0] & reachable[1], str(found)


def changes_a_kernel(proposal):
    settings = ((c.old[0], c.new[0]) for c in proposal.changes)
    return any(old.kernel != new.kernel for old, new in settings)


def centres(path, sizes):
    """All that some paddings up to 3 make of it; of those that keep what comes of
    inputs of these sizes, if there are any."""
    wanted = sizes and [path_size(path, n) for n in sizes]
    found = set()
    for paddings in itertools.product(
        itertools.product(range(4), repeat=2), repeat=len(path)
    ):
        changed = [
            replace(layer, before=(b, b), after=(a, a))
            for layer, (b, a) in zip(path, paddings, strict=True)
        ]
        if sizes is None or [path_size(changed, n) for n in sizes] == wanted:
            found.add(centre(changed))
    return found


# --- Networks built by TensorFlow and Keras -------------------------------------------


def test_the_network_of_the_paper_in_tensorflow():
    """With one stride on both paths; what is proposed is what is then built."""
    tf = needed("tensorflow")

    def build(paddings):
        def layer(below, name, size, stride):
            pads = paddings[name]
            weights = tf.ones((size, size, 1, 1))
            nothing = [0, 0]
            return tf.nn.conv2d(
                below, weights, stride, [nothing, pads, pads, nothing], name=name
            )

        with tf.Graph().as_default() as built:
            images = tf.compat.v1.placeholder(tf.float32, (1, 32, 32, 1), "input")
            left = layer(images, "left", 5, 2)
            right = layer(layer(images, "right_1", 3, 1), "right_2", 3, 2)
            tf.add(left, right, name="output")
        return built

    paddings = {"left": [2, 1], "right_1": [0, 1], "right_2": [0, 2]}
    found = explained(build(paddings))
    assert found.aligned is False
    assert len(found.changes) >= 2
    for proposal in found.changes:
        changed = dict(paddings)
        for change in proposal.changes:
            assert change.new[0] == change.new[1]
            changed[change.node] = list(change.new[0][1:])
        field = rf.compute_receptive_field(build(changed))
        assert field.aligned is True
        assert field.stride.tolist() == [2, 2]


def u_net(paddings, sample_up):
    """Two steps down and up; ``paddings`` are those of the layers that go down."""
    keras = needed("keras")
    layers = keras.layers
    image = x = keras.Input((None, None, 3))
    skips = []
    for i, pads in enumerate(paddings):
        x = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
        skips.append(x)
        x = layers.ZeroPadding2D((pads, pads), name=f"pad{i}")(x)
        x = layers.Conv2D(4, 3, 2, name=f"down{i}")(x)
    x = layers.Conv2D(4, 3, padding="same")(x)
    for skip in reversed(skips):
        x = sample_up(layers)(x)
        x = layers.Concatenate()([x, skip])
        x = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    return keras.Model(image, x)


def transposed(layers):
    return layers.Conv2DTranspose(4, 3, 2, padding="same")


@pytest.mark.parametrize("resolution", [None, [64, 32]])
def test_a_u_net_with_transposed_convolutions(resolution):
    found = explained(u_net([[1, 1]], transposed), input_resolution=resolution)
    assert found.aligned is False
    assert [d.offset for d in found.differences] == [1, 1]
    (change,) = found.changes[0].changes
    assert "pad0" in change.node
    fixed = u_net([list(change.new[0][1:])], transposed)
    field = rf.compute_receptive_field(fixed, input_resolution=resolution)
    assert field.aligned is True
    assert field.stride.tolist() == [1, 1]


def test_a_deeper_u_net_is_aligned_where_paths_meet_and_not_behind():
    """Behind a transposed convolution, every other feature sees more than the next: a
    layer that reads an even number of them sees an end that the other path does not."""
    model = u_net([[0, 2], [0, 2]], transposed)
    found = explained(model)
    assert found.aligned is False
    assert not found.changes
    assert all(-1 <= x <= 1 for d in found.differences for x in d.offsets)
    assert "The paths agree where they meet" in str(found)
    inner, outer = (
        layer.name for layer in model.layers if layer.name.startswith("concatenate")
    )
    fields = rf.compute_receptive_fields(model)
    assert fields[inner].aligned is True
    assert fields[outer].aligned is False


def test_a_u_net_with_nearest_upsampling_cannot_be_aligned_by_padding():
    """Neighbouring features have one centre, that of the skip connection two."""
    model = u_net([[0, 1], [0, 1]], lambda layers: layers.UpSampling2D(2))
    found = explained(model)
    assert not found.changes
    for difference in found.differences:
        one, two = difference.offsets
        assert two == one + 1
        assert difference.offset is None
    assert "does not move evenly" in found.reasons[0]
    assert "in turn" in str(found)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_any_number_of_axes(rank):
    keras = needed("keras")
    layers = keras.layers
    of_rank = {n: getattr(layers, f"{n}{rank}D") for n in ("Conv", "ZeroPadding")}

    def build(pads):
        image = keras.Input((*[None] * rank, 1))
        padded = of_rank["ZeroPadding"](pads if rank > 1 else pads[0], name="padded")
        x = of_rank["Conv"](1, 5, 2)(padded(image))
        y = of_rank["Conv"](1, 1, 2)(image)
        return keras.Model(image, layers.Concatenate()([x, y]))

    # The last axis of the tensor is x, the first that is told.
    pads = [(2, 2), (1, 3), (0, 4)][-rank:]
    found = explained(build(pads))
    assert [d.axis for d in found.differences] == [0, 1, 2][: min(rank, 2)]
    assert [d.offset for d in found.differences] == [-2, -1][: min(rank, 2)]
    new = [
        old if setting is None else setting[1:]
        for old, setting in zip(
            pads, found.changes[0].changes[0].new[::-1], strict=True
        )
    ]
    field = rf.compute_receptive_field(build(new))
    assert field.aligned is True
    assert field.stride.tolist() == [2] * rank


@pytest.mark.slow
def test_xception_at_its_default_size():
    keras = needed("keras")

    def build(**options):
        return keras.applications.Xception(weights=None, include_top=False, **options)

    model = build(input_shape=(None, None, 3))
    found = explained(model, input_resolution=[299, 299])
    assert found.aligned is False
    assert "block3_pool" in found.size_dependent[0]
    (change,) = found.changes[0].changes
    assert "block3_pool" in change.node
    assert change.new == (Setting(3, 1, 1),) * 2
    assert found.changes[0].remaining == 0

    def padded(layer):
        if layer.name != "block3_pool":
            return layer.__class__.from_config(layer.get_config())
        start = keras.layers.ZeroPadding2D(change.new[0][1])
        pool = keras.layers.MaxPooling2D(layer.pool_size, layer.strides)
        return keras.Sequential([start, pool], name=layer.name)

    fixed = keras.models.clone_model(model, clone_function=padded)
    before, after = (
        rf.compute_receptive_field(m, input_resolution=[299, 299])
        for m in (model, fixed)
    )
    assert after.aligned is True
    assert after.stride.tolist() == before.stride.tolist() == [32, 32]
    assert explained(model).unknown_paddings
    assert explained(model, input_resolution=[255, 255]).aligned in (True, False)


@pytest.mark.parametrize("module", [explanation])
def test_examples_in_docstrings(module):
    results = doctest.testmod(module)
    assert results.attempted
    assert not results.failed


@pytest.mark.parametrize("axes", [[1], [2], [1, 2]])
def test_what_is_not_known_hides_no_pair(axes):
    """A roll by an unknown share of an axis, above kernels of 2 and 3."""
    graph = graph_def(
        placeholder(),
        conv("two", "input", 2, 1, "SAME"),
        conv("three", "input", 3, 1, "SAME"),
        add("sum", "two", "three"),
        constant("by", [1] * len(axes)),
        constant("along", axes),
        node("out", "Roll", ["sum", "by", "along"]),
    )
    for sizes in (None, [6, 6]):
        found = rf.compute_receptive_field(graph, input_resolution=sizes).explain()
        if found.aligned is False:
            assert "centres differ by 0.5" in str(found)
    assert found.aligned is False


def test_paths_that_hold_positions_of_one_axis_on_different_axes():
    """No axis is left on which the paths could be compared."""
    tf = needed("tensorflow")
    with tf.Graph().as_default() as graph:
        image = tf.compat.v1.placeholder(tf.float64, (1, 30, 1), name="input")
        blocks = tf.reshape(image, (1, 15, 2))
        both = tf.concat([image[:, ::2], blocks], -1)
        mixed = tf.nn.conv1d(both, tf.ones((1, 3, 1), tf.float64), 1, "VALID")
        tf.reshape(tf.stack([mixed, mixed], 2), (1, 30, 1), name="twice")
    field = rf.compute_receptive_field(graph, output="twice")
    assert field.aligned is not True
    assert field.explain().changes == ()


# --- Networks in TensorFlow -----------------------------------------------------------


def of_image(build, size=24):
    """The receptive field of a network of an image of one channel."""
    tf = needed("tensorflow")
    with tf.Graph().as_default() as graph:
        shape = (1, size, size, 1)
        image = tf.compat.v1.placeholder(tf.float32, shape, name="input")
        tf.identity(build(tf, image), name="output")
    return rf.compute_receptive_field(graph, output="output")


def smoothed(tf, x, height, width=1, padding="SAME"):
    return tf.nn.conv2d(x, tf.ones((height, width, 1, 1)), 1, padding)


def shuffled(tf, x, rows):
    """Two paths above an op that moves rows: kernels of 3 and 5."""
    x = rows(tf, x)
    return smoothed(tf, x, 3) + smoothed(tf, x, 5)


@pytest.mark.parametrize(
    "rows",
    [
        # Of kernels of 3 and 5, feature 4 sees 0 to 2, and 23 and 0 to 3.
        lambda tf, x: tf.roll(x, 3, 1),
        # Feature 2 sees 1, 2 and 5, and 0, 1, 2, 5 and 4.
        lambda tf, x: tf.gather(x, [0, 1, 2, 5, 4, 3], axis=1),
        # Feature 10 sees 9 to 11, and 8 to 11 and 13.
        lambda tf, x: tf.concat([x[:, :12], x[:, 13:]], 1),
        # Feature 1 sees 0 and 1, and -1 to 1.
        lambda tf, x: tf.repeat(x, 2, 1),
    ],
)
def test_paths_that_differ_below_the_tensor_where_they_split(rows):
    field = of_image(lambda tf, x: shuffled(tf, x, rows))
    assert [axis.map.aligned for axis in field.axes] == [True, False]
    found = field.explain()
    assert (found.parts, found.changes) == (None, ())
    assert "does not treat all positions alike" in str(found)


def test_a_roll_of_unknown_size():
    """At 24 it is misaligned; see above."""
    rows = lambda tf, x: tf.roll(x, 3, 1)  # noqa: E731
    assert of_image(lambda tf, x: shuffled(tf, x, rows), None).aligned is not True


def test_rolls_by_different_distances_are_not_aligned_by_padding():
    """Feature 0 sees the end of the input on both paths, but one row less on one."""

    def build(tf, x):
        return smoothed(tf, tf.roll(x, 3, 1), 3) + smoothed(tf, tf.roll(x, 4, 1), 3)

    for size in (24, None):
        found = of_image(build, size).explain()
        assert found.aligned is False
        assert found.changes == ()


def test_an_axis_that_lies_on_two_axes_of_the_output():
    """Row u is at (u // 12, u % 12). A kernel of 2 sees u and u + 1."""

    def fold(tf, x):
        return tf.reshape(x, (1, 2, 12, 24, 1))

    for width, names in ((2, [0, 1]), (1, [1])):
        found = of_image(
            lambda tf, x, w=width: fold(tf, x) + fold(tf, smoothed(tf, x, 2, w))
        ).explain()
        assert [difference.axis for difference in found.differences] == names
        assert {difference.offset for difference in found.differences} == {
            Fraction(1, 2)
        }
        assert [path.field.size.tolist() for path in found.paths] == [
            [1, 1],
            [width, 2],
        ]
        (proposal,) = found.changes
        (change,) = proposal.changes
        assert change.new[1] == Setting(1, 0, 0)
        assert (change.new[0] is None) == (width == 1)


@pytest.mark.parametrize("axis", [1, 2])
def test_an_axis_may_be_seen_whole_by_all_paths(axis):
    """A kernel of 2 along the other axis, and a way past it."""

    def build(tf, x):
        rows = tf.reduce_mean(x, axis)
        return rows + tf.nn.conv1d(rows, tf.ones((2, 1, 1)), 1, "SAME")

    found = of_image(build).explain()
    assert (found.parts, found.meets) == ("Mean", "add")
    (difference,) = found.differences
    assert difference.axis == axis - 1
    assert difference.offset == Fraction(1, 2)
    (proposal,) = found.changes
    assert proposal.changes[0].new[axis - 1] == Setting(1, 0, 0)


def test_paths_that_follow_different_axes():
    """Feature (y, x) sees itself, and position (x, y)."""
    found = of_image(lambda tf, x: x + tf.transpose(x, (0, 2, 1, 3))).explain()
    assert found.aligned is False
    assert [difference.centres for difference in found.differences] == [None, None]
    assert "On x and y they follow different axes where they meet." in str(found)


def test_paths_through_a_loop():
    def build(tf, x):
        x = x + smoothed(tf, x, 2)
        return tf.while_loop(lambda i, x: i < 3, lambda i, x: (i + 1, 2 * x), [0, x])[1]

    assert str(of_image(build).explain()) == "misaligned: The paths run through a loop."


def test_even_kernels_are_blamed_only_where_there_are_some():
    """Even rows and odd rows: centres differ by 1, and paddings move them by 2."""

    def build(tf, x):
        return smoothed(tf, x[:, ::2], 3) + smoothed(tf, x[:, 1::2], 3)

    found = of_image(build).explain()
    assert "only by multiples of 2." in str(found)
    assert "even" not in str(found)
    news = [proposal.changes[0].new[1].kernel for proposal in found.changes]
    assert sorted(news) == [2, 4]
    without = of_image(lambda tf, x: x[:, ::2] + x[:, 1::2]).explain()
    assert "On y no change of padding is known to align them." in str(without)


def test_paddings_of_paths_whose_centres_differ_unevenly():
    """Above rows that occur twice, kernels of 3 with one row before, or with two.

    Feature u sees (u - 1) // 2 to (u + 1) // 2, or (u - 2) // 2 to u // 2.
    """

    def build(tf, x):
        def padded(before):
            rows = tf.repeat(x, 2, 1)
            pads = [[0, 0], [before, 2 - before], [0, 0], [0, 0]]
            return smoothed(tf, rows, 3, padding=pads)

        return padded(2) + padded(1)

    found = of_image(build).explain()
    (difference,) = found.differences
    assert difference.offsets == (0, 1)
    news = [proposal.changes[0].new[1] for proposal in found.changes]
    assert news == [Setting(3, 1, 1), Setting(3, 2, 0)]


def test_what_decides_an_unknown_alignment():
    def build(tf, x):
        x = tf.repeat(x, [1, 2] + [1] * 22, 1)
        return smoothed(tf, x, 3) + smoothed(tf, x, 5)

    known = of_image(build)
    assert known.aligned is None
    assert str(known.explain()).endswith("the positions that an op reads are unknown.")
    assert "depends on the input size" not in str(known)

    def of_any_size(tf, x):
        rows = tf.reshape(x, (24, 24, 1))
        return rows + tf.nn.conv1d(rows, tf.ones((2, 1, 1)), 1, "SAME")

    found = of_image(of_any_size, None)
    assert found.aligned is None
    assert "this depends on the size of the input" in str(found.explain())
    assert "unknown: depends on the input size" in str(found)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (
            lambda tf, x: x + tf.transpose(x, (0, 2, 1, 3)),
            "through 'add' and 'transpose', follow different axes",
        ),
        (
            lambda tf, x: tf.add_n(
                [tf.reshape(y, (1, 2, 12, 24)) for y in (x, smoothed(tf, x, 2))]
            ),
            "two paths from 'input' to 'output' differ. ",
        ),
    ],
)
def test_an_error_does_not_say_more_than_is_known(build, words):
    tf = needed("tensorflow")
    with tf.Graph().as_default() as graph:
        image = tf.compat.v1.placeholder(tf.float32, (1, 24, 24, 1), name="input")
        tf.identity(build(tf, image), name="output")
    with pytest.raises(rf.ReceptiveFieldError, match="not aligned") as caught:
        rf.compute_receptive_field(graph, require_aligned=True)
    assert words in str(caught.value)
