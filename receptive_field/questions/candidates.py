"""Finds the tensors that could be the input and the output of a model."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence

from receptive_field.budget import within_budget
from receptive_field.errors import NodeNotFoundError, ReceptiveFieldError
from receptive_field.graph.graph import Graph, Node, Tensor, nodes_below
from receptive_field.graph.model import Model
from receptive_field.network.network import Network, find_network
from receptive_field.network.passing import all_passed, nodes_read
from receptive_field.rules.inference import Inference
from receptive_field.rules.op import rule_of

MOST_LISTED = 10
"""At most this many candidates are listed."""


def only_of_model(model: Model, what: str) -> dict[str, Tensor]:
    """Returns the only input or output that a model states, or an empty dict.

    Args:
      model: the model.
      what: "input" or "output".

    Raises:
      NodeNotFoundError: if the model states several. The message says which layers
        return them, and their shapes, if these are not those of a trace.
    """
    named = model.inputs if what == "input" else model.outputs
    if len(named) > 1:
        layer_of = {tensor: name for name, tensor in model.layers.items()}
        shown = []
        for name, tensor in named.items():
            layer = layer_of.get(tensor, name)
            also = [repr(layer)] if layer != name else []
            if not model.sizes_are_examples:
                also.append(shown_shape(model.graph, tensor))
            shown.append(repr(name) + (f" ({', '.join(also)})" if also else ""))
        raise NodeNotFoundError(
            f"the model has {len(named)} {what}s: {', '.join(shown)}. "
            f"Choose one with {what}=."
        )
    return dict(named)


@within_budget
def candidates(model: Model) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Returns the possible inputs and outputs of a model, by name.

    These are the inputs and outputs that the model states. If it states no inputs, the
    placeholders that could be images are used; if images are flattened, the tensor that
    has their shape. If it states no outputs, the predictions that a loss reads are used
    or, if there are none, the tensors that depend on an input and that no node reads.
    """
    graph = model.graph
    inputs, outputs = dict(model.inputs), dict(model.outputs)
    if not inputs:
        found = _possible_inputs(graph, (), ())
        found = [_decoded(graph, node.index) or node for node in found]
        inputs = {node.name: (node.index, 0) for node in found}
    if not outputs:
        for start in inputs.values():
            ends = _possible_outputs(graph, start, ())
            outputs |= {graph.nodes[index].name: (index, 0) for index in ends}
    return inputs, outputs


def _possible_inputs(
    graph: Graph, outputs: Sequence[int], stop: Sequence[str]
) -> list[Node]:
    """Returns the tensors that could be images and on which the outputs depend.

    These are placeholders with more than two axes and, for a placeholder of flattened
    images, the node that gives the images their shape. Placeholders of unknown shape
    are only returned if there are no others: they may hold a rate or a mode. If no
    outputs are given, all nodes that only train the network are left out.
    """
    inference = Inference(graph)
    known: list[Node] = []
    unknown: list[Node] = []
    for placeholder in graph.framework.placeholders(graph):
        shape = inference.shape((placeholder.index, 0))
        node = placeholder
        if shape is not None and len(shape) == 2:
            unflattened = _unflattened(inference, placeholder)
            if unflattened is None:
                continue
            node = unflattened
        elif shape is not None and len(shape) < 2:
            continue
        network = find_network(inference, (node.index, 0), outputs, stop)
        if network.order or not outputs or node.index in outputs:
            (unknown if shape is None else known).append(node)
    found = known or unknown
    if len(found) < 2:
        return found
    return [node for node in found if _is_slid_over(inference, node, stop)] or found


def _readers(graph: Graph, below: Node) -> list[Node]:
    """Returns the nodes that read a node, without those that train."""
    found = []
    for node in graph:
        try:
            inputs = node.inputs
        except ReceptiveFieldError:  # An input is not in the graph.
            continue
        if any(index == below.index for index, _ in inputs):
            found.append(node)
    return [node for node in found if not graph.framework.is_of_training(node)]


def _unflattened(inference: Inference, placeholder: Node) -> Node | None:
    """Returns the only reader of flattened images, if it gives them their shape."""
    readers = _readers(inference.graph, placeholder)
    if len(readers) != 1:
        return None
    (reader,) = readers
    try:
        shape = inference.shape((reader.index, 0))
    except ReceptiveFieldError:
        return None
    below = inference.shape((placeholder.index, 0)) or ()
    if shape is None or len(shape) < 3 or not isinstance(below[-1], int):
        return None
    sizes = [size for size in shape[1:] if isinstance(size, int)]
    whole = len(sizes) == len(shape) - 1 and math.prod(sizes) == below[-1]
    return reader if whole and sum(size > 1 for size in sizes) > 1 else None


