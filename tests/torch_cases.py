"""Modules and functions of PyTorch, by op, that are held against what they do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from torch_experiments import as_module, check, exported, with_weights, written


class Case(NamedTuple):
    """A module, the shape of its input, and arguments of `check`."""

    module: Any
    shape: Sequence[int]
    options: Mapping[str, Any]

    def hold(self) -> Any:
        """Holds the rules against the experiment, and returns the program."""
        options = dict(self.options)
        export = written if options.pop("written", False) else exported
        program = export(self.module, self.shape)
        check(self.module, self.shape, program=program, **options)
        return program


def case(
    make: Callable[..., Any],
    *arguments: Any,
    shape: Sequence[int] = (1, 2, 5, 6),
    **given: Any,
) -> Callable[[], Case]:
    """A function that makes a `Case`.

    Args:
      make: a class of modules, which is called with the other arguments; or a function
        of a tensor, which gets them after the tensor.
      arguments: arguments of it.
      shape: the shape of the input.
      given: keyword arguments of it; ``check_`` marks options of `check`, and
        ``check_written`` says that the program is not made functional.
    """
    options = {
        k.removeprefix("check_"): v for k, v in given.items() if k[:6] == "check_"
    }
    rest = {k: v for k, v in given.items() if k[:6] != "check_"}

    def made() -> Case:
        if isinstance(make, type):
            module = with_weights(make(*arguments, **rest))
        else:
            module = as_module(lambda x: make(x, *arguments, **rest))
        return Case(module, shape, options)

    return made


Cases = Mapping[str, Sequence[Callable[[], Case]]]
