"""Odd but legal graphs: an answer takes as long as their size, whatever their form."""

from __future__ import annotations

import cProfile
import pstats
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import hostile
import pytest
from graphs import add, constant, conv, graph_def, node, placeholder

import receptive_field as rf
from receptive_field.algebra import axis_map
from receptive_field.passes import regions

Graph = Any


def _chain(count: int) -> Graph:
    nodes, last = [placeholder()], "input"
    for number in range(count):
        below, last = last, f"n{number}"
        nodes.append(node(last, "Relu", [below]) if number % 2 else conv(last, below))
    return graph_def(*nodes)


def _branches(count: int) -> Graph:
    nodes = [placeholder()]
    for number in range(count):
        nodes += [conv(f"a{number}", "input", 3, 1, "SAME")]
        nodes += [conv(f"b{number}", f"a{number}", 3, 1, "SAME")]
    names = [f"b{number}" for number in range(count)]
    return graph_def(*nodes, node("sum", "AddN", names, N=f"i: {count}"))


def _residual(count: int) -> Graph:
    nodes, last = [placeholder()], "input"
    for number in range(count):
        nodes.append(conv(f"c{number}", last, 3, 1, "SAME"))
        nodes.append(add(f"s{number}", last, f"c{number}"))
        last = f"s{number}"
    return graph_def(*nodes)


def _dense(count: int) -> Graph:
    """A block of a DenseNet: each layer reads all layers before."""
    nodes, read = [placeholder(), constant("axis", [3], [])], ["input"]
    for number in range(count):
        joined = f"cat{number}"
        total = f"i: {len(read)}"
        nodes.append(node(joined, "ConcatV2", [*read, "axis"], N=total))
        nodes.append(conv(f"c{number}", joined, 3, 1, "SAME"))
        read.append(f"c{number}")
    return graph_def(*nodes)


def _calls(work: Callable[[], object]) -> int:
    """Returns how many functions are called."""
    profile = cProfile.Profile()
    profile.runcall(work)
    return int(pstats.Stats(profile).total_calls)  # type: ignore[attr-defined]


@pytest.mark.slow
@pytest.mark.parametrize("make", [_chain, _branches, _residual])
@pytest.mark.parametrize(
    "question", [rf.compute_receptive_field, rf.compute_receptive_fields]
)
def test_twice_the_nodes_take_twice_the_time(
    make: Callable[[int], Graph], question: Callable[[Graph], object]
) -> None:
    question(make(20))
    once, twice = (_calls(partial(question, make(count))) for count in (300, 600))
    assert twice < 2.2 * once


@pytest.mark.slow
def test_the_windows_of_large_graphs() -> None:
    assert rf.compute_receptive_field(_branches(2000)).size.tolist() == [5, 5]
    assert rf.compute_receptive_field(_chain(4000)).size.tolist() == [4001, 4001]
    field = rf.compute_receptive_field(_dense(60))
    assert (field.size.tolist(), field.padding.tolist()) == ([121, 121], [60, 60])


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any, str], Counter[str]]:
    """Returns a function that counts how often a function of a module is called."""

    def count(place: Any, name: str) -> Counter[str]:
        calls = Counter[str]()
        real = getattr(place, name)

        def called(*args: Any) -> Any:
            calls[name] += 1
            return real(*args)

        monkeypatch.setattr(place, name, called)
        return calls

    return count


Count = Callable[[Any, str], Counter[str]]


def test_parts_of_a_join_of_channels_are_treated_at_once(counted: Count) -> None:
    """60 layers have 1,830 edges, but each join needs one composition."""
    composed, met = counted(regions, "combined"), counted(regions, "merged")
    rf.compute_receptive_field(_dense(60))
    assert composed["combined"] < 4 * 60
    assert met["merged"] < 4 * 60


@pytest.mark.parametrize(
    ("name", "work", "most"),
    [
        ("16 transposed", "_spans", 25 * 16),
        ("ladder", "_either", 15 * 12),
        ("ladder", "_float_anew", 25 * 12),
    ],
)
def test_more_sizes_do_not_repeat_the_work(
    counted: Count, tmp_path: Path, name: str, work: str, most: int
) -> None:
    """`resolutions` looks at dozens of sizes, with the same maps again and again."""
    calls = counted(axis_map, work)
    rf.resolutions(hostile.CASES[name].write(tmp_path))
    assert 0 < calls[work] < most
