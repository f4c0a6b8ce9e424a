"""Parts that are cut out of tensors and joined along spatial axes.

Random networks of slices, convolutions and joins, held against the positions that
NumPy finds by carrying the set of needed positions through the same slices.
"""

import numpy as np
import pytest
from graphs import constant, conv, graph_def, node, placeholder
from hypothesis import given
from hypothesis import strategies as st
from random_search import examples

import receptive_field as rf
from receptive_field.relations import joins

SIZES = 6, 5


class Network:
    """A graph, and for each tensor which input positions each of its positions sees.

    The arrays have the axes (height, width, input's height, input's width).
    """

    def __init__(self):
        self.nodes = [placeholder("input", (1, *SIZES, 1))]
        sees = np.eye(np.prod(SIZES), dtype=bool).reshape(*SIZES, *SIZES)
        self.tensors = [("input", sees)]

    def __repr__(self):
        return "".join(self.nodes)

    def name(self):
        """The name of the next node."""
        return f"n{len(self.nodes)}"

    def add(self, text, sees):
        self.tensors.append((self.name(), sees))
        self.nodes.append(text)

    def convolution(self, tensor, kernel, stride):
        below, sees = tensor
        sizes = [
            (n - k) // stride + 1 for n, k in zip(sees.shape, kernel, strict=False)
        ]
        found = np.zeros((*sizes, *SIZES), bool)
        for i, j in np.ndindex(*kernel):
            rows = slice(i, i + stride * (sizes[0] - 1) + 1, stride)
            columns = slice(j, j + stride * (sizes[1] - 1) + 1, stride)
            found |= sees[rows, columns]
        self.add(conv(self.name(), below, kernel, stride), found)

    def cut(self, tensor, axis, first, last, step=1):
        """Positions ``first .. last`` of an axis."""
        below, sees = tensor
        start, stop, steps = [0] * 4, [0] * 4, [1] * 4
        start[axis + 1], stop[axis + 1], steps[axis + 1] = first, last + 1, step
        whole = sum(1 << a for a in range(4) if a != axis + 1)
        name = self.name()
        text = constant(f"{name}/start", start) + constant(f"{name}/stop", stop)
        text += constant(f"{name}/step", steps)
        text += node(
            name,
            "StridedSlice",
            [below, *(f"{name}/{what}" for what in ("start", "stop", "step"))],
            begin_mask=f"i: {whole}",
            end_mask=f"i: {whole}",
        )
        index = [slice(None)] * 2
        index[axis] = slice(first, last + 1, step)
        self.add(text, sees[tuple(index)])

    def step(self, tensor, axis, position):
        """One position of an axis, without the axis: only `pack` can use it."""
        below, sees = tensor
        first, last = [0] * 4, [0] * 4
        first[axis + 1], last[axis + 1] = position, position + 1
        whole = sum(1 << a for a in range(4) if a != axis + 1)
        name = self.name()
        text = constant(f"{name}/first", first) + constant(f"{name}/last", last)
        text += constant(f"{name}/one", [1] * 4) + node(
            name,
            "StridedSlice",
            [below, f"{name}/first", f"{name}/last", f"{name}/one"],
            begin_mask=f"i: {whole}",
            end_mask=f"i: {whole}",
            shrink_axis_mask=f"i: {1 << axis + 1}",
        )
        self.add(text, sees.take(position, axis))
        return self.tensors.pop()

    def pack(self, parts, axis):
        names, arrays = zip(*parts, strict=True)
        text = node(self.name(), "Pack", names, axis=f"i: {axis + 1}")
        self.add(text, np.stack(arrays, axis))

    def join(self, parts, axis):
        names, arrays = zip(*parts, strict=True)
        name = self.name()
        text = constant(f"{name}/axis", [axis + 1], ())
        text += node(name, "ConcatV2", [*names, f"{name}/axis"])
        self.add(text, np.concatenate(arrays, axis))

    def add_up(self, one, two):
        self.add(node(self.name(), "AddV2", [one[0], two[0]]), one[1] | two[1])

    def check(self):
        """Every tensor of the graph, by both passes; how many of them are exact."""
        graph = graph_def(*self.nodes)
        exact = 0
        fields = rf.compute_receptive_fields(graph, input="input")
        for name, sees in self.tensors[1:]:
            if name not in fields:
                assert not sees.any()
                continue
            one = rf.compute_receptive_field(graph, input="input", output=name)
            for field in (one, fields[name]):
                compare(field, sees)
                exact += field.exact
        return exact