def advice_on_input(model: Model, start: Tensor) -> str | None:
    """Returns which tensor to ask about instead of one that has not yet the shape of an
    image, or None if there is no better one."""
    graph, known = model.graph, Inference(model.graph)
    node, shape = graph.nodes[start[0]], known.shape(start)
    if shape is not None and len(shape) == 2:
        found = _unflattened(known, node)
        why = "holds flattened images, whose rows follow each other on one axis"
    elif shape is None and node in list(graph.framework.decoders(graph)):
        found, why = _image_above(known, node), "has no known shape"
    else:
        return None
    if found is None:
        return None
    image = found.index, 0
    calls = (call for call, tensor in model.layers.items() if tensor == image)
    return (
        f"{node.name!r} {why}. Ask about places in the images with "
        f"input={next(iter(calls), found.name)!r} ({shown_shape(graph, image)})."
    )


def _image_above(inference: Inference, node: Node) -> Node | None:
    """Returns the node that gives the result of a node the known shape of an image."""
    while True:
        readers = _readers(inference.graph, node)
        if len(readers) != 1 or not _reshapes(readers[0]):
            return None
        (node,) = readers
        shape = inference.shape((node.index, 0))
        if shape and len(shape) > 2 and all(isinstance(n, int) for n in shape[1:]):
            return node


def _is_slid_over(inference: Inference, node: Node, stop: Sequence[str]) -> bool:
    """Returns whether a convolution or pooling layer depends on a node.

    Labels with positions, such as masks, are only compared with the output.
    """
    graph = inference.graph
    network = find_network(inference, (node.index, 0), range(len(graph)), stop)
    for index in network.order:
        above = graph.nodes[index]
        op = rule_of(above)
        is_window = op is not None and op.windows is not None
        if is_window and not graph.framework.is_of_training(above):
            return True
    return False


def only_input(graph: Graph, outputs: Sequence[int], stop: Sequence[str]) -> Tensor:
    """Returns the only tensor that could be the input.

    Raises:
      NodeNotFoundError: if there is none, or if there are several.
    """
    found = _possible_inputs(graph, outputs, stop)
    if len(found) == 1:
        check_is_no_sound_file(graph, found[0].index)
        return found[0].index, 0
    names = ", ".join(_shown(graph, node.index) for node in found[:MOST_LISTED])
    whose = " or ".join(repr(graph.nodes[index].name) for index in outputs)
    raise NodeNotFoundError(
        f"{len(found) or 'no'} placeholders could be the input"
        + (f" of {whose}" if whose else "")
        + (f" ({names}). Choose one" if found else ". Name the input")
        + " with input=."
    )


def check_is_no_sound_file(graph: Graph, index: int) -> None:
    """Raises an error if sounds are decoded from an input.

    Raises:
      NodeNotFoundError: if this is so. The message names the last decoder, and the
        tensor that holds the result.
    """
    last, read = _last_decoder(graph, index), _decoded(graph, index)
    if last is not None and read is not None:
        files = graph.framework.placeholders(graph)
        is_file = any(index == file.index for file in files)
        what = "is a sound in a file" if is_file else "is computed from a sound"
        raise NodeNotFoundError(
            f"{graph.nodes[index].name!r} {what}, and the analysis of positions "
            f"ends at {last.name!r} ({last.op}), which has no rule. Ask about the "
            f"tensor that holds the result: choose {_shown(graph, read.index)} with "
            "input=."
        )


def _decoded(graph: Graph, index: int) -> Node | None:
    """Returns the tensor that holds what is decoded from an input, or None."""
    last = _last_decoder(graph, index)
    return last and (_image_above(Inference(graph), last) or last)


def _last_decoder(graph: Graph, index: int) -> Node | None:
    """Returns the last node without a rule that decodes sounds from an input."""
    last = None
    for node in graph.framework.decoders(graph):
        if node.index != index and index in _sources(graph, node.index):
            last = node if rule_of(node) is None else last
    return last


def _shown(graph: Graph, index: int) -> str:
    return f"{graph.nodes[index].name!r} ({shown_shape(graph, (index, 0))})"


def shown_shape(graph: Graph, tensor: Tensor) -> str:
    """Returns the shape of a tensor as text, without a batch of one or unknown size."""
    try:
        shape = Inference(graph).shape(tensor)
    except ReceptiveFieldError:
        shape = None
    if shape is None:
        return "unknown shape"
    is_batch = len(shape) > 1 and (shape[0] == 1 or not isinstance(shape[0], int))
    sizes = shape[1:] if is_batch else shape
    return " x ".join(str(n) if isinstance(n, int) else "?" for n in sizes) or "scalar"


def _possible_outputs(graph: Graph, start: Tensor, stop: Sequence[str]) -> list[int]:
    """Returns the nodes that could be the output of a network.

    These are the predictions that a loss compares with labels or, if there are none,
    the nodes with a rule that depend on the input and that no node reads. Nodes that
    train the network are left out, unless there are no others.
    """
    known = Inference(graph)
    whole = find_network(known, start, range(len(graph)), stop)
    running = [
        index
        for index in whole.order
        if not graph.framework.is_of_training(graph.nodes[index])
    ]
    trains = any(map(graph.framework.is_of_training, graph))
    predictions = _predictions(whole, running) if trains else []
    if predictions:
        return predictions
    for order in (running, whole.order):
        read = nodes_read(whole, order)
        ends = [index for index in order if index not in read]
        found = [index for index in ends if rule_of(graph.nodes[index])]
        if found:
            # A number that is trained on is a loss, and no prediction.
            return [i for i in found if not trains or known.shape((i, 0)) != ()]
    return []


