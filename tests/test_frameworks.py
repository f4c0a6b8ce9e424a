"""A made-up framework with op names, attributes and a layout of its own."""

from dataclasses import dataclass, field
from typing import Any

import pytest

import receptive_field as rf
from receptive_field.graph.graph import ABSENT, Graph
from receptive_field.graph.model import Model
from receptive_field.rules.elementwise import ELEMENTWISE
from receptive_field.rules.op import Op
from receptive_field.rules.windows import Sliding, sliding_windows


@dataclass
class Layer:
    name: str
    op: str
    input: list[str] = field(default_factory=list)
    numbers: dict[str, Any] = field(default_factory=dict)


class MadeUp:
    name = "made up"

    def attribute(self, definition, name):
        return definition.numbers.get(name, ABSENT)

    def inputs(self, definition):
        return definition.input

    def resolve(self, graph, text, frame):
        return None

    def recorded_shapes(self, call):
        return []

    def placeholders(self, graph):
        return graph.of_ops("Image")

    def is_of_training(self, node):
        return False

    def decoders(self, graph):
        return []

    def batch_moments(self, graph, knowledge, among):
        return set()

    def default_layout(self, rank):
        return tuple(range(2, rank))

    def runner(self):
        raise rf.ReceptiveFieldError("nothing runs a network that is made up.")


def windows(call):
    shape = call.known_shape(0, 4)
    kernel, stride = call.number("kernel"), call.number("stride", 1)
    pads = call.numbers("pads")
    paddings = None if pads is None else [tuple(pads)] * 2
    found = sliding_windows(
        shape[2:], *([n] * 2 for n in (kernel, stride, 1)), paddings
    )
    return Sliding(shape, (2, 3), found)


TABLE = {
    "Image": Op(None, lambda call: [call.named_shape(call.attribute("size"))]),
    "Add": ELEMENTWISE,  # TensorFlow has an op of this name, too.
    "Pad": Op(  # And one of this, which reads its paddings from an input.
        lambda call, output: [windows(call).relation()],
        lambda call: [tuple(windows(call).sizes())],
        layout=lambda call: (0, (2, 3)),
        windows=lambda call: windows(call).windows,
    ),
}


@pytest.mark.parametrize("size", [16, None])
def test_a_graph_of_another_framework_is_analysed(size):
    layers = [
        Layer("image", "Image", numbers={"size": (1, 3, size, size)}),
        Layer("one", "Pad", ["image"], {"kernel": 5, "stride": 2, "pads": [2, 2]}),
        Layer("two", "Pad", ["image"], {"kernel": 3, "stride": 2, "pads": [1, 1]}),
        Layer("sum", "Add", ["one", "two"]),
        Layer("last", "Pad", ["sum"], {"kernel": 3}),
    ]
    graph = Graph(layers, rules=TABLE, framework=MadeUp())
    found = rf.compute_receptive_field(Model(graph, layers))
    assert (found.output, found.aligned) == ("last", True)
    assert list(found) == [9, 9, 2, 2, 4, 4]
    assert found.axes[0].output_size == (None if size is None else 8)
    changed = rf.compute_receptive_field(
        Model(graph, layers),
        overrides={"two": rf.SlidingWindow(7, 2, 3, channels_first=True)},
    )
    assert list(changed) == [11, 11, 2, 2, 5, 5]
    assert "aligned at every size" in str(rf.resolutions(Model(graph, layers)))
    layers[-1].op = "Conv2D"  # TensorFlow's rules do not answer for it.
    unknown = Model(Graph(layers, rules=TABLE, framework=MadeUp()), layers)
    assert rf.unsupported_ops(unknown) == {"Conv2D": ["last"]}


def test_what_a_framework_cannot_run_is_not_measured():
    layers = [Layer("image", "Image", numbers={"size": (1, 3, 8, 8)})]
    model = Model(Graph(layers, rules=TABLE, framework=MadeUp()), layers)
    with pytest.raises(rf.ReceptiveFieldError, match="nothing runs a network"):
        rf.measure_receptive_field(model, output="image", input="image")
    with pytest.raises(rf.ReceptiveFieldError, match="PyTorch, not for 'Model'"):
        rf.measure_effective_receptive_field(model)
