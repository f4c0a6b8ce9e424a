"""What it costs to compute a tensor: floating-point operations and parameters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from receptive_field.errors import GraphError, UnsupportedOpsError
from receptive_field.graph.graph import Graph, Tensor, topological_order
from receptive_field.graph.sizes import Size
from receptive_field.inference import Inference
from receptive_field.layout import Resolution
from receptive_field.ops import Call, rule_of
from receptive_field.ops.registry import Flops
from receptive_field.question import Options, Question
from receptive_field.sources import load
from receptive_field.sources.model import Model


@dataclass(frozen=True, slots=True)
class Cost:
    """What a part of a network costs, for one example.

    Attributes:
      flops: floating-point operations; a multiply-add is two.
      macs: the multiply-adds among them (multiply-accumulates).
      profiler_flops: what TensorFlow's profiler counts, which leaves out some ops.
      parameters: how many trained numbers are read, each counted once.
    """

    flops: int = 0
    macs: int = 0
    profiler_flops: int = 0
    parameters: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.flops + other.flops,
            self.macs + other.macs,
            self.profiler_flops + other.profiler_flops,
            self.parameters + other.parameters,
        )


@dataclass(frozen=True, slots=True)
class Costs(Mapping[str, Cost]):
    """Costs by layer (of a Keras model) or node (of a graph), in topological order.

    Layers have the costs of all that is computed since the layers before. A layer that
    is called twice has its parameters in the first call.

    Attributes:
      total: the cost of the whole model: that of all its layers, and of what comes
        after the last one.
      unprofiled: op type -> floating-point operations that the profiler leaves out, as
        it has no formula for them.
    """

    _costs: Mapping[str, Cost]
    _model: Model
    _by_node: Mapping[int, Cost]
    total: Cost
    unprofiled: Mapping[str, int] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Cost:
        return self._costs[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._costs)

    def __len__(self) -> int:
        return len(self._costs)

    def up_to(self, output: Any) -> Cost:
        """The cost of all that a tensor (by name, or a layer) is computed from.

        Raises:
          ReceptiveFieldError: if there is none of this name.
        """
        _, (index, _) = self._model.find(output)
        order, _ = topological_order(self._model.graph, [index])
        return _sum(self._by_node.get(i, Cost()) for i in order)


def compute_costs(
    model: Any,
    *,
    output: Any = None,
    input: Any = None,
    input_resolution: Resolution = None,
    signature: str | None = None,
) -> Costs:
    """Floating-point operations, multiply-adds and parameters of a model.

    They are counted as TensorFlow's profiler does (option ``float_operation``): a
    multiply-add is two operations, an elementwise op is one for each element, functions
    such as exp count nothing. `Cost.profiler_flops` is what the profiler counts;
    `Cost.flops` counts, by the same convention, also what it has no formula for:
    Einsum, resizes, batch normalisation, three-dimensional pooling, fused ops.

    Everything that the output is computed from counts, all branches of a condition
    included. A batch of unknown size counts as one example.

    Args:
      model, input, signature: as in `compute_receptive_field`.
      output: the tensor that is computed; all outputs of the model if None.
      input_resolution: the size of the input's spatial axes, ``[height, width]`` for
        images; None for what the graph says.

    Returns:
      A mapping from the names of layers (Keras) or nodes to what they cost, with the
      ``total``.

    Raises:
      ReceptiveFieldError: if the model cannot be read, a size is not known, an op has
        no rule, or a loop runs an unknown number of rounds.

    >>> import receptive_field as rf
    >>> costs = rf.compute_costs(rf.EXAMPLE_GRAPH, input_resolution=[299, 299])
    >>> costs.total.parameters
    54276192
    """
    loaded = load(model, signature)
    outputs, inference = _prepared(loaded, output, input, input_resolution)
    graph = loaded.graph
    order, closing = topological_order(graph, [tensor[0] for tensor in outputs])
    if closing:
        raise GraphError(
            f"the cost of a loop depends on how many rounds it runs, which the graph "
            f"does not say: {graph.nodes[closing[0][0]].name!r}."
        )
    missing: dict[str, list[str]] = {}
    for node in (graph.nodes[index] for index in order):
        if rule_of(node) is None:
            missing.setdefault(node.op, []).append(node.name)
    if missing:
        raise UnsupportedOpsError(missing)
    flops = {index: _flops(graph, index, inference) for index in order}
    weights = _weights(graph, order, inference)
    by_node: dict[int, Cost] = {}
    unprofiled: dict[str, int] = {}
    for index in order:
        counted, parameters = flops[index], weights.get(index, 0)
        profiled = int(counted.profiled or 0)  # type: ignore[arg-type]
        total, products = _number(counted.total), _number(counted.multiply_adds)
        cost = Cost(total, products, profiled, parameters)
        if counted.profiled is None and total:
            op = graph.nodes[index].op
            unprofiled[op] = unprofiled.get(op, 0) + total
        if cost != Cost():
            by_node[index] = cost
    if loaded.layers:
        named = _by_layer(loaded, by_node, set(order))
    else:
        named = {graph.nodes[index].name: cost for index, cost in by_node.items()}
    return Costs(named, loaded, by_node, _sum(by_node.values()), unprofiled)


def _prepared(
    model: Model, output: Any, input: Any, resolution: Resolution
) -> tuple[list[Tensor], Inference]:
    """The outputs, and what is known of the graph with a batch of one."""
    outputs = None if output is None else [model.find(output)[1]]
    if input is None and resolution is None and model.inputs:
        known, inputs = Inference(model.graph), list(model.inputs.values())
        outputs = outputs or list(model.outputs.values())
    else:
        things = [output] if output is not None or not model.outputs else None
        options = Options(input_resolution=resolution)
        question = Question.ask(model, input, things, options)
        known, inputs = question.inference, [question.scope.input]
        if outputs is None:
            asked = model.outputs or question.outputs or {}
            outputs = list(asked.values())
    shapes = {tensor: known.shape(tensor) for tensor in inputs}
    given = {
        tensor: (shape[0] if isinstance(shape[0], int) else 1, *shape[1:])
        for tensor, shape in shapes.items()
        if shape
    }
    recorded = bytearray(len(model.graph))
    for index in _descendants(model.graph, [tensor[0] for tensor in given]):
        recorded[index] = 1
    return outputs, Inference(model.graph, given, recorded)


def _descendants(graph: Graph, starts: Sequence[int]) -> set[int]:
    """The nodes that read something of these, and these."""
    order, _ = topological_order(graph, range(len(graph)))
    found = set(starts)
    for index in order:
        if any(tensor[0] in found for tensor in graph.nodes[index].inputs):
            found.add(index)
    return found


def _flops(graph: Graph, index: int, inference: Inference) -> Flops:
    node = graph.nodes[index]
    op = rule_of(node)
    if op is None or op.flops is None:
        return Flops(0)
    flops = op.flops(Call(node, inference))
    if not all(isinstance(n, (int, Fraction)) or n is None for n in flops):
        raise GraphError(
            f"the cost of {node.op} node {node.name!r} depends on a size that is not "
            "known. Give input_resolution, or name the input whose sizes are known."
        )
    return flops


def _number(size: Size) -> int:
    assert isinstance(size, int)
    return size


def _weights(
    graph: Graph, order: Sequence[int], inference: Inference
) -> dict[int, int]:
    """How many parameters come in at which node: those of variables, if there are any,
    else those of constants, as in a frozen graph."""
    variables: dict[Tensor, tuple[int, int]] = {}
    constants: dict[Tensor, tuple[int, int]] = {}
    for index in sorted(order):  # The first reader, as the graph lists them.
        node = graph.nodes[index]
        op = rule_of(node)
        if op is None or op.weights is None:
            continue
        size = op.weights(Call(node, inference))
        if not isinstance(size, int):
            raise GraphError(
                f"the shape of the variable at {node.op} node {node.name!r} is not "
                "known. Save the graph with shapes (as_graph_def(add_shapes=True))."
            )
        source = _behind(graph, (index, 0))
        below = rule_of(graph.nodes[source[0]])
        frozen = below is not None and below.values is not None
        (constants if frozen else variables).setdefault(source, (index, size))
    found = variables or constants
    return {index: size for index, size in found.values() if size}


def _behind(graph: Graph, tensor: Tensor) -> Tensor:
    """The tensor that is read through ops that hand on a single input."""
    while len(graph.nodes[tensor[0]].inputs) == 1:
        tensor = graph.nodes[tensor[0]].inputs[0]
    return tensor


def _by_layer(
    model: Model, by_node: Mapping[int, Cost], needed: set[int]
) -> dict[str, Cost]:
    """To each layer what its output needs, and no layer before it needed."""
    graph = model.graph
    assigned = bytearray(len(graph))
    found = {}
    for name, (output, _) in model.layers.items():
        cost = Cost()
        stack = [output] if output in needed else []
        while stack:
            index = stack.pop()
            if not assigned[index]:
                assigned[index] = 1
                cost += by_node.get(index, Cost())
                stack += [tensor[0] for tensor in graph.nodes[index].inputs]
        found[name] = cost
    return found


def _sum(costs: Iterable[Cost]) -> Cost:
    return sum(costs, start=Cost())


__all__ = ["Cost", "Costs", "compute_costs"]
