"""The cost of computing a tensor: floating-point operations and parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from receptive_field.algebra.sizes import Size, Symbolic, product
from receptive_field.budget import within_budget
from receptive_field.errors import (
    GraphError,
    ReceptiveFieldError,
    UnsupportedOpsError,
)
from receptive_field.frameworks import load
from receptive_field.graph.graph import (
    Frame,
    Graph,
    Node,
    Tensor,
    strongly_connected,
    topological_order,
)
from receptive_field.graph.model import Model, nodes_of_layers
from receptive_field.network.layout import Resolution
from receptive_field.questions.question import Options, Question
from receptive_field.results.costs import FREE, Cost, Costs, summed
from receptive_field.rules.inference import Inference
from receptive_field.rules.op import Call, Flops, Shape, rule_at


@within_budget
def compute_costs(
    model: Any,
    *,
    output: Any = None,
    input: Any = None,
    input_resolution: Resolution = None,
    signature: str | None = None,
    trace: bool = False,
    example_inputs: Any = None,
) -> Costs:
    """Counts floating-point operations, multiply-adds and parameters of a model.

    Operations are counted as in TensorFlow's profiler (option ``float_operation``). A
    multiply-add counts as two operations, an elementwise op as one for each element,
    and a function such as exp as zero. `Cost.profiler_flops` is the profiler's figure.
    `Cost.flops` follows the same convention, but also counts ops for which the profiler
    has no formula: Einsum, resizes, batch normalisation, three-dimensional pooling and
    fused ops.

    All nodes that the output needs are counted, including all branches of a condition.
    The batch has the size that the graph states, or one example if that size is
    unknown. A dilated convolution may be written as SpaceToBatch, a convolution and
    BatchToSpace. Its cost is then the cost of the layer itself, without the positions
    that fill up the blocks. The profiler counts these positions, too. If the number of
    iterations of a loop is known, as in a recurrent layer of known length, all
    iterations are counted. Of any other loop, one iteration is counted. The profiler
    counts none. Parameters are counted at the layer that reads them first (in Keras
    models), or at the first node that depends on the input and uses them.

    Args:
      model, input, signature, trace, example_inputs: as in
        `compute_receptive_field`.
      output: the tensor to compute. None means all outputs of the model.
      input_resolution: the size of the input's spatial axes, ``[height, width]`` for
        images. None means the size that the graph states, or that of
        ``example_inputs``. If there are several inputs and none of them is named, all
        inputs have this size.

    Returns:
      A mapping from the names of layers (Keras) or nodes to their costs, with the
      ``total``. If an op has no rule, or its cost depends on more than the size of the
      input, all other nodes are counted, and `Costs.uncounted` says which are not, and
      of which loops only one iteration is counted.

    Raises:
      ReceptiveFieldError: if the model cannot be read, or the cost depends on a size of
        the input that is unknown.

    >>> import receptive_field as rf
    >>> costs = rf.compute_costs(rf.EXAMPLE_GRAPH, input_resolution=[299, 299])
    >>> costs.total.parameters
    54276192
    """
    loaded = load(
        model,
        signature,
        trace=trace,
        resolution=input_resolution,
        example_inputs=example_inputs,
    )
    outputs, inference, starts = _prepared(loaded, output, input, input_resolution)
    order, closing = topological_order(loaded.graph, [t[0] for t in outputs])
    by_node, failed = node_costs(loaded.graph, order, inference)
    loops = _loops(loaded.graph, order, closing, inference)
    if any(map(_is_open, map(inference.shape, starts))):
        for error in (*failed.values(), *loops.endless.values()):
            if isinstance(error, _UnknownSizeError):
                raise GraphError(
                    f"{error} Give all sizes of the input with input_resolution."
                )
            raise error
    for index in by_node.keys() & loops.rounds.keys():
        by_node[index] = by_node[index].in_a_loop(loops.rounds[index])
    _add_parameters(loaded, order, inference, starts, by_node)
    unprofiled: dict[str, int] = {}
    for index, cost in by_node.items():
        node = loaded.graph.nodes[index]
        if cost.flops and not cost.profiler_flops:
            unprofiled[node.op] = unprofiled.get(node.op, 0) + cost.flops
    nodes = loaded.graph.nodes
    errors = failed | loops.endless
    reasons = {nodes[i].name: str(errors[i]) for i in order if i in errors}
    partial = {*failed, *(loops.once & by_node.keys())}
    owner = nodes_of_layers(loaded, set(order)) if loaded.layers and partial else {}
    return Costs(
        _named(loaded, order, by_node),
        loaded,
        by_node,
        summed(by_node.values()),
        unprofiled,
        reasons,
        {owner.get(index, nodes[index].name) for index in partial},
    )


class _UnknownSizeError(GraphError):
    """The cost of a node depends on a size that is unknown."""


def _is_open(shape: Shape) -> bool:
    """Returns whether a size is unknown."""
    return shape is None or any(isinstance(size, Symbolic) for size in shape)


def count_parameters(
    model: Model, *, input: Any = None, input_resolution: Resolution = None
) -> dict[str, int]:
    """Counts the parameters of layers or nodes, as `compute_costs` does.

    No size of the input needs to be known. Nodes that read no parameters are left out.

    Raises:
      ReceptiveFieldError: if the shape of a variable is unknown.
    """
    order, by_node = _parameters_below(model, None, input, input_resolution)
    named = _named(model, order, by_node)
    return {name: cost.parameters for name, cost in named.items()}


def total_parameters(
    model: Model, *, output: Any, input: Any = None, input_resolution: Resolution = None
) -> int:
    """Counts the parameters of everything that an output is computed from.

    Raises:
      ReceptiveFieldError: as for `count_parameters`.
    """
    _, by_node = _parameters_below(model, output, input, input_resolution)
    return sum(cost.parameters for cost in by_node.values())


def _parameters_below(
    model: Model, output: Any, input: Any, resolution: Resolution
) -> tuple[Sequence[int], dict[int, Cost]]:
    """Returns the nodes below an output, or all outputs, and those with parameters."""
    outputs, inference, starts = _prepared(model, output, input, resolution)
    order, _ = topological_order(model.graph, [t[0] for t in outputs])
    by_node: dict[int, Cost] = {}
    _add_parameters(model, order, inference, starts, by_node)
    return order, by_node


def _add_parameters(
    model: Model,
    order: Sequence[int],
    inference: Inference,
    starts: Iterable[Tensor],
    by_node: dict[int, Cost],
) -> None:
    """Adds the parameters of each node in ``order`` to its cost."""
    # A Keras model has all its weights in variables.
    frozen = model.weights_are_constants or not model.layers
    sizes = _weights(model.graph, order, inference, frozen)
    users = _users(model.graph, order, starts) if frozen else {}
    for index, size in sizes.items():
        user = users.get(index, index)
        cost = by_node.get(user, FREE)
        by_node[user] = replace(cost, parameters=cost.parameters + size)


def _named(
    model: Model, order: Sequence[int], by_node: Mapping[int, Cost]
) -> dict[str, Cost]:
    """Returns the cost of each layer or, in a graph, of each node that has a cost."""
    if model.layers:
        return _by_layer(model, by_node, set(order))
    nodes = model.graph.nodes
    return {nodes[index].name: by_node[index] for index in order if index in by_node}


class NodeCosts(NamedTuple):
    """The costs of nodes."""

    by_node: dict[int, Cost]
    """The cost of each node that performs operations."""
    failed: dict[int, ReceptiveFieldError]
    """The reason for each node whose cost is unknown."""

    def complete(self) -> dict[int, Cost]:
        """Returns the costs of all nodes.

        Raises:
          ReceptiveFieldError: if one of them is unknown.
        """
        for error in self.failed.values():
            raise error
        return self.by_node


def node_costs(graph: Graph, order: Iterable[int], inference: Inference) -> NodeCosts:
    """Returns the cost of each node in ``order``, as far as it is known."""
    found = NodeCosts({}, {})
    unfolded: dict[int, list[Size]] = {}
    for index in order:
        node, op = graph.nodes[index], rule_at(graph, index)
        try:
            if op is None:
                raise UnsupportedOpsError({node.op: [node.name]}, graph.framework.name)
            if op.flops is not None:
                found.by_node[index] = _cost(node, op.flops, inference)
            if op.folded is not None:
                folded = op.folded(Call(node, inference))
                if folded is not None:
                    layer, size = folded
                    unfolded.setdefault(layer.index, []).append(size)
        except ReceptiveFieldError as error:
            found.failed[index] = error
    for index in unfolded.keys() & found.by_node.keys():
        node, cost = graph.nodes[index], found.by_node[index]
        costs = (_unfolded(node, cost, s, inference) for s in unfolded[index])
        found.by_node[index] = max(costs, key=lambda cost: cost.flops)
    return found


def _cost(node: Node, count: Callable[[Call], Flops], inference: Inference) -> Cost:
    """Returns the cost of a node.

    Raises:
      ReceptiveFieldError: if the cost is unknown.
    """
    flops = count(Call(node, inference))
    if Symbolic in map(type, flops):
        raise _UnknownSizeError(
            f"the cost of {node.op} node {node.name!r} depends on an unknown size."
        )
    total, products, profiled = flops
    if _computes_sizes(node.index, inference):
        total, products = 0, 0
    return Cost(total, products, int(profiled or 0))  # type: ignore[arg-type]


def _computes_sizes(index: int, inference: Inference) -> bool:
    """Returns whether a node computes integers that shapes and constants determine.

    This is no floating-point arithmetic. A graph that was built for a fixed size has
    constants in its place.
    """
    value = inference.value((index, 0))
    return value is not None and value.dtype.kind not in "fc"


def _unfolded(node: Node, cost: Cost, wanted: Size, inference: Inference) -> Cost:
    """Returns a layer's cost without the positions that only fill up blocks.

    ``wanted`` is the number of elements that are computed without blocks.
    """
    computed = product(inference.shape((node.index, 0)) or ())
    if not (isinstance(wanted, int) and isinstance(computed, int) and computed):
        return cost
    flops, macs = (whole * wanted // computed for whole in (cost.flops, cost.macs))
    return replace(cost, flops=flops, macs=macs)


def _prepared(
    model: Model, output: Any, input: Any, resolution: Resolution
) -> tuple[list[Tensor], Inference, Iterable[Tensor]]:
    """Returns the outputs, an inference of shapes and values, and the inputs.

    If the batch size is unknown, shapes and values are those for a batch of one.
    """
    if resolution is None and model.sizes_are_examples and not model.example_is_given:
        resolution = "unknown"
    outputs = list(model.outputs.values())
    if output is not None:
        outputs = [model.find(output)[1]]
    known = Inference(model.graph)
    shapes = {tensor: known.shape(tensor) for tensor in model.inputs.values()}
    things = [input]
    if resolution is not None and input is None and len(model.inputs) > 1:
        things = list(model.inputs)  # All inputs get this size.
    if resolution is not None or not outputs or not shapes:
        options = Options(input_resolution=resolution)
        ends = [output] if output is not None or not model.outputs else None
        for thing in things:
            question = Question.ask(model, thing, ends, options)
            start = question.network.input
            shapes[start] = question.network.shape(start)
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


def _weights(
    graph: Graph, order: Sequence[int], inference: Inference, frozen: bool
) -> dict[int, int]:
    """Returns, for each node that reads parameters, how many it reads.

    Parameters are the variables or, if there are none and the graph may be ``frozen``,
    the constants. Each of them is counted only at its first reader.
    """
    variables: dict[Tensor, tuple[int, int]] = {}
    constants: dict[Tensor, tuple[int, int]] = {}
    for index in sorted(order):  # The first reader is the first in the graph's list.
        op = rule_at(graph, index)
        if op is None or op.weights is None:
            continue
        node = graph.nodes[index]
        size = op.weights(Call(node, inference))
        if not isinstance(size, int):
            raise GraphError(
                f"the shape of the variable at {node.op} node {node.name!r} is "
                "unknown. Save the graph with shapes (as_graph_def(add_shapes=True))."
            )
        source = _behind(graph, node.inputs[0] if node.inputs else (index, 0))
        below = rule_at(graph, source[0])
        constant = below is not None and below.values is not None
        (constants if constant else variables).setdefault(source, (index, size))
    found = variables or (constants if frozen else {})
    return {index: size for index, size in found.values() if size}


class _Loops(NamedTuple):
    """How often the nodes of loops run."""

    rounds: dict[int, int]
    """The number of times that each node in a loop runs. A loop of unknown length is
    taken to run once."""
    once: set[int]
    """The nodes in loops of unknown length."""
    endless: dict[int, ReceptiveFieldError]
    """The reason for each loop of unknown length."""


def _loops(
    graph: Graph,
    order: Sequence[int],
    closing: Iterable[tuple[int, int]],
    inference: Inference,
) -> _Loops:
    """Returns how often each node in a loop runs."""
    found = _Loops({}, set(), {})
    times: dict[str, int | None] = {}  # Keyed by the name prefix of a loop's body.
    variables: set[int] = set()
    for index in order:
        op = rule_at(graph, index)
        if op is not None and op.rounds is not None:
            node = graph.nodes[index]
            try:
                rounds = op.rounds(Call(node, inference))
            except ReceptiveFieldError:  # The rule of a node below tells the reason.
                rounds = None
            if rounds is None:
                found.endless[index] = _endless(node)
            tests = None if rounds is None else rounds + 1
            times |= dict.fromkeys([f"{node.name}/", f"{node.name}/body/"], rounds)
            times[f"{node.name}/cond/"] = tests
            variables.update(below for below, _ in node.inputs)
    for index in order if times else ():
        for scope in _scopes(graph.nodes[index].frame):
            if scope in times:
                rounds = times[scope]
                found.rounds.setdefault(index, 1)
                if rounds is None:
                    found.once.add(index)
                else:
                    found.rounds[index] *= rounds
    for group in strongly_connected(graph, order, closing):
        if len(group) > 1 and not (variables | found.rounds.keys()).intersection(group):
            found.once.update(group)
            found.rounds.update(dict.fromkeys(group, 1))
            found.endless[group[0]] = _endless(graph.nodes[group[0]])
    return found


def _scopes(frame: Frame | None) -> Iterator[str]:
    """Yields the name prefixes of the bodies around a node."""
    while frame is not None:
        yield frame.scope
        frame = frame.caller


def _endless(node: Node) -> GraphError:
    return _UnknownSizeError(
        f"the graph does not state how many times the loop at {node.name!r} runs, so "
        "only one iteration can be counted."
    )


def _users(
    graph: Graph, order: Sequence[int], inputs: Iterable[Tensor]
) -> dict[int, int]:
    """Returns, for each node that does not depend on an input, the node that uses it.

    The user is the first node that depends on an input and reads the given node,
    directly or indirectly.
    """
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
    """Follows nodes with one input down from a tensor to the tensor where they end.

    Returns the first tensor on the way whose node does not have exactly one input.
    """
    while len(graph.inputs[tensor[0]]) == 1:
        tensor = graph.inputs[tensor[0]][0]
    return tensor


def _by_layer(
    model: Model, by_node: Mapping[int, Cost], needed: set[int]
) -> dict[str, Cost]:
    """Returns the cost of the nodes of each layer."""
    found = dict.fromkeys(model.layers, FREE)
    for index, name in nodes_of_layers(model, needed).items():
        if index in by_node:
            found[name] += by_node[index]
    return found


__all__ = ["Cost", "Costs", "compute_costs"]
