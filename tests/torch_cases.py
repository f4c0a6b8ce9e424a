"""Modules and functions of PyTorch, by op, that are held against what they do."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from needed import needed
from torch_experiments import (
    as_module,
    check,
    exported,
    ops_of,
    with_weights,
    writes,
    written,
)
from torch_sizes import functional, hold_sizes, loaded

torch = needed("torch")


class Case(NamedTuple):
    """A module, the shape of its input, and arguments of `check`."""

    module: Any
    shape: Sequence[int]
    options: Mapping[str, Any]

    def hold(self, ops: Collection[str] = ()) -> Any:
        """Holds the rules against the experiment, and returns the program.

        The module is also analysed at these sizes, and at unknown ones. To make a
        program functional takes long, so it is done only to one that writes to tensors,
        or that lacks some of the ops.
        """
        options = dict(self.options)
        dynamic = options.pop("dynamic", ())
        is_written = options.pop("written", bool(dynamic))
        axes = options.get("axes", (2, 3))
        model, program = loaded(self.module, self.shape, axes)
        if dynamic:
            program = written(self.module, self.shape, dynamic)
        elif not is_written and (
            writes(program) or not ops_of(program).issuperset(ops)
        ):
            program = functional(program) or exported(self.module, self.shape)
        field = check(self.module, self.shape, program=program, **options)
        hold_sizes(model, self.shape, axes, field)
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
      given: keyword arguments of it; ``check_`` marks options of `check`. Also,
        ``check_written`` says that the program is not made functional, and
        ``check_dynamic`` on which axes its input has unknown sizes.
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


class Together:
    """Functions that are held in one program, because each program takes a while.

    Their results are added up. So no function may depend on more than its rule says,
    and no rule may say more than all functions depend on.
    """

    def __init__(self, functions: Mapping[str, Callable[..., Any]], **given: Any):
        self.functions = functions
        self.given = {"shape": (1, 2, 3, 4), "check_exact": True} | given
        self.program: Any = None

    def __call__(self) -> Together:
        """Makes the case, which is itself."""
        return self

    def _run(self, x: Any) -> Any:
        results = (function(x).to(x.dtype) for function in self.functions.values())
        return sum(result.nan_to_num(0, 0, 0) for result in results)

    def hold(self, ops: Collection[str]) -> Any:
        """Holds the rules against the experiment once, and returns the program."""
        if self.program is None:
            self.program = case(self._run, **self.given)().hold(self.functions)
        return self.program


def together(
    functions: Mapping[str, Callable[..., Any]], **given: Any
) -> dict[str, list[Callable[[], Any]]]:
    """Returns cases by op, of functions of which each uses one op."""
    held = Together(functions, **given)
    return {name: [held] for name in functions}


Cases = dict[str, list[Callable[[], Any]]]
"""Op -> functions that make what `Case.hold` holds."""
