"""What it costs to compute a tensor: floating-point operations and parameters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from operator import attrgetter
from typing import Any

from receptive_field.errors import (
    GraphError,
    NoSuchEntryError,
    UnsupportedOpsError,
    nearest,
)
from receptive_field.graph.graph import (
    Frame,
    Graph,
    Node,
    Tensor,
    strongly_connected,
    topological_order,
)
from receptive_field.graph.sizes import Size, Symbolic, product
from receptive_field.inference import Inference
from receptive_field.layout import Resolution
from receptive_field.question import Options, Question
from receptive_field.rules.op import Call, rule_at
from receptive_field.sources import load
from receptive_field.sources.model import Model


@dataclass(frozen=True, slots=True)
class Cost:
    """What a part of a network costs, for the batch that it states, or one example.

    Attributes:
      flops: floating-point operations; a multiply-add is two.
      macs: the multiply-adds among them (multiply-accumulates).
      profiler_flops: what TensorFlow's profiler counts, which leaves out some ops.
      parameters: how many trained numbers are read, each counted once. In a graph
        without variables, such as a frozen one, these are its constants of a floating
        type that have axes: an upper bound, as some may not have been trained.
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

    def in_a_loop(self, rounds: int) -> Cost:
        """That of so many rounds, of which the profiler sees nothing."""
        return Cost(self.flops * rounds, self.macs * rounds, 0, self.parameters)


FREE = Cost()
_PARTS = [attrgetter(part.name) for part in fields(Cost)]


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

    _costs: Mapping[str, Cost] = field(repr=False)
    _model: Model = field(repr=False)
    _by_node: Mapping[int, Cost] = field(repr=False)
    total: Cost
    unprofiled: Mapping[str, int] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Cost:
        if name not in self._costs:
            raise NoSuchEntryError(
                f"there is no cost of {name!r}. {nearest(str(name), self._costs)}"
            )
        return self._costs[name]

    def __contains__(self, name: object) -> bool:
        return name in self._costs

    def __iter__(self) -> Iterator[str]:
        return iter(self._costs)

    def __len__(self) -> int:
        return len(self._costs)

    def up_to(self, output: Any) -> Cost:
        """The cost of all that a tensor (by name, or a layer) is computed from.

        Raises:
          ReceptiveFieldError: if there is none of this name.
        """
        _, tensor = self._model.find(output)
        graph = self._model.graph
        order, _ = topological_order(graph, [tensor[0]])
        (cost,) = totals(graph, order, self._by_node, [tensor])
        return cost


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
    included, for the batch that the graph states; one of unknown size is one example.
    A dilated convolution that is written as SpaceToBatch, a convolution and
    BatchToSpace costs what the layer itself computes; the profiler counts what the
    blocks are filled up with, too. Of a loop that is counted up to a known number, such
    as a recurrent layer of known length, all rounds count, of which the profiler sees
    none. Parameters are those of the layer, or the node on the way from the input, that
    reads them first.

    Args:
      model, input, signature: as in `compute_receptive_field`.
      output: the tensor that is computed; all outputs of the model if None.
      input_resolution: the size of the input's spatial axes, ``[height, width]`` for
        images; None for what the graph says. If there are several inputs and none is
        named, all have it.

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
    outputs, inference, starts = _prepared(loaded, output, input, input_resolution)
    order, closing = topological_order(loaded.graph, [t[0] for t in outputs])
    by_node = node_costs(loaded.graph, order, inference)
    if closing:
        for index, rounds in _rounds(loaded.graph, order, closing, inference).items():
            if index in by_node:
                by_node[index] = by_node[index].in_a_loop(rounds)
    frozen = not loaded.layers  # A Keras model has all its weights in variables.
    sizes = _weights(loaded.graph, order, inference, frozen)
    users = _users(loaded.graph, order, starts) if frozen else {}
    for index, size in sizes.items():
        user = users.get(index, index)
        cost = by_node.get(user, FREE)
        by_node[user] = replace(cost, parameters=cost.parameters + size)
    unprofiled: dict[str, int] = {}
    for index, cost in by_node.items():
        node = loaded.graph.nodes[index]
        if cost.flops and not cost.profiler_flops:
            unprofiled[node.op] = unprofiled.get(node.op, 0) + cost.flops
    if loaded.layers:
        named = _by_layer(loaded, by_node, set(order))
    else:
        nodes = loaded.graph.nodes
        named = {nodes[i].name: by_node[i] for i in order if i in by_node}
    return Costs(named, loaded, by_node, _sum(by_node.values()), unprofiled)


