"""Finds how much of the network's input the input of each layer sees.

There are two results: one along the path that sees the least, and one along all local
paths.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from receptive_field.algebra.axis_map import INFINITY, NONE, AxisMap, Extended
from receptive_field.graph.graph import Tensor
from receptive_field.network.walk import Read, ascend, reads, tensors_below
from receptive_field.passes.regions import Forward
from receptive_field.progress import tell
from receptive_field.questions.question import Question
from receptive_field.relations.joins import settled, through
from receptive_field.relations.relation import SAME, Relation, ranked, source
from receptive_field.results.resolutions import LayerReach
from receptive_field.rules.op import Call, rule_of


def followed(
    relation: Relation | None, question: Question, axis: int
) -> tuple[int | None, AxisMap]:
    """Returns the axis of a tensor that an axis of the input follows, and the map."""
    if relation is None:
        return None, NONE
    return source(ranked(relation, question.rank).axes[axis])


_Relations = Callable[[Tensor], Relation | None]
"""Returns how a tensor depends on the input along some of the paths."""


class _Smallest:
    """The domain of `ascend` that finds paths that see the least of an input axis."""

    def __init__(self, question: Question, axis: int) -> None:
        self._question, self._axis = question, axis

    def up(self, read: Read, value: Relation) -> Relation | None:
        """Returns the path, continued over an edge; None if the edge ends it."""
        path = through(read.rule, value)
        return None if path is None else settled(path)

    def united(self, tensor: Tensor, one: Relation, two: Relation) -> Relation:
        """Returns the path that sees less."""
        return two if self._extent(two) < self._extent(one) else one

    def ready(self, tensor: Tensor, value: Relation) -> Relation:
        """Returns the path as it is."""
        return value

    def widened(self, before: Relation, now: Relation) -> Relation:
        """Returns the path of the last iteration; it sees less than earlier ones."""
        return now

    def _extent(self, relation: Relation) -> Extended:
        return followed(relation, self._question, self._axis)[1].size() or INFINITY


def _smallest_paths(question: Question, axis: int) -> dict[Tensor, Relation]:
    """Returns, for each tensor, the path that sees the least of an input axis."""
    asked = list((question.outputs or {}).values())
    found, _ = ascend(question.network, SAME, _Smallest(question, axis), asked)
    return found


def layer_reaches(question: Question, found: Forward) -> tuple[LayerReach, ...]:
    """Returns how much the input of each convolution and pooling layer sees, in order.

    Layers whose kernel has size one on every axis are left out, and so are layers in
    branches that no output is computed from.
    """
    network = question.network
    asked = question.outputs or {}
    needed = set(network.order)
    if asked:
        needed = network.known.nodes_read(asked.values())
    axes = question.spatial[::-1]
    of_smallest: list[_Relations] = [
        _smallest_paths(question, axis).get for axis in axes
    ]
    of_largest: list[_Relations] = [found.local] * len(axes)
    names = _layer_names(question)
    layers = []
    for place, index in enumerate(network.order):
        tell("following each layer", place / len(network.order))
        node = network.graph.nodes[index]
        op = rule_of(node)
        if op is None or op.layout is None or not (op.windows or op.products):
            continue
        if (index, 0) not in found.state:
            continue
        if index not in needed:
            continue
        number, places = op.layout(Call(node, network.known))
        edges = {read.number: read for read in reads(network, (index, 0))}
        if number not in edges or edges[number].below not in found.state:
            continue
        below, rule = edges[number].below, edges[number].rule
        lies: Sequence[int | None] = places[::-1]
        if len(places) != len(axes):  # Audio is treated as an image with one row.
            lies = [followed(found.state[below], question, axis)[0] for axis in axes]
        kernels = [
            1
            if place is None or place not in places
            else source(rule.axes[place])[1].size()
            for place in lies
        ]
        if max(kernels) == 1:
            continue
        least, most = (
            tuple(
                _reach_of_input(below, of_tensor, question, axis)
                if kernel > 1
                else None
                for axis, kernel, of_tensor in zip(axes, kernels, of_axes, strict=True)
            )
            for of_axes in (of_smallest, of_largest)
        )
        name = names.get(index, node.name)
        layers.append(LayerReach(name, least, most))
    return tuple(layers)


def _reach_of_input(
    tensor: Tensor,
    of_tensor: _Relations,
    question: Question,
    axis: int,
) -> Extended:
    """Returns how many positions of an input axis the input of a layer sees.

    If the layer's input holds these positions on several axes (as around a dilated
    convolution), the result is the one for the tensor below. If necessary, the search
    continues down a chain of nodes with one input. If there is no path to the tensor,
    the result is infinite.
    """
    while True:
        relation = of_tensor(tensor)
        if relation is None:
            return INFINITY
        place, axis_map = followed(relation, question, axis)
        below = question.network.edges(tensor[0])
        if place is not None or axis_map.exact or len(below) != 1:
            return reach_of(relation, question, axis)
        ((_, tensor),) = below


def reach_of(relation: Relation | None, question: Question, axis: int) -> Extended:
    """Returns how many positions a relation sees, or infinity if it sees nothing."""
    return followed(relation, question, axis)[1].size() or INFINITY


def _layer_names(question: Question) -> dict[int, str]:
    """Returns, for each node, the name of the first layer whose output needs the node.

    The result is empty for a model without layers.
    """
    network = question.network
    names: dict[int, str] = {}

    def is_unnamed(tensor: Tensor) -> bool:
        return tensor[0] not in names

    for name, tensor in question.layers.items():
        if network.carries[tensor[0]]:
            names.setdefault(tensor[0], name)
            for index, _ in tensors_below(network, [tensor], is_unnamed):
                names.setdefault(index, name)
    return names
