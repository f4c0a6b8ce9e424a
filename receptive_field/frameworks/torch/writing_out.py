"""Makes one flat program of a program with graphs inside it.

A graph that always runs takes the place of the step that calls it. Both branches of a
condition are written out, and the step reads what they return. A loop whose number of
iterations is known is written out once for each; any other loop becomes a cycle, in
which the variables read what the last iteration has returned.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from receptive_field.errors import GraphError
from receptive_field.frameworks.torch.program import (
    Kind,
    Program,
    Step,
    Value,
    Weight,
    replaced,
)

MOST_STEPS = 4096
"""A loop is written out if that adds at most this many steps."""

VARIABLE, NEXT, SLICE = "control.variable", "control.next", "control.slice"
"""The ops of loops that are cycles: a variable, its next value, and a slice of what a
scan runs over."""

_ONCE = frozenset(
    f"higher_order.{name}"
    for name in (
        "dynamo_bypassing_wrapper",
        "hints_wrapper",
        "inductor_compiled_code",
        "invoke_subgraph",
        "strict_mode",
        "tag_activation_checkpoint",
        "wrap",
        "wrap_activation_checkpoint",
        "wrap_with_autocast",
        "wrap_with_set_grad_enabled",
    )
)
"""The ops that run one graph once."""


def written_out(program: Program) -> Program:
    """Returns a program without graphs in the arguments of its steps.

    Graphs of ops that have rules of their own stay.

    Raises:
      GraphError: if a graph does not take or return what its step expects.
    """
    if not any(_graphs(step) for step in program.steps):
        return program
    return _Writer(program).program


def _graphs(step: Step) -> list[Program]:
    return [a for a in step.arguments.values() if isinstance(a, Program)]


class _Names(dict[str, Any]):
    """Name of a value in one graph -> what it is in the flat program."""

    def __call__(self, argument: Any) -> Any:
        """Returns an argument of a step as it is in the flat program."""
        return replaced(argument, lambda value: self.get(value.name, value))


class _Writer:
    """Writes a flat program.

    Attributes:
      program: the flat program.
    """

    def __init__(self, program: Program) -> None:
        kinds = dict(program.kinds)
        self.program = Program([], program.inputs, [], dict(program.weights), kinds)
        self._taken = {*program.inputs, *program.weights, *kinds}
        for step in program.steps:
            self._taken.update(output for output in step.outputs if output)
        self._numbers: dict[str, Any] = {
            name: value
            for name, weight in program.weights.items()
            if (value := _number_in(weight, kinds.get(name))) is not None
        }
        self._weights: dict[tuple[int, str], str] = {}
        names = _Names()
        for step in program.steps:
            self._write(step, names, "")
        self.program.outputs = [(label, names(v)) for label, v in program.outputs]
        self.program.calls = {
            call: (path, [(label, names(value)) for label, value in returned])
            for call, (path, returned) in program.calls.items()
        }

    def _unique(self, name: str) -> str:
        """Returns a name that no value has yet."""
        found, number = name, 0
        while found in self._taken:
            number += 1
            found = f"{name}_{number}"
        self._taken.add(found)
        return found

    def _named(self, name: str, kind: Kind | None) -> str:
        """Returns a new name for a value."""
        found = self._unique(name)
        if kind is not None:
            self.program.kinds[found] = kind
        return found

    def _write(
        self,
        step: Step,
        names: _Names,
        prefix: str,
        outputs: Sequence[str | None] | None = None,
    ) -> None:
        """Writes a step.

        Args:
          step: the step.
          names: what the values of its graph are in the flat program.
          prefix: the prefix of the names of values in its graph.
          outputs: the names of its results in the flat program; None if they stay.
        """
        arguments = {key: names(a) for key, a in step.arguments.items()}
        results = [*(step.outputs if outputs is None else outputs)]
        made = Step(step.target, arguments, results, step.scopes, step.code)
        found: list[Any] | None = None
        if _graphs(step):
            inside = f"{prefix}{step.outputs[0] if step.outputs else step.op}/"
            found = self._results(made, inside)
        if found is None:
            self._add(made)
            found = [Value(output or "") for output in results]
        if len(found) != len(results):
            raise GraphError(
                f"a graph of {step.op} returns {len(found)} values, where "
                f"{len(results)} are expected."
            )
        for output, value in zip(step.outputs, found, strict=True):
            if output is not None:
                names[output] = value

    def _add(self, step: Step) -> None:
        self.program.steps.append(step)
        (output, *others) = step.outputs or [None]
        if output is not None and not others:
            number = _computed(step, self._number)
            if number is not None:
                self._numbers[output] = number

    def _new(
        self, like: Step, target: str, arguments: dict[str, Any], kinds: Sequence[Any]
    ) -> list[Value]:
        """Adds a step, and returns its results."""
        name = target.rpartition(".")[2] if target.count(".") == 1 else target
        outputs = [self._named(f"{name}#{i}", kind) for i, kind in enumerate(kinds)]
        self._add(Step(target, arguments, [*outputs], like.scopes, like.code))
        return [Value(output) for output in outputs]

    def _results(self, step: Step, prefix: str) -> list[Any] | None:
        """Writes out the graphs of a step, and returns its results.

        Returns None if the graphs of this op are not written out.
        """
        if step.op in _ONCE:
            return self._once(step, prefix)
        write = {
            "higher_order.cond": self._branch,
            "higher_order.while_loop": self._loop,
            "higher_order.scan": self._scan,
            "higher_order.map_impl": self._map,
            "higher_order.associative_scan": self._accumulate,
        }.get(step.op)
        return None if write is None else write(step, prefix)

    # --- Graphs ----------------------------------------------------------------------

    def _body(
        self, step: Step, body: Any, operands: Sequence[Any], prefix: str
    ) -> list[Any]:
        """Writes the steps of a graph, and returns its results."""
        if not isinstance(body, Program) or len(operands) != len(body.inputs):
            taken = len(body.inputs) if isinstance(body, Program) else "no"
            raise GraphError(
                f"a graph of {step.op} takes {taken} inputs, but {len(operands)} are "
                "given."
            )
        names = _Names(zip(body.inputs, operands, strict=True))
        for name, weight in body.weights.items():
            names[name] = Value(self._weight(body, name, weight))
        for inner in body.steps:
            outputs = [
                None
                if output is None
                else self._named(prefix + output, body.kinds.get(output))
                for output in inner.outputs
            ]
            inner = Step(
                inner.target,
                inner.arguments,
                inner.outputs,
                inner.scopes or step.scopes,
                inner.code or step.code,
            )
            self._write(inner, names, prefix, outputs)
        return [names(value) for _, value in body.outputs]

    def _weight(self, body: Program, name: str, weight: Weight) -> str:
        """Returns the name of a constant of a graph, which is added once."""
        key = id(body), name
        if key not in self._weights:
            kind = body.kinds.get(name)
            found = self._weights[key] = self._named(name, kind)
            self.program.weights[found] = weight
            number = _number_in(weight, kind)
            if number is not None:
                self._numbers[found] = number
        return self._weights[key]

    def _once(self, step: Step, prefix: str) -> list[Any]:
        (body,) = _graphs(step)
        given = [*step.arguments.items()]
        place = next(i for i, (_, a) in enumerate(given) if a is body)
        operands = list(_flat(a for name, a in given[place + 1 :] if name.isdigit()))
        if len(operands) > len(body.inputs):  # Some ops also take a name.
            operands = [a for a in operands if not isinstance(a, str)]
        return self._body(step, body, operands, prefix)

    def _branch(self, step: Step, prefix: str) -> list[Any] | None:
        condition, one, two, operands = (step.arguments.get(str(i)) for i in range(4))
        known = self._number(condition)
        operands = list(_flat([operands]))
        if known is not None:
            taken, name = (one, "true") if known else (two, "false")
            return self._body(step, taken, operands, f"{prefix}{name}/")
        results = [
            self._body(step, body, operands, f"{prefix}{name}/")
            for name, body in (("true", one), ("false", two))
        ]
        if any(len(found) != len(step.outputs) for found in results) or not all(
            isinstance(value, Value) for found in results for value in found
        ):
            raise GraphError(
                f"the branches of {step.op} do not return the same tensors."
            )
        arguments = {"pred": condition, "true": results[0], "false": results[1]}
        self._add(Step(step.target, arguments, step.outputs, step.scopes, step.code))
        return [Value(output or "") for output in step.outputs]

    # --- Loops -----------------------------------------------------------------------

    def _loop(self, step: Step, prefix: str) -> list[Any]:
        condition, body, carried, rest = (step.arguments.get(str(i)) for i in range(4))
        carried, rest = list(_flat([carried])), list(_flat([rest]))
        rounds = self._rounds(condition, body, [*carried, *rest], len(carried))
        if rounds is not None:
            for number in range(rounds):
                inside = f"{prefix}{number}/"
                carried = self._body(step, body, [*carried, *rest], inside)
            return carried
        variables, go_on = self._variables(step, carried)
        (known,) = self._body(step, condition, [*variables, *rest], f"{prefix}cond/")
        go_on(self._body(step, body, [*variables, *rest], f"{prefix}body/"))
        return self._left(step, variables, [], known)

    def _rounds(
        self, condition: Any, body: Any, given: Sequence[Any], count: int
    ) -> int | None:
        """Returns how often a loop runs, or None if that is not known."""
        if not isinstance(condition, Program) or not isinstance(body, Program):
            return None
        numbers = [self._number(argument) for argument in given]
        for rounds in range(MOST_STEPS // max(len(body.steps), 1) + 1):
            (goes_on,) = self._evaluated(condition, numbers)
            if goes_on is None:
                return None
            if not goes_on:
                return rounds
            numbers[:count] = self._evaluated(body, numbers)
        return None

    def _evaluated(self, body: Program, numbers: Sequence[Any]) -> list[Any]:
        """Returns the results of a graph, as far as they are known numbers."""
        known = dict(zip(body.inputs, numbers, strict=True))
        for name, weight in body.weights.items():
            known[name] = _number_in(weight, body.kinds.get(name))

        def number(argument: Any) -> Any:
            if isinstance(argument, Value):
                return known.get(argument.name)
            return _plain(argument)

        for step in body.steps:
            if len(step.outputs) == 1 and step.outputs[0] is not None:
                known[step.outputs[0]] = _computed(step, number)
        return [number(value) for _, value in body.outputs]

    def _number(self, argument: Any) -> Any:
        """Returns the number that an argument of the flat program is, if known."""
        if isinstance(argument, Value):
            return self._numbers.get(argument.name)
        return _plain(argument)

    def _kind(self, argument: Any) -> Kind | None:
        if isinstance(argument, Value):
            return self.program.kinds.get(argument.name)
        return None

    def _variables(
        self, step: Step, starts: Sequence[Any]
    ) -> tuple[list[Value], Callable[[Sequence[Any]], None]]:
        """Adds a variable for each value that a loop carries.

        Returns:
          The variables, and a function that states their values in the next iteration.
        """
        following = [self._named(NEXT, self._kind(start)) for start in starts]
        variables = []
        for start, later in zip(starts, following, strict=True):
            read = [a for a in (start, Value(later)) if isinstance(a, Value)]
            kinds = [self._kind(start)]
            variables += self._new(step, VARIABLE, {"values": read}, kinds)

        def go_on(returned: Sequence[Any]) -> None:
            for later, value in zip(following, returned, strict=False):
                arguments = {"self": value}
                self._add(Step(NEXT, arguments, [later], step.scopes, step.code))

        return variables, go_on

    def _left(
        self,
        step: Step,
        variables: Sequence[Any],
        results: Sequence[Any],
        condition: Any = None,
    ) -> list[Any]:
        """Adds the step that reads what a loop returns.

        Args:
          step: the loop.
          variables: the variables that it returns.
          results: the results of one iteration, which are stacked.
          condition: the condition to go on.
        """
        arguments: dict[str, Any] = {
            "variables": [*variables],
            "results": [*results],
        }
        if isinstance(condition, Value):
            arguments["condition"] = condition
        self._add(Step(step.target, arguments, step.outputs, step.scopes, step.code))
        return [Value(output or "") for output in step.outputs]

    def _length(self, step: Step, body: Any, over: Sequence[Any]) -> int | None:
        """Returns the length of a scan that is written out, or None."""
        kinds = [self._kind(argument) for argument in over]
        lengths = {kind.sizes[0] for kind in kinds if kind is not None and kind.sizes}
        length = lengths.pop() if len(lengths) == 1 else None
        if not isinstance(length, int) or not isinstance(body, Program):
            return None
        return length if length * max(len(body.steps), 1) <= MOST_STEPS else None

    def _apart(self, step: Step, over: Sequence[Any], length: int) -> list[list[Value]]:
        """Adds the slices of what a scan runs over, for each iteration."""
        found: list[list[Value]] = []
        for argument in over:
            kinds = [_inner(self._kind(argument))] * length
            arguments = {"self": argument, "dim": 0}
            found.append(self._new(step, "aten.unbind.int", arguments, kinds))
        return [list(items) for items in zip(*found, strict=True)]

    def _slices(self, step: Step, over: Sequence[Any]) -> list[Value]:
        """Adds a slice of an unknown iteration for each tensor that is run over."""
        found: list[Value] = []
        for argument in over:
            kinds = [_inner(self._kind(argument))]
            found += self._new(step, SLICE, {"self": argument}, kinds)
        return found

    def _stacked(self, step: Step, items: Sequence[Any], output: str | None) -> Value:
        """Adds the step that stacks the results of all iterations."""
        name = output or self._unique("stack")
        arguments = {"tensors": [*items], "dim": 0}
        self._add(Step("aten.stack.default", arguments, [name], step.scopes, step.code))
        return Value(name)

    def _scan(self, step: Step, prefix: str) -> list[Any]:
        body, carried, over, rest = (
            step.arguments.get("0"),
            *(list(_flat([step.arguments.get(str(i))])) for i in (1, 2, 3)),
        )
        return self._scanned(step, body, carried, over, rest, prefix)

    def _map(self, step: Step, prefix: str) -> list[Any]:
        over, rest = (list(_flat([step.arguments.get(str(i))])) for i in (1, 2))
        return self._scanned(step, step.arguments.get("0"), [], over, rest, prefix)

    def _scanned(
        self,
        step: Step,
        body: Any,
        carried: list[Any],
        over: list[Any],
        rest: list[Any],
        prefix: str,
    ) -> list[Any]:
        count, length = len(carried), self._length(step, body, over)
        if length is None:
            variables, go_on = self._variables(step, carried)
            slices = self._slices(step, over)
            found = self._body(step, body, [*variables, *slices, *rest], prefix)
            go_on(found[:count])
            return self._left(step, variables, found[count:])
        results: list[list[Any]] = []
        for number, items in enumerate(self._apart(step, over, length)):
            inside = f"{prefix}{number}/"
            found = self._body(step, body, [*carried, *items, *rest], inside)
            carried = found[:count]
            results.append(found[count:])
        outputs = step.outputs[count:]
        return [
            *carried,
            *(
                self._stacked(step, items, output)
                for items, output in zip(
                    zip(*results, strict=True), outputs, strict=True
                )
            ),
        ]

    def _accumulate(self, step: Step, prefix: str) -> list[Any]:
        body = step.arguments.get("0")
        over, rest = (list(_flat([step.arguments.get(str(i))])) for i in (1, 2))
        length = self._length(step, body, over)
        if length is None:
            variables, go_on = self._variables(step, self._slices(step, over))
            slices = self._slices(step, over)
            go_on(self._body(step, body, [*variables, *slices, *rest], prefix))
            return self._left(step, [], variables)
        results: list[list[Any]] = []
        for number, items in enumerate(self._apart(step, over, length)):
            inside = f"{prefix}{number}/"
            found: list[Any] = [*items]
            if results:
                operands = [*results[-1], *items, *rest]
                found = self._body(step, body, operands, inside)
            results.append(found)
        pairs = zip(zip(*results, strict=True), step.outputs, strict=True)
        return [self._stacked(step, items, output) for items, output in pairs]


def _inner(kind: Kind | None) -> Kind | None:
    """Returns what is recorded about a slice of a tensor along its first axis."""
    if kind is None or not kind.sizes:
        return None
    return Kind(kind.sizes[1:], kind.dtype)


def _flat(arguments: Any) -> Iterator[Any]:
    for argument in arguments:
        if isinstance(argument, (list, tuple)) and not isinstance(argument, Value):
            yield from _flat(argument)
        elif argument is not None:
            yield argument


# --- Numbers -------------------------------------------------------------------------


def _plain(argument: Any) -> Any:
    return argument if isinstance(argument, int) else None


def _number_in(weight: Weight, kind: Kind | None) -> Any:
    """Returns the integer or boolean that a constant without axes holds, or None."""
    if kind is None or kind.sizes != () or weight.values is None:
        return None
    return weight.values().item()


_SAME = ["alias", "clone", "detach", "detach_", "lift_fresh", "lift_fresh_copy"]
"""The ops that return a number as it is."""

_PAIRS: Mapping[str, Callable[[Any, Any], Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
    "eq": operator.eq,
    "ne": operator.ne,
    "logical_and": lambda one, two: bool(one) and bool(two),
    "logical_or": lambda one, two: bool(one) or bool(two),
    "bitwise_and": operator.and_,
    "bitwise_or": operator.or_,
}
"""The ops whose results count iterations and compare their number."""


def _computed(step: Step, number: Callable[[Any], Any]) -> Any:
    """Returns the number that a step computes, if it is known."""
    arguments, op = step.arguments, step.op.removeprefix("operator.")
    if op in _SAME:
        return number(arguments.get("self"))
    if op == "logical_not":
        found = number(arguments.get("self"))
        return None if found is None else not found
    if op not in _PAIRS or arguments.get("alpha", 1) != 1:
        return None
    one, two = (
        number(arguments.get(name, arguments.get(place)))
        for name, place in (("self", "0"), ("other", "1"))
    )
    return None if one is None or two is None else _PAIRS[op](one, two)