def compare(field, sees):
    """A field against what each of its features sees: never less, and no more if it
    says that it is exact."""
    for place in np.ndindex(sees.shape[:2]):
        positions = np.argwhere(sees[place])[:, ::-1]
        followed = [axis.output_axis for axis in field.axes]
        feature = [0 if axis is None else place[axis - 1] for axis in followed]
        region = field.compute_input_region(feature)
        if not len(positions):
            assert not field.exact or (region[:, 0] > region[:, 1]).all()
            continue
        truth = np.stack([positions.min(0), positions.max(0)], axis=1)
        assert (region[:, 0] <= truth[:, 0]).all()
        assert (region[:, 1] >= truth[:, 1]).all()
        if field.exact:
            np.testing.assert_array_equal(region, truth)


@st.composite
def networks(draw):
    network = Network()

    def some():
        return network.tensors[draw(st.integers(0, len(network.tensors) - 1))]

    for _ in range(draw(st.integers(1, 7))):
        tensor = some()
        sizes = tensor[1].shape[:2]
        axis = draw(st.integers(0, 1))
        first = draw(st.integers(0, sizes[axis] - 1))
        kind = draw(st.sampled_from(["convolution", "cut", "steps", "join", "add"]))
        if kind == "convolution":
            kernel = [draw(st.integers(1, min(3, n))) for n in sizes]
            network.convolution(tensor, tuple(kernel), draw(st.integers(1, 2)))
        elif kind == "cut":
            last = draw(st.integers(first, sizes[axis] - 1))
            network.cut(tensor, axis, first, last, draw(st.integers(1, 2)))
        elif kind == "steps":
            places = st.integers(0, sizes[axis] - 1)
            steps = [
                network.step(tensor, axis, p)
                for p in draw(st.lists(places, min_size=1, max_size=6))
            ]
            network.pack(steps, axis)
        else:
            fits = [
                t
                for t in network.tensors
                if t[1].shape[1 - axis] == sizes[1 - axis]
                and (kind == "join" or t[1].shape == tensor[1].shape)
            ]
            others = draw(st.lists(st.sampled_from(fits), min_size=1, max_size=3))
            if kind == "add":
                network.add_up(tensor, others[0])
            else:
                network.join([tensor, *others], axis)
    return network


@pytest.mark.slow
@given(networks())
@examples(50)
def test_random_joins(network):
    network.check()


def test_joined_with_zeros_is_padded():
    network = Network()
    zeros = node("zeros", "ZerosLike", ["input"])
    joined = constant("axis", [1], ()) + node(
        "joined", "ConcatV2", ["zeros", "input", "axis"]
    )
    output = conv("output", "joined", 3)
    field = rf.compute_receptive_field(
        graph_def(network.nodes[0], zeros, joined, output)
    )
    assert list(field) == [3, 3, 1, 1, 0, SIZES[0]]
    assert field.exact


def test_rows_that_pad_an_image_in_a_circle():
    network = Network()
    image = network.tensors[0]
    network.cut(image, 0, SIZES[0] - 1, SIZES[0] - 1)
    network.cut(image, 0, 0, 0)
    network.join([network.tensors[1], image, network.tensors[2]], 0)
    network.convolution(network.tensors[3], (3, 1), 1)
    graph = graph_def(*network.nodes)
    field = rf.compute_receptive_field(graph)
    assert field.exact
    rows = field.compute_input_region([[0, y] for y in range(SIZES[0])])[:, 1]
    assert rows.tolist() == [[0, 5], [0, 2], [1, 3], [2, 4], [3, 5], [0, 5]]


