"""Finds the nodes that all paths through a network pass."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from receptive_field.network.network import Network


def nodes_read(network: Network, order: Iterable[int]) -> set[int]:
    """Returns the nodes that some nodes of a network read."""
    return {below[0] for index in order for _, below in network.edges(index)}


def all_passed(
    network: Network, order: Sequence[int], ends: Collection[int], cut: Collection[int]
) -> Iterator[int]:
    """Yields the nodes that all paths from the input to some nodes pass, last first.

    These are the dominators of the ends in the graph of the paths. The ends themselves
    and the input are left out. Edges that close a loop are not followed.

    Args:
      network: the network.
      order: its nodes that count, in topological order.
      ends: the nodes where the paths end.
      cut: the nodes that no path passes, including the ends.
    """
    start = network.input[0]
    nearest: dict[int, int] = {}
    """For each node, the last node before it that all paths to it pass."""
    depths = {start: 0}

    def last_shared(one: int, two: int) -> int:
        while one != two:
            if depths[one] < depths[two]:
                one, two = two, one
            one = nearest[one]
        return one

    def before(index: int) -> int | None:
        found: int | None = None
        for _, (below, _) in network.edges(index):
            if below in depths:
                found = below if found is None else last_shared(found, below)
        return found

    last: int | None = None
    for index in order:
        found = before(index) if index in ends or index not in cut else None
        if found is None:
            continue
        if index in ends:
            last = found if last is None else last_shared(last, found)
        elif index != start:
            nearest[index], depths[index] = found, depths[found] + 1
    while last is not None and last != start:
        yield last
        last = nearest[last]