def node_costs(
    graph: Graph, order: Iterable[int], inference: Inference
) -> dict[int, Cost]:
    """What those nodes of the order cost that compute something."""
    missing: dict[str, list[str]] = {}
    by_node: dict[int, Cost] = {}
    for index in order:
        op = rule_at(graph, index)
        if op is None:
            node = graph.nodes[index]
            missing.setdefault(node.op, []).append(node.name)
        elif op.flops is not None and not missing:
            node = graph.nodes[index]
            flops = op.flops(Call(node, inference))
            if Symbolic in map(type, flops):
                raise _unknown(node)
            total, products, profiled = flops
            by_node[index] = Cost(total, products, int(profiled or 0))  # type: ignore[arg-type]
        if op is not None and op.folded is not None and not missing:
            folded = op.folded(Call(graph.nodes[index], inference))
            if folded is not None:
                _unfold(*folded, inference, by_node)
    if missing:
        raise UnsupportedOpsError(missing)
    return by_node


def _unfold(
    node: Node, wanted: Size, inference: Inference, by_node: dict[int, Cost]
) -> None:
    """Takes off what a layer computes only as its positions are folded into blocks."""
    computed = product(inference.shape((node.index, 0)) or ())
    if node.index not in by_node:
        return
    if isinstance(wanted, int) and isinstance(computed, int) and computed:
        cost = by_node[node.index]
        by_node[node.index] = replace(
            cost,
            flops=cost.flops * wanted // computed,
            macs=cost.macs * wanted // computed,
        )


def totals(
    graph: Graph,
    order: Sequence[int],
    by_node: Mapping[int, Cost],
    outputs: Sequence[Tensor],
) -> list[Cost]:
    """For each output, the cost of all that it is computed from.

    Args:
      graph, by_node: as in and from `node_costs`.
      order: all that the outputs are computed from, in topological order.
      outputs: some of the nodes in the order.
    """
    needed_by = [0] * len(graph)  # Bit i: output i needs the node.
    for bit, (index, _) in enumerate(outputs):
        needed_by[index] |= 1 << bit
    groups: dict[int, list[Cost]] = {}
    for index in reversed(order):
        bits = needed_by[index]
        for below, _ in graph.inputs[index]:
            needed_by[below] |= bits
        if index in by_node:
            groups.setdefault(bits, []).append(by_node[index])
    together = {bits: _sum(costs) for bits, costs in groups.items()}
    return [
        _sum(cost for bits, cost in together.items() if bits >> bit & 1)
        for bit in range(len(outputs))
    ]


def _prepared(
    model: Model, output: Any, input: Any, resolution: Resolution
) -> tuple[list[Tensor], Inference, Iterable[Tensor]]:
    """The outputs, what is known of the graph with a batch of one, and the inputs."""
    outputs = list(model.outputs.values())
    if output is not None:
        outputs = [model.find(output)[1]]
    known = Inference(model.graph)
    shapes = {tensor: known.shape(tensor) for tensor in model.inputs.values()}
    things = [input]
    if resolution is not None and input is None and len(model.inputs) > 1:
        things = list(model.inputs)  # Of this size are all.
    if resolution is not None or not outputs or not shapes:
        options = Options(input_resolution=resolution)
        ends = [output] if output is not None or not model.outputs else None
        for thing in things:
            question = Question.ask(model, thing, ends, options)
            start = question.scope.input
            shapes[start] = question.inference.shape(start)
            outputs = outputs or list((question.outputs or {}).values())
    given = {
        tensor: (shape[0] if isinstance(shape[0], int) else 1, *shape[1:])
        for tensor, shape in shapes.items()
        if shape
    }
    recorded = bytearray(len(model.graph))
    for tensor in given:
        recorded[tensor[0]] = 1
    for index in topological_order(model.graph, range(len(model.graph)))[0]:
        if any(recorded[below] for below, _ in model.graph.inputs[index]):
            recorded[index] = 1
    return outputs, Inference(model.graph, given, recorded), shapes


def _unknown(node: Node) -> GraphError:
    return GraphError(
        f"the cost of {node.op} node {node.name!r} depends on a size that is not "
        "known. Give all sizes of the input with input_resolution."
    )