def _predictions(network: Network, order: Sequence[int]) -> list[int]:
    """Returns the tensors that a loss compares with labels, one for each labels.

    A label is a placeholder with axes on which no layer with weights depends. For each
    label, the prediction is the last node that all paths from the input to the label
    pass. If layers depend on this node, a loss also reads hidden layers, and all
    tensors that are compared with the label are returned. A map that is flattened for
    the loss is returned as the map.
    """
    graph, known = network.graph, network.known
    own = _sources(graph, network.input[0])
    members = set(order)
    compared: list[set[int]] = []
    for label in graph.framework.placeholders(graph):
        # The input may be an image that was given its shape: its source is no label.
        if label.index not in own and known.shape((label.index, 0)):
            reached = find_network(known, (label.index, 0), order)
            meets = members.intersection(reached.order)
            is_read = any(_is_layer(graph.nodes[index]) for index in reached.order)
            if meets and not is_read:
                compared.append(meets)
    labelled = set().union(*compared)
    found: dict[int, None] = {}
    for meets in compared:
        last = _last_before(network, order, meets, labelled)
        if last is None or _is_below_layers(network, order, last):
            found |= dict.fromkeys(_compared(network, order, meets, labelled))
        else:
            found[last] = None
    maps = dict.fromkeys(_before_flattening(network, index) for index in found)
    return [index for index in maps if rule_of(graph.nodes[index])]


def _before_flattening(network: Network, index: int) -> int:
    """Returns the map that a prediction is, if a loss reads its positions as a list."""
    graph, known = network.graph, network.known
    while _reshapes(graph.nodes[index]) and index != network.input[0]:
        below = graph.inputs[index][0]
        flat, whole = known.shape((index, 0)), known.shape(below)
        if flat is None or whole is None or len(flat) >= len(whole):
            break
        if below[0] not in network.order or all(size == 1 for size in whole[1:-1]):
            break  # Images of one position only lose these axes.
        index = below[0]
    return index


def _is_below_layers(network: Network, order: Sequence[int], index: int) -> bool:
    above = find_network(network.known, (index, 0), order)
    return any(_is_layer(network.graph.nodes[other]) for other in above.order)


def _compared(
    network: Network,
    order: Sequence[int],
    meets: Collection[int],
    labelled: Collection[int],
) -> Iterator[int]:
    """Yields the tensors with axes that meet a label; see `_last_before`."""
    names = tuple(f"{network.graph.nodes[index].name}/" for index in meets)
    members = {*order} - {*labelled, network.input[0]}
    for index in sorted(meets):
        for _, (below, _) in network.edges(index):
            read = below
            while network.graph.nodes[read].name.startswith(names):
                # Losses bring the prediction into shape.
                inner = [i for _, (i, _) in network.edges(read) if i in members]
                if len(inner) != 1:
                    break
                (read,) = inner
            if read in members and network.known.shape((read, 0)) != ():
                yield read


def _is_layer(node: Node) -> bool:
    op = rule_of(node)
    return op is not None and bool(op.windows or op.products)


def _reshapes(node: Node) -> bool:
    op = rule_of(node)
    return op is not None and op.reshapes


def _sources(graph: Graph, index: int) -> set[int]:
    return set(nodes_below(graph, [index], lambda _: True))


def _last_before(
    network: Network,
    order: Sequence[int],
    compared: Collection[int],
    labelled: Collection[int],
) -> int | None:
    """Returns the last node on all paths from the input to a label.

    Args:
      network: the network.
      order: its nodes, without those that train.
      compared: the nodes that depend on the input and on this label.
      labelled: the nodes that depend on the input and on any label.

    Returns:
      The index of the node, or None if the input is the only such node.
    """
    names = [f"{network.graph.nodes[index].name}/" for index in compared]
    for index in all_passed(network, order, compared, labelled):
        # Losses bring the prediction into shape.
        if not network.graph.nodes[index].name.startswith(tuple(names)):
            return index
    return None


def only_output(graph: Graph, start: Tensor, stop: Sequence[str]) -> int:
    """Returns the only node that could be the output of a network.

    Raises:
      NodeNotFoundError: if there is none, or if there are several.
    """
    known = _possible_outputs(graph, start, stop)
    if len(known) != 1:
        names = ", ".join(_shown(graph, index) for index in known[:MOST_LISTED])
        raise NodeNotFoundError(
            f"{len(known) or 'no'} nodes that depend on {graph.name_of(start)!r} and "
            "that no node reads could be the output"
            + (f" ({names}). Choose one" if known else ". Name the output")
            + " with output=."
        )
    return known[0]
