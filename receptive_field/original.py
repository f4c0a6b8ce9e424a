"""The original library's interface: the same names and arguments, in the same order.

These functions take GraphDefs and describe two axes, x (width) and y (height). They
raise an error if a graph is misaligned, and hide both effective paddings if any padding
is unknown. `receptive_field.compute_receptive_field` has neither limitation.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from receptive_field.algebra.sizes import Size, unknown
from receptive_field.errors import ReceptiveFieldError
from receptive_field.frameworks import load
from receptive_field.frameworks.tensorflow.ops import OPS, TENSORFLOW
from receptive_field.graph.graph import Graph, topological_order
from receptive_field.graph.model import Model
from receptive_field.network.layout import Resolution
from receptive_field.questions.later import LATER
from receptive_field.questions.question import Options, Question
from receptive_field.relations.relation import (
    SAME,
    follow,
    source,
)
from receptive_field.results.field import ReceptiveField
from receptive_field.rules.inference import Inference
from receptive_field.rules.op import Call, Op, Shape, Window, rule_of


def compute_receptive_field_from_graph_def(
    graph_def: Any,
    input_node: Any,
    output_node: Any,
    stop_propagation: Sequence[str] | str | None = None,
    input_resolution: Sequence[int] | None = None,
) -> ReceptiveField:
    """Computes the receptive field of one node of a GraphDef with respect to another.

    Args:
      graph_def: a GraphDef (or anything that `compute_receptive_field` takes).
      input_node: name of the input node.
      output_node: name of the output node.
      stop_propagation: node inputs whose name starts with one of these strings are not
        followed.
      input_resolution: ``[height, width]`` of the input. None means unknown, even if
        the placeholder has a static shape.

    Returns:
      A receptive field that unpacks to ``rf_size_x, rf_size_y, effective_stride_x,
      effective_stride_y, effective_padding_x, effective_padding_y``. If the padding of
      any layer between the two nodes is unknown, both paddings are None, and alignment
      is not checked.

    Raises:
      ReceptiveFieldError: if the graph is misaligned or cannot be analysed. This error
        is a ValueError.

    >>> import receptive_field as rf
    >>> output = "InceptionResnetV2/Conv2d_7b_1x1/Relu"
    >>> rf_x, rf_y, stride_x, stride_y, padding_x, padding_y = (
    ...     rf.compute_receptive_field_from_graph_def(
    ...         rf.EXAMPLE_GRAPH, "input_image", output))
    >>> rf_x, stride_x, padding_x
    (3039, 32, 1482)
    """
    resolution: Resolution = "unknown" if input_resolution is None else input_resolution
    options = Options(resolution, stop_propagation)
    question = Question.ask(load(graph_def), input_node, [output_node], options, LATER)
    field = question.answer()
    if any(axis.map.is_floating for axis in field.axes):
        return dataclasses.replace(field, hide_padding=True)
    question.check_aligned(field)
    return field


class NodeInfo(NamedTuple):
    """The information about one node that `get_compute_order` returns."""

    order: int
    """The length of the longest path to this node from a node without inputs, or from
    the input node, whose own order is 0."""
    node: Any
    """The NodeDef."""
    input_size: list[int] | None
    """``[height, width]`` of the node's first input, or None if unknown."""
    output_size: list[int] | None
    """``[height, width]`` of the node's output, or None if unknown."""


def get_compute_order(
    graph_def: Any,
    input_node_name: str = "",
    input_node_size: Sequence[int] | None = None,
) -> tuple[dict[str, NodeInfo], dict[str, Any]]:
    """Returns the order in which the nodes of a graph are computed.

    Args:
      graph_def: a GraphDef.
      input_node_name: name of the input node, whose order is 0.
      input_node_size: ``[height, width]`` of the input. None means unknown.

    Returns:
      Two dictionaries: from node names to `NodeInfo`, and from node names to NodeDefs.

    Raises:
      ReceptiveFieldError: if there is no such input node.
    """
    model = load(graph_def)
    graph = model.graph
    names = {node.name: node.definition for node in graph}
    start = graph.node(input_node_name).index if input_node_name else None
    order, _ = topological_order(graph, range(len(graph)))
    depth = dict.fromkeys(order, 0)
    for index in order:
        read = [depth[i] + 1 for i, _ in graph.nodes[index].inputs if i in depth]
        depth[index] = 0 if index == start else max(read, default=0)
    sizes = _spatial_sizes(model, input_node_name, input_node_size)
    infos = {}
    for index in sorted(order, key=depth.__getitem__):
        node = graph.nodes[index]
        first = sizes.get(node.inputs[0][0]) if node.inputs else None
        infos[node.name] = NodeInfo(
            depth[index], node.definition, first, sizes.get(index)
        )
    return infos, names


