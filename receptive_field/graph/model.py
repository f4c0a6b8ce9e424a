"""The model that every source returns: a graph and the names of its parts."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from receptive_field.errors import NodeNotFoundError, nearest
from receptive_field.graph.graph import (
    Graph,
    Tensor,
    nodes_below,
    topological_order,
)
from receptive_field.graph.names import (
    containing,
    only,
    same_or_ending,
    scope_output,
    scopes,
)


def _no_object(thing: Any) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class Model:
    """A graph, with the inputs, outputs and layers that its source names."""

    graph: Graph
    definition: Any
    """The graph's GraphDef message, or an object that reads it when serialized; None if
    the graph is only analysed and another one is run (see `traced`)."""
    inputs: Mapping[str, Tensor] = field(default_factory=dict)
    outputs: Mapping[str, Tensor] = field(default_factory=dict)
    layers: Mapping[str, Tensor] = field(default_factory=dict)
    """For each layer call's name, the tensor that the call returns."""
    layer_inputs: Mapping[str, Sequence[Tensor]] = field(default_factory=dict)
    """For each layer call's name, the tensors that are passed to the call."""
    kinds: Mapping[str, str] = field(default_factory=dict)
    """For each layer call's name, the class of the layer, if its source states it."""
    operations: Mapping[str, Tensor] = field(default_factory=dict)
    """For each call of a function that has a name, the tensor that it returns."""
    name_of: Callable[[Any], str | None] = _no_object
    """Returns the name of the caller's layer or tensor object, or None."""
    squared_gradients: Callable[..., Any] | None = None
    """Computes squared gradients with the model's real weights, if it has any."""
    weights_are_constants: bool = False
    """Whether the constants of the graph are weights although the model has layers."""
    sizes_are_examples: bool = False
    """Whether the sizes of the inputs are those of a trace, which the caller did not
    ask for. The analysis then takes them to be unknown."""
    example_is_given: bool = False
    """Whether the caller gave the inputs of the trace, so that costs are those for
    inputs of the same sizes."""
    made_for: Sequence[int] | int | None = None
    """The resolution that the inputs of the trace have, because the caller asked for
    it. Their shapes say which axes have these sizes."""
    traced: Callable[[], Model] | None = None
    """Returns the model as its framework runs it; None if this model is that one."""

    def to_run(self) -> Model:
        """Returns the model to run in an experiment."""
        return self if self.traced is None else self.traced()

    def has_sizes(self, tensor: Tensor, resolution: Any) -> bool:
        """Returns whether a tensor is an input that was made for a resolution."""
        if self.made_for is None or isinstance(resolution, (str, type(None))):
            return False
        made_for = self.made_for
        if isinstance(resolution, int) or isinstance(made_for, int):
            is_same = made_for == resolution
        else:
            is_same = list(made_for) == list(resolution)
        return is_same and tensor in self.inputs.values()

    def find(self, thing: Any) -> tuple[str, Tensor]:
        """Returns the name and tensor of an input, output, layer or node.

        Instead of a full name, the caller can give the part after any of its slashes, a
        scope (for its output), or another part or pattern that only one name matches,
        in any case. Names of layers, inputs and outputs come before those of nodes.

        Raises:
          NodeNotFoundError: if the model has nothing of this name, or if several names
            match; the message lists these, or suggests similar names.
        """
        name = thing if isinstance(thing, str) else self.name_of(thing)
        if name is None:
            raise NodeNotFoundError(
                "an input or output must be a name or a tensor of the graph, or a "
                f"layer of the model, not {thing!r}."
            )
        for named in (self.layers, self.outputs, self.inputs, self.operations):
            if name in named:
                return name, named[name]
        if self.graph.has(name) or name.partition(":")[0] in self.graph.index_of:
            return self._node(name)
        stated = dict(self.layers)
        for named in (self.outputs, self.inputs, self.operations):
            stated |= {key: named[key] for key in named if key not in stated}
        parts = [key for key in stated if key not in self.inputs]
        found = same_or_ending(name, stated) or containing(name, parts)
        if found:
            full = only(name, found)
            return full, stated[full]
        plain, colon, number = name.rstrip("/").partition(":")
        nodes = [node.name for node in self.graph]
        known_scopes = scopes(nodes)
        found = self._likely(same_or_ending(plain, nodes))
        scope = (
            [plain]
            if plain in known_scopes
            else self._likely(same_or_ending(plain, known_scopes))
        )
        scope = [] if colon else scope  # The number is that of an output of a node.
        if scope and (scope == [plain] or not found):
            ends = (*self.outputs.values(), *self.layers.values())
            full = only(name, scope)
            tensor = scope_output(self.graph, full, ends, self.running)
            return self.graph.name_of(tensor), tensor
        inner = [node for node in nodes if node not in self.inputs]
        found = found or self._likely(containing(plain, inner))
        if not found:
            what = "the model has no layer" if self.layers else "there is no node"
            likely = self._likely([*nodes, *known_scopes])
            near = nearest(plain, [*stated, *likely])
            raise NodeNotFoundError(f"{what} {name!r}. {near}")
        return self._node(only(name, found) + colon + number)

    def needed(self) -> set[int]:
        """Returns the inputs, and the nodes that the stated outputs depend on.

        If no outputs are stated, these are all nodes. A SavedModel also holds the nodes
        of other signatures, and those that save and restore its weights.
        """
        graph = self.graph
        if not self.outputs:
            return set(range(len(graph)))
        ends = [*self.outputs.values(), *self.layers.values(), *self.inputs.values()]
        return set(nodes_below(graph, [index for index, _ in ends], lambda _: True))

    def running(self) -> set[int]:
        """Returns the nodes that depend on an input, or are one, but do not train.

        If outputs are stated, only nodes that they depend on count. The others, such as
        weights and gradients, are far more in some graphs.
        """
        graph, needed = self.graph, self.needed()
        starts = {index for index, _ in self.inputs.values()}
        starts |= {node.index for node in graph.framework.placeholders(graph)}
        found = set(starts)
        for index in topological_order(graph, range(len(graph)))[0]:
            if any(below in found for below, _ in graph.inputs[index]):
                found.add(index)
        trains = graph.framework.is_of_training
        return {
            index
            for index in found & needed
            if index in starts or not trains(graph.nodes[index])
        }

    def _likely(self, names: list[str]) -> list[str]:
        """Returns the nodes and scopes that run or, if there are none, all of them."""
        if len(names) < 2:
            return names
        running = [self.graph.nodes[index].name for index in self.running()]
        known = {*running, *scopes(running)}
        return [name for name in names if name in known] or names

    def _node(self, name: str) -> tuple[str, Tensor]:
        tensor = self.graph.tensor(name)
        return self.graph.name_of(tensor), tensor


