"""The paper's table: receptive fields and costs of a network's end-points."""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from receptive_field.errors import NodeNotFoundError
from receptive_field.frameworks import load
from receptive_field.questions.costs import node_costs
from receptive_field.questions.later import LATER
from receptive_field.questions.question import Options, Question
from receptive_field.results.costs import totals
from receptive_field.results.field import ReceptiveField
from receptive_field.zoo.builder import BuiltNetwork, build_network
from receptive_field.zoo.layers import Network


class EndPoint(NamedTuple):
    """One row of the table.

    A number that depends on an unknown input size is None.
    """

    network: str
    input_resolution: tuple[int, ...] | None
    """Height and width."""
    name: str
    flops: int | None
    """The FLOPs of all nodes that the end-point needs, as TensorFlow's profiler counts
    them."""
    receptive_field: ReceptiveField


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of one network at one resolution, and the time spent on them.

    Attributes:
      rows: the end-points, starting at the input.
      building: the seconds spent on building the graph and converting it to a GraphDef.
      analysing: the seconds spent on the receptive fields and FLOPs of all rows.
    """

    rows: Sequence[EndPoint] = field(default_factory=tuple)
    building: float = 0.0
    analysing: float = 0.0


def end_points_of(network: Network, chosen: Sequence[str] | None) -> tuple[str, ...]:
    """Returns the full names of the chosen end-points. None means all end-points.

    Each name in ``chosen`` may include the scope or leave it out.

    Raises:
      NodeNotFoundError: if there is no such end-point. The message lists all
        end-points.
    """
    if chosen is None:
        return network.end_points
    if isinstance(chosen, str) or not isinstance(chosen, Sequence):
        raise NodeNotFoundError(f"end_points must be a list of names, not {chosen!r}.")
    wanted = set()
    for name in chosen:
        point = network.end_point(name)
        if point is None:
            raise NodeNotFoundError(
                f"{network.name} has no end-point {name!r}; its end-points are "
                f"{', '.join(network.end_points)}."
            )
        wanted.add(point)
    return tuple(point for point in network.end_points if point in wanted)


def network_table(
    network: Network,
    input_resolution: Sequence[int] | None,
    end_points: Sequence[str] | None,
) -> Table:
    """Returns the rows of a network; see `receptive_field.zoo.table`."""
    names = end_points_of(network, end_points)
    started = time.perf_counter()
    built = build_network(network, input_resolution, resource_variables=False)
    definition = built.graph.as_graph_def()
    built_at = time.perf_counter()
    with _no_collection():
        rows = _rows(network, built, definition, input_resolution, names)
    return Table(rows, built_at - started, time.perf_counter() - built_at)


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Turns off garbage collection while the context is open.

    Collecting garbage would take longer than the analysis, because a TensorFlow graph
    consists of very many objects.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _rows(
    network: Network,
    built: BuiltNetwork,
    definition: Any,
    input_resolution: Sequence[int] | None,
    names: Sequence[str],
) -> list[EndPoint]:
    model = load(definition)
    nodes = [built.end_points[name] for name in names]
    question = Question.ask(model, built.input, nodes, Options(), LATER)
    fields = question.answers(strict=True)
    flops: list[int | None] = [None] * len(nodes)
    if input_resolution is not None:
        outputs = [model.graph.tensor(node) for node in nodes]
        order = question.network.needed
        costs = node_costs(model.graph, order, question.network.known)
        by_node = costs.complete()
        found = totals(model.graph, order, by_node, outputs)
        flops = [cost.profiler_flops for cost in found]
    resolution = None
    if input_resolution is not None:
        resolution = tuple(int(size) for size in input_resolution)
    return [
        EndPoint(network.name, resolution, name, count, fields[node])
        for name, node, count in zip(names, nodes, flops, strict=True)
    ]