def _weights(
    graph: Graph, order: Sequence[int], inference: Inference, frozen: bool
) -> dict[int, int]:
    """How many parameters come in at which node: those of variables, if there are any,
    else those of constants, where the graph may be ``frozen``."""
    variables: dict[Tensor, tuple[int, int]] = {}
    constants: dict[Tensor, tuple[int, int]] = {}
    for index in sorted(order):  # The first reader, as the graph lists them.
        op = rule_at(graph, index)
        if op is None or op.weights is None:
            continue
        node = graph.nodes[index]
        size = op.weights(Call(node, inference))
        if not isinstance(size, int):
            raise GraphError(
                f"the shape of the variable at {node.op} node {node.name!r} is not "
                "known. Save the graph with shapes (as_graph_def(add_shapes=True))."
            )
        source = _behind(graph, node.inputs[0] if node.inputs else (index, 0))
        below = rule_at(graph, source[0])
        constant = below is not None and below.values is not None
        (constants if constant else variables).setdefault(source, (index, size))
    found = variables or (constants if frozen else {})
    return {index: size for index, size in found.values() if size}


def _rounds(
    graph: Graph,
    order: Sequence[int],
    closing: Iterable[tuple[int, int]],
    inference: Inference,
) -> dict[int, int]:
    """For each node in loops, how often it runs.

    Raises:
      GraphError: if the graph does not say.
    """
    times: dict[str, int] = {}  # By what stands before the names in a loop's functions.
    variables: set[int] = set()
    for index in order:
        op = rule_at(graph, index)
        if op is not None and op.rounds is not None:
            node = graph.nodes[index]
            rounds = op.rounds(Call(node, inference))
            if rounds is None:
                raise _endless(node)
            times |= {f"{node.name}/body/": rounds, f"{node.name}/cond/": rounds + 1}
            variables.update(below for below, _ in node.inputs[1:])
    for group in strongly_connected(graph, order, closing):
        if len(group) > 1 and not variables.intersection(group):
            raise _endless(graph.nodes[group[0]])
    found: dict[int, int] = {}
    for index in order:
        frame: Frame | None = graph.nodes[index].frame
        while frame is not None:
            if frame.scope in times:
                found[index] = found.get(index, 1) * times[frame.scope]
            frame = frame.caller
    return found


def _endless(node: Node) -> GraphError:
    return GraphError(
        "the cost of a loop depends on how many rounds it runs, which the graph does "
        f"not say: {node.name!r}."
    )


def _users(
    graph: Graph, order: Sequence[int], inputs: Iterable[Tensor]
) -> dict[int, int]:
    """For each node that depends on no input, the first one that does and reads it, at
    once or by way of others."""
    place = {index: i for i, index in enumerate(order)}
    depends = {tensor[0] for tensor in inputs}
    for index in order:
        if any(below in depends for below, _ in graph.inputs[index]):
            depends.add(index)
    users: dict[int, int] = {}
    for index in reversed(order):
        user = index if index in depends else users.get(index)
        for below, _ in graph.inputs[index]:
            if user is not None and below not in depends:
                users[below] = min(user, users.get(below, user), key=place.__getitem__)
    return users


def _behind(graph: Graph, tensor: Tensor) -> Tensor:
    """The tensor that is read through ops that hand on a single input."""
    while len(graph.inputs[tensor[0]]) == 1:
        tensor = graph.inputs[tensor[0]][0]
    return tensor


def _by_layer(
    model: Model, by_node: Mapping[int, Cost], needed: set[int]
) -> dict[str, Cost]:
    """To each layer what its output needs, and no layer before it needed."""
    graph = model.graph
    assigned = bytearray(len(graph))
    found = {}
    for name, (output, _) in model.layers.items():
        cost = FREE
        stack = [output] if output in needed else []
        while stack:
            index = stack.pop()
            if not assigned[index]:
                assigned[index] = 1
                cost += by_node.get(index, FREE)
                stack += [tensor[0] for tensor in graph.inputs[index]]
        found[name] = cost
    return found


def _sum(costs: Iterable[Cost]) -> Cost:
    added = list(costs)
    return Cost(*(sum(map(part, added)) for part in _PARTS))


__all__ = ["Cost", "Costs", "compute_costs"]