def nodes_of_layers(
    model: Model, needed: Container[int] | None = None, inside: bool = False
) -> dict[int, str]:
    """Returns the name of the layer call that each node belongs to.

    The nodes of a layer are those between the tensors that are passed to it and the
    tensor that it returns, without those of the layers inside it, which come before it.
    A node outside of all layers belongs to the first layer that needs it. A node that
    no layer needs is left out.

    Args:
      model: the model.
      needed: if given, only layers that return the output of one of these nodes count.
      inside: whether to leave out nodes outside of all layers.
    """
    graph, owner = model.graph, dict[int, str]()

    def claim(
        name: str, starts: Iterable[int], ends: Container[int], passed: set[str]
    ) -> None:
        waiting = list(starts)
        while waiting:
            index = waiting.pop()
            if index in ends:
                continue
            other = owner.get(index)
            if other is None:
                owner[index] = name
                waiting += (read for read, _ in graph.inputs[index])
            elif other != name and other not in passed:
                passed.add(other)
                waiting += (read for read, _ in model.layer_inputs.get(other, ()))

    layers = {
        name: (output, [index for index, _ in model.layer_inputs.get(name, ())])
        for name, (output, _) in model.layers.items()
        if needed is None or output in needed
    }
    for name, (output, given) in layers.items():
        claim(name, [output], given, set())
    passed: set[str] = set()
    for name, (_, given) in layers.items():
        if not inside:
            claim(name, given, (), passed)
    return owner


def unique_name(name: str, taken: Mapping[str, Any]) -> str:
    """Returns the name of a layer call, with a number appended if it is taken.

    The numbers in use follow each other, so the first free one is found by bisection.
    """
    if name not in taken:
        return name
    low, high = 1, 2
    while f"{name}:{high}" in taken:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        is_taken = f"{name}:{middle}" in taken
        low, high = (middle, high) if is_taken else (low, middle)
    return f"{name}:{high}"


def output_name(
    name: str, tensor: Any, layers: Mapping[str, Any], outputs: Mapping[str, Any]
) -> str:
    """Returns the name of an output of a model, which means nothing else.

    Models name an output after its layer. If this is the name of another call of the
    layer, or of another output, the name is that of the call that returns the tensor.
    """
    calls = [called for called, result in layers.items() if result == tensor]
    taken = layers.keys() - calls | outputs.keys()
    same = [called for called in calls if called.startswith(f"{name}:")]
    for own in (name, *same):
        if own not in taken:
            return own
    return unique_name(name, {**layers, **outputs})
