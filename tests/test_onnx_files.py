"""ONNX models in files and in memory: what is read, what is not, and damaged ones."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx_experiments as experiments
import pytest
from needed import needed
from onnx_experiments import model_of

import receptive_field as rf
from receptive_field.errors import (
    GraphError,
    NodeNotFoundError,
    UnsupportedOpsError,
)
from receptive_field.frameworks import contents, load, wire
from receptive_field.frameworks.onnx.ops import OPS

onnx = needed("onnx")
node, tensor = onnx.helper.make_node, onnx.numpy_helper.from_array
IMAGE = {"x": ("float32", (1, 2, 16, 16))}
KERNEL = tensor(np.ones((2, 2, 3, 3), "float32"), "w")


def conv(source, result, **attributes):
    return node("Conv", [source, "w"], [result], **attributes)


def network(*nodes, constants=(KERNEL,), **given):
    return model_of(nodes, IMAGE, ["y"], constants, **given)


TWO = network(conv("x", "a", strides=[2, 2]), conv("a", "y"))


def numbers(model, **options):
    field = rf.compute_receptive_field(model, output="y", **options)
    return field.size.tolist(), field.stride.tolist(), field.padding.tolist()


ANSWER = ([7, 7], [2, 2], [0, 0])


class TestReading:
    @pytest.mark.parametrize(
        "compress", [bytes, gzip.compress, bz2.compress, lzma.compress]
    )
    @pytest.mark.parametrize("name", ["model.onnx", "model.pb", "model"])
    def test_files_are_recognised_by_content(self, tmp_path, compress, name):
        path = tmp_path / name
        path.write_bytes(compress(TWO.SerializeToString()))
        assert numbers(path) == ANSWER

    @pytest.mark.parametrize("module", [gzip, bz2, lzma])
    def test_a_compressed_file_that_is_cut_off(self, tmp_path, module):
        path = tmp_path / "model.onnx"
        path.write_bytes(module.compress(TWO.SerializeToString())[:-9])
        with pytest.raises(GraphError, match="cannot read"):
            load(path)

    def test_objects(self):
        assert numbers(TWO) == numbers(TWO.SerializeToString()) == ANSWER

    def test_other_bytes_are_refused(self):
        with pytest.raises(GraphError, match=r"cannot analyse a builtins\.bytes"):
            load(b"something else")

    def test_neither_onnx_nor_numpy_is_imported(self, tmp_path):
        path = tmp_path / "model.onnx"
        path.write_bytes(TWO.SerializeToString())
        code = (
            "import sys; import receptive_field as rf;"
            "found = rf.compute_receptive_field(sys.argv[1]);"
            "print(found.size);"
            "bad = {'onnx', 'onnxruntime', 'tensorflow', 'torch'} & set(sys.modules);"
            "assert not bad, bad"
        )
        run = subprocess.run(
            [sys.executable, "-c", code, str(path)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stderr

    def test_weights_are_never_read(self, tmp_path, monkeypatch):
        """The answer does not change if reading any byte of them is an error."""
        large = tensor(np.zeros((2, 2, 3, 3000), "float32"), "w")
        model = network(conv("x", "y"), constants=[large])
        content = model.SerializeToString()
        start = content.index(large.raw_data[:1000])
        path = tmp_path / "model.onnx"
        path.write_bytes(content)
        monkeypatch.setattr(contents, "LARGE_FILE", 1000)
        read = wire.FileBytes._read
        inside = range(start + wire.LARGE, start + len(large.raw_data) - wire.LARGE)

        def watched(self, begin, count):
            assert begin not in inside
            assert begin + min(count, wire.LARGE) not in inside
            return read(self, begin, count)

        monkeypatch.setattr(wire.FileBytes, "_read", watched)
        field = rf.compute_receptive_field(path, input_resolution=[16, 4000])
        assert field.size.tolist() == [3000, 3]

    def test_data_of_other_files_is_never_opened(self, tmp_path):
        """Weights in other files are not needed, nor are paths out of the folder."""
        kernel = onnx.TensorProto(name="w", data_type=1, dims=[2, 2, 3, 3])
        kernel.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (("location", "../../nowhere"), ("offset", "12")):
            kernel.external_data.add(key=key, value=value)
        path = tmp_path / "model.onnx"
        model = network(conv("x", "y"), constants=[kernel])
        path.write_bytes(model.SerializeToString())
        assert numbers(path) == ([3, 3], [1, 1], [0, 0])

    def test_a_shape_in_another_file_makes_a_bound(self):
        shape = onnx.TensorProto(name="s", data_type=7, dims=[4])
        shape.data_location = onnx.TensorProto.EXTERNAL
        model = network(
            conv("x", "a"),
            node("Reshape", ["a", "s"], ["y"]),
            constants=[KERNEL, shape],
        )
        field = rf.compute_receptive_field(model, output="y")
        assert not field.exact

    def test_constants_in_every_form(self):
        """Raw data and typed fields, of integers and of half precision."""
        pads = [0, 0, 1, 2, 0, 0, 1, 2]
        forms = [
            tensor(np.array(pads), "p"),
            onnx.helper.make_tensor("p", 7, [8], pads),
        ]
        zero = onnx.helper.make_tensor("z", 10, [], [0.0])
        for form in forms:
            model = network(
                node("Pad", ["x", "p"], ["a"]),
                conv("a", "y"),
                constants=[KERNEL, form, zero],
            )
            assert load(model).graph.node("p").attribute("anything") is None
            field = rf.compute_receptive_field(model, output="y")
            assert field.padding.tolist() == [2, 1]


class TestNames:
    def test_outputs_and_nodes(self):
        model = network(
            node(
                "Split",
                ["x"],
                ["first", "second"],
                axis=1,
                num_outputs=2,
                name="halves",
            ),
            node("MaxPool", ["second"], ["y"], kernel_shape=[2, 3], name="pool"),
        )
        loaded = load(model)
        assert loaded.find("second")[0] == "second"
        assert loaded.find("halves")[1] == loaded.find("first")[1]
        for name in ("y", "pool"):
            field = rf.compute_receptive_field(model, input="second", output=name)
            assert field.size.tolist() == [3, 2]
            assert field.input == "second"

    def test_colons_are_part_of_a_name(self):
        model = network(conv("x", "a/b:0"), conv("a/b:0", "y"))
        assert rf.compute_receptive_field(model, output="a/b:0").size.tolist() == [3, 3]

    def test_a_node_without_its_first_output(self):
        recurrent = node(
            "LSTM", ["s", "k", "r"], ["", "y"], hidden_size=4, name="recurrent"
        )
        constants = [
            tensor(np.ones((1, 16, 3), "float32"), "k"),
            tensor(np.ones((1, 16, 4), "float32"), "r"),
        ]
        model = model_of([recurrent], {"s": ("float32", (7, 1, 3))}, ["y"], constants)
        loaded = load(model)
        assert loaded.graph.name_of(loaded.find("y")[1]) == "y"
        assert loaded.find("y")[1][1] == 1

    def test_near_names_are_suggested(self):
        with pytest.raises(NodeNotFoundError, match="y"):
            rf.compute_receptive_field(TWO, output="yy")


class TestControlFlow:
    def branch(self, name, *nodes):
        return onnx.helper.make_graph(
            nodes, name, [], [onnx.helper.make_empty_tensor_value_info(name)]
        )

    def test_a_known_condition_takes_one_branch(self):
        for taken, size in ((True, 3), (False, 5)):
            choice = node(
                "If",
                ["c"],
                ["y"],
                then_branch=self.branch("t", conv("x", "t")),
                else_branch=self.branch("e", conv("x", "i"), conv("i", "e")),
            )
            constants = [KERNEL, tensor(np.array(taken), "c")]
            model = network(choice, constants=constants)
            assert numbers(model)[0] == [size, size]

    def test_functions_take_attributes(self):
        body = conv("a", "b")
        for name, kind in (("strides", 7),):
            body.attribute.add(name=name, ref_attr_name="step", type=kind)
        body.input[1] = "k"
        function = onnx.helper.make_function(
            "local",
            "Layer",
            ["a", "k"],
            ["b"],
            [body],
            [onnx.helper.make_opsetid("", 20)],
            ["step"],
        )
        calls = [
            node("Layer", ["x", "w"], ["m"], domain="local", step=[2, 2]),
            node("Layer", ["m", "w"], ["y"], domain="local", step=[1, 1]),
        ]
        model = network(*calls, functions=[function])
        model.opset_import.append(onnx.helper.make_opsetid("local", 1))
        assert numbers(model) == ANSWER
        assert "y/b" in load(model).graph.index_of

    def test_a_loop_that_keeps_sizes(self):
        values = onnx.helper.make_empty_tensor_value_info
        body = onnx.helper.make_graph(
            [conv("v", "v2", pads=[1] * 4), node("Identity", ["go"], ["on"])],
            "body",
            [*map(values, ("i", "go", "v"))],
            [*map(values, ("on", "v2"))],
        )
        loop = node("Loop", ["m", "", "x"], ["y"], body=body)
        model = network(loop, constants=[KERNEL, tensor(np.array(3), "m")])
        field = rf.compute_receptive_field(model, output="y")
        assert np.isinf(field.size.astype(float)).all()
        assert not field.exact


DAMAGE = {
    "two nodes of the graph are named 'y'": network(conv("x", "y"), conv("x", "y")),
    "two nodes of the graph have an output 'a'": network(
        node("Split", ["x"], ["a", "a"], axis=1), conv("a", "y")
    ),
    "reads 'w', which is not in the graph": network(conv("x", "y"), constants=()),
    "depends on itself": network(
        node("Add", ["x", "b"], ["a"]), conv("a", "b"), node("Relu", ["b"], ["y"])
    ),
    "has 2 pads for 2": network(conv("x", "y", pads=[1, 2])),
    "stride 0": network(conv("x", "y", strides=[0, 1])),
    "its strides is 'a'": network(conv("x", "y", strides="a")),
    "has 0 groups": network(conv("x", "y", group=0)),
    "takes 6 channels in 3 groups": network(conv("x", "y", group=3)),
    "uses operator set 1 of ONNX": network(conv("x", "y"), opset=1),
    "uses operator set 99 of ONNX": network(conv("x", "y"), opset=99),
    "no rule for 1 op type": network(node("Nonsense", ["x"], ["y"])),
}


@pytest.mark.parametrize("message", DAMAGE)
def test_damaged_graphs(message):
    with pytest.raises(rf.ReceptiveFieldError, match=message):
        rf.compute_receptive_field(DAMAGE[message], output="y")


def test_no_operator_set():
    model = network(conv("x", "y"))
    del model.opset_import[:]
    with pytest.raises(GraphError, match="does not say which operator set"):
        load(model)


def test_data_that_does_not_fit():
    shape = onnx.TensorProto(name="s", data_type=7, dims=[4], raw_data=b"123")
    model = network(node("Reshape", ["x", "s"], ["y"]), constants=[shape])
    with pytest.raises(GraphError, match=r"'s' is malformed.*\[4\]"):
        rf.compute_receptive_field(model, output="y")


def test_a_shape_of_more_axes_than_a_tensor_has():
    """Its values are not in the file, and as many sizes would fill the memory."""
    sizes = onnx.TensorProto(name="s", data_type=7, dims=[1 << 60], data_location=1)
    nodes = [onnx.helper.make_node("Reshape", ["x", "s"], ["y"])]
    model = model_of(nodes, {"x": ("float32", (1, 3, 8, 8))}, ["y"], [sizes])
    with pytest.raises(GraphError, match=f"'y' has a tensor of {1 << 60} axes"):
        rf.compute_receptive_field(model)


def test_recursion():
    function = onnx.helper.make_function(
        "local",
        "F",
        ["a"],
        ["b"],
        [node("F", ["a"], ["b"], domain="local")],
        [onnx.helper.make_opsetid("local", 1)],
    )
    model = network(node("F", ["x"], ["y"], domain="local"), functions=[function])
    with pytest.raises(GraphError, match="calls itself"):
        load(model)


def test_nodes_in_any_order():
    """The standard asks for sorted nodes, but onnxruntime runs them in any order."""
    model = network(conv("a", "y"), conv("x", "a", strides=[2, 2]))
    assert experiments.can_run(model, np.ones((1, 2, 16, 16), "float32"))
    assert numbers(model) == ANSWER


REAL = Path(__file__).parent / "data" / "onnx" / "resnet18.onnx.xz"


def damaged(content, kind, draw):
    """Bytes that are cut off, changed, left out or put in."""
    if kind == 0:
        return content[: draw.randrange(len(content))]
    place = draw.randrange(len(content))
    if kind == 1:
        return content[:place] + bytes([draw.randrange(256)]) + content[place + 1 :]
    if kind == 2:
        return content[:place] + content[place + draw.randrange(1, 200) :]
    more = bytes(draw.randrange(256) for _ in range(draw.randrange(1, 60)))
    return content[:place] + more + content[place:]


@pytest.mark.parametrize("kind", range(4))
def test_damaged_files(tmp_path, kind):
    """They are read as far as they make sense, or refused; nothing else happens."""
    content = lzma.decompress(REAL.read_bytes())
    draw = random.Random(kind)
    path = tmp_path / "model.onnx"
    for _ in range(25):
        path.write_bytes(damaged(content, kind, draw))
        with contextlib.suppress(rf.ReceptiveFieldError):
            rf.compute_receptive_field(path)


class TestOpsWithoutRules:
    """Ops of other domains, for which the caller states what they do."""

    def model(self):
        blur = node("Blur", ["x"], ["a"], domain="com.example")
        fade = node("Fade", ["a"], ["b"], domain="com.example")
        found = network(blur, fade, conv("b", "y"))
        found.opset_import.append(onnx.helper.make_opsetid("com.example", 1))
        return found

    def test_are_named_all_at_once(self):
        with pytest.raises(UnsupportedOpsError) as caught:
            rf.compute_receptive_field(self.model(), output="y")
        assert caught.value.nodes == {
            "com.example.Blur": ["a"],
            "com.example.Fade": ["b"],
        }
        assert 'framework="onnx"' in str(caught.value)

    def test_overrides(self):
        rules = {"a": rf.SlidingWindow(kernel_size=5), "b": "elementwise"}
        assert numbers(self.model(), overrides=rules)[0] == [7, 7]

    def test_registered(self, monkeypatch):
        for name in ("Blur", "Fade"):
            monkeypatch.setitem(OPS, f"com.example.{name}", None)
            rule = rf.SlidingWindow(kernel_size=3, stride=2)
            rf.register_op(f"com.example.{name}", rule, framework="onnx")
        assert numbers(self.model()) == ([15, 15], [4, 4], [0, 0])


class TestInputsAndOutputs:
    def test_single_numbers_are_no_images(self):
        inputs = {**IMAGE, "rate": ("float32", ())}
        nodes = [conv("x", "a"), node("Mul", ["a", "rate"], ["y"])]
        model = model_of(nodes, inputs, ["y"], [KERNEL])
        field = rf.compute_receptive_field(model)
        assert (field.input, field.size.tolist()) == ("x", [3, 3])

    def test_several_outputs_are_listed_with_their_layers(self):
        path = Path(__file__).parent / "data" / "onnx" / "yolo.onnx.xz"
        with pytest.raises(NodeNotFoundError, match=r"'conv2d_46' \('heads\.0', "):
            rf.compute_receptive_field(path)
