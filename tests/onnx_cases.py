"""Models of a single ONNX op, by op type, that are held against onnxruntime."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from onnx_experiments import check, operation


class Case(NamedTuple):
    """A model, the shape of its input "x", and arguments of `check`."""

    model: Any
    shape: Sequence[int]
    options: Mapping[str, Any]

    def hold(self) -> None:
        """Holds the rule against the experiment."""
        check(self.model, self.shape, **self.options)


def case(
    op: str, *inputs: Any, shape: Sequence[int] = (1, 2, 5, 6), **given: Any
) -> Any:
    """A function that makes a `Case`; ``check_`` marks options of `check`."""
    options = {
        k.removeprefix("check_"): v for k, v in given.items() if k[:6] == "check_"
    }
    rest = {k: v for k, v in given.items() if k[:6] != "check_"}
    return lambda: Case(operation(op, shape, *inputs, **rest), shape, options)


Cases = Mapping[str, Sequence[Callable[[], Case]]]