def _spatial_sizes(
    model: Model, input_name: str, resolution: Sequence[int] | None
) -> dict[int, list[int]]:
    """Returns ``[height, width]`` of each node's first output, where it is known."""
    if not input_name or resolution is None:
        return {}
    question = Question.ask(model, input_name, None, Options(resolution))
    sizes = {}
    for index in (question.network.input[0], *question.network.order):
        try:
            shape = question.network.shape((index, 0))
        except ReceptiveFieldError:
            continue  # The size of this node is unknown.
        if shape is not None and len(shape) == question.rank:
            pair = [shape[axis] for axis in question.spatial]
            if all(isinstance(size, int) for size in pair):
                sizes[index] = [int(size) for size in pair]  # type: ignore[arg-type]
    return sizes


LayerParams = tuple[int | None, ...]
"""Eight numbers; see `get_layer_params`."""


def get_layer_params(
    node: Any,
    name_to_node: Mapping[str, Any],
    input_resolution: Sequence[int] | None = None,
    force: bool = False,
) -> LayerParams:
    """Returns the kernel size, stride and padding of one layer.

    Args:
      node: the NodeDef of the layer.
      name_to_node: NodeDefs by name, as returned by `get_compute_order`.
      input_resolution: ``[height, width]`` of this layer's input. None means unknown.
      force: whether to return a tuple of eight None, instead of raising an error, for
        an op that is unknown or has no such parameters.

    Returns:
      ``(kernel_x, kernel_y, stride_x, stride_y, padding_x, padding_y,
      total_padding_x, total_padding_y)``. The size of a dilated kernel is the number of
      positions that it spans. An elementwise op has size 1, stride 1 and no padding. A
      padding is None if it depends on an unknown size.

    Raises:
      ReceptiveFieldError: if the op is unknown or has no such parameters.
    """
    definitions = dict(name_to_node)
    definitions[node.name] = node
    graph = Graph([*definitions.values()], rules=OPS, framework=TENSORFLOW)
    layer = graph.node(node.name)
    op = rule_of(layer)
    windows: Sequence[Window] | None = None
    if op is not None:
        given = _layer_shape(graph, layer.index, input_resolution)
        call = Call(layer, Inference(graph, given))
        if op.windows is not None:
            windows = op.windows(call)[-2:]
        elif op.relations is None or _is_elementwise(op, call):
            windows = [Window(1, 1, 0, 0)] * 2
    if windows is None or len(windows) != 2:
        if force:
            return (None,) * 8
        what = "is unknown" if op is None else "has no kernel, stride and padding"
        raise ReceptiveFieldError(
            f"the op {node.op} of node {node.name!r} {what}. Give force=True to get "
            "None instead of this error."
        )
    y, x = windows
    return (
        *(x.extent, y.extent, x.stride, y.stride),
        *(x.padding, y.padding, x.total_padding, y.total_padding),
    )


def _layer_shape(
    graph: Graph, index: int, resolution: Sequence[int] | None
) -> dict[tuple[int, int], Shape]:
    """Maps the layer's data input to its shape at this resolution.

    Sizes that the resolution leaves open are unknown.
    """
    node = graph.nodes[index]
    op = rule_of(node)
    if op is None or op.layout is None:
        return {}
    call = Call(node, Inference(graph))
    number, axes = op.layout(call)
    shape: list[Size] = list(
        call.shape(number) or (unknown(f"axis {a}") for a in range(max(axes) + 2))
    )
    for axis, size in zip(axes, resolution or (None,) * len(axes), strict=False):
        shape[axis] = unknown(f"axis {axis} of any size") if size is None else int(size)
    return {node.inputs[number]: tuple(shape)}


def _is_elementwise(op: Op, call: Call) -> bool:
    """Returns whether the op reads some input position by position.

    Only the positions along height and width are considered.
    """
    for relation in call.relations(op, 0):
        if relation == SAME:
            return True
        if relation is not None and len(relation.axes) == 4:
            spatial = [source(axis) for axis in relation.axes[1:3]]
            if spatial == [source(follow(1)), source(follow(2))]:
                return True
    return False
