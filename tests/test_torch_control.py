"""Branches, loops and contexts in programs of PyTorch, in both forms."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from needed import needed
from random_search import examples
from torch_experiments import as_module, check, ops_of, with_weights, written

from receptive_field.errors import GraphError
from receptive_field.frameworks.torch import writing_out
from receptive_field.frameworks.torch.objects import of_exported
from receptive_field.frameworks.torch.program import Program, Step, Value
from receptive_field.frameworks.torch.writing_out import written_out

torch = needed("torch")
hops = needed("torch._higher_order_ops")
nn = torch.nn

SHAPE = (1, 2, 5, 6)


class Contexts(nn.Module):
    """Convolutions inside contexts, one within the other."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(2, 3, 3, padding=1)
        self.two = nn.Conv2d(3, 2, (1, 3), 2)

    def forward(self, x: Any) -> Any:
        """Runs the convolutions without gradients, and one in another precision."""
        with torch.no_grad():
            y = self.one(x)
            with torch.autocast("cpu", enabled=False):
                y = self.two(y)
        return y


def test_contexts_are_written_in_the_place_of_their_graphs() -> None:
    module = with_weights(Contexts())
    program = written(module, SHAPE)
    assert "higher_order.wrap_with_set_grad_enabled" in ops_of(program)
    flat = written_out(of_exported(program))
    assert [s.op for s in flat.steps] == ["conv2d", "conv2d"]
    assert [s.scopes[-1].path for s in flat.steps] == ["one", "two"]
    check(module, SHAPE, program=program, exact=True)


@examples(4)
@given(rounds=st.integers(0, 4), step=st.integers(1, 3), start=st.integers(-2, 3))
def test_loops_with_a_known_count_are_exact(rounds: int, step: int, start: int) -> None:
    kernel = torch.full((2, 2, 3, 3), 0.05, dtype=torch.float64)

    def thing(x: Any) -> Any:
        return hops.while_loop(
            lambda i, x: i < start + rounds * step,
            lambda i, x: (i + step, nn.functional.conv2d(x, kernel, padding=1)),
            (torch.tensor(start), x),
        )[1]

    field = check(thing, SHAPE, program=written_without_places(thing), exact=True)
    assert field.size.tolist() == [2 * rounds + 1] * 2


def written_without_places(thing: Any) -> Any:
    """The functional program of a function."""
    return written(thing, SHAPE).run_decompositions({})


@examples(4)
@given(dim=st.integers(2, 3), reverse=st.booleans(), last=st.booleans())
def test_scans(dim: int, reverse: bool, last: bool) -> None:
    sizes = [n for axis, n in enumerate(SHAPE) if axis != dim]

    def thing(x: Any) -> Any:
        start = torch.zeros(sizes, dtype=torch.float64)
        results = hops.scan(
            lambda c, x: (c + x, x + c * 2), start, x, dim=dim, reverse=reverse
        )
        return results[0 if last else 1]

    check(thing, SHAPE, program=written_without_places(thing))


def test_a_long_scan_is_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing_out, "MOST_STEPS", 4)

    def thing(x: Any) -> Any:
        start = torch.zeros(1, 2, 6, dtype=torch.float64)
        return hops.scan(lambda c, x: (c + x, x + c * 2), start, x, dim=2)[1]

    assert not check(thing, SHAPE, program=written_without_places(thing)).exact


def test_constants_of_branches_are_read() -> None:
    places = torch.tensor([1, 0, 3, 2, 4])

    def thing(x: Any) -> Any:
        return torch.cond(
            x.sum() > 60, lambda x: x[:, :, places], lambda x: x.flip(2), (x,)
        )

    check(thing, SHAPE, program=written_without_places(thing))


def test_a_known_condition_takes_one_branch() -> None:
    program = of_exported(
        written_without_places(
            lambda x: torch.cond(x.sum() > 1, lambda x: x * 2, lambda x: x + 1, (x,))
        )
    )
    for step in program.steps:
        if step.op == "higher_order.cond":
            step.arguments["0"] = True
    assert [s.op for s in written_out(program).steps][-1] == "mul"


def test_a_graph_that_takes_other_inputs_is_refused() -> None:
    body = Program([], ["a", "b"], [("", Value("a"))])
    step = Step("higher_order.wrap", {"0": body, "1": Value("x")}, ["y"])
    with pytest.raises(GraphError, match="takes 2 inputs, but 1 are given"):
        written_out(Program([step], ["x"], [("", Value("y"))]))


def test_results_that_a_graph_does_not_return_are_refused() -> None:
    body = Program([], ["a"], [("", Value("a"))])
    step = Step("higher_order.wrap", {"0": body, "1": Value("x")}, ["y", "z"])
    with pytest.raises(GraphError, match="returns 1 values, where 2 are expected"):
        written_out(Program([step], ["x"], [("", Value("y"))]))


def test_a_program_without_graphs_stays() -> None:
    program = of_exported(written(as_module(lambda x: x * 2), SHAPE))
    assert written_out(program) is program