def test_steps_that_are_joined_again_keep_the_time_apart():
    network = Network()
    image = network.tensors[0]
    network.pack([network.step(image, 0, y) for y in range(SIZES[0])], 0)
    network.convolution(network.tensors[-1], (1, 3), 2)
    assert network.check() == 4
    field = rf.compute_receptive_field(graph_def(*network.nodes))
    assert list(field) == [3, 1, 2, 2, 0, 0]


def test_one_of_joined_parts():
    """What is needed of one part only, does not see the others."""
    network = Network()
    image = network.tensors[0]
    network.cut(image, 0, 0, 1)
    network.convolution(image, (1, 3), 1)
    wide = network.tensors[-1]
    network.cut(wide, 0, 4, 5)
    network.cut(network.tensors[1], 1, 0, 2)
    network.join([network.tensors[-1], network.tensors[-2]], 0)
    network.pack([network.step(network.tensors[-1], 0, 3)], 0)
    network.check()
    field = rf.compute_receptive_field(graph_def(*network.nodes))
    assert field.exact
    assert field.compute_input_region([1, 0]).tolist() == [[1, 3], [5, 5]]


def test_an_axis_of_one_position_joined_with_itself():
    x = placeholder("input", (1, 1, 3, 1))
    index = constant("index", [0]) + constant("axis", [1], ())
    again = node("again", "GatherV2", ["input", "index", "axis"])
    joined = node("joined", "ConcatV2", ["input", "again", "axis"])
    field = rf.compute_receptive_field(graph_def(x, index, again, joined))
    regions = field.compute_input_region([[2, 0], [2, 1]])
    assert regions.tolist() == [[[2, 2], [0, 0]]] * 2


def test_joined_channels_that_are_joined_again():
    """A convolution needs all channels, so each path below is needed for certain."""
    last = constant("last", [3], ())
    graph = graph_def(
        placeholder("input", (1, *SIZES, 1)),
        last,
        conv("a", "input", 3, padding="SAME"),
        conv("b", "input", (1, 3), padding="SAME"),
        node("inner", "ConcatV2", ["a", "b", "last"]),
        node("outer", "ConcatV2", ["a", "inner", "last"]),
        conv("output", "outer", 3),
    )
    one = rf.compute_receptive_field(graph, output="output")
    assert one.exact
    assert one.axes == rf.compute_receptive_fields(graph)["output"].axes
    assert list(one) == [5, 5, 1, 1, 1, 1]


def test_only_what_is_asked_about_is_closed(monkeypatch):
    """Of blocks with branches that are joined, one after another, those of the last:
    the joins of all others have met by then, or are not looked at."""
    nodes, below = [placeholder()], "input"
    for i in range(8):
        nodes += [conv(f"a{i}", below, 1), conv(f"b{i}", below, 3, 1, "SAME")]
        nodes += [constant(f"axis{i}", [3], [])]
        nodes += [node(f"c{i}", "ConcatV2", [f"a{i}", f"b{i}", f"axis{i}"])]
        below = f"c{i}"
    closed = 0
    original = joins._as_relation

    def counted(join):
        nonlocal closed
        closed += 1
        return original(join)

    monkeypatch.setattr(joins, "_as_relation", counted)
    assert rf.compute_receptive_field(graph_def(*nodes)).size.tolist() == [17, 17]
    assert closed == 1


def test_where_all_parts_see_one_row_it_has_its_own_coordinate():
    """The joined axis is that of x; y is the same for all, and its coordinate 0."""
    network = Network()
    image = network.tensors[0]
    network.pack([network.step(image, 0, 0)], 0)
    network.join([network.tensors[1], network.tensors[1]], 1)
    network.check()
    graph = graph_def(*network.nodes)
    fields = rf.compute_receptive_fields(graph, input="input")
    last = list(fields.values())[-1]
    assert [axis.output_axis for axis in last.feature_axes] == [2, None]
