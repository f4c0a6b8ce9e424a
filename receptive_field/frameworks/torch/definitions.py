"""The nodes of a graph of ATen ops, in the form that `graph.Graph` reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from receptive_field.frameworks.torch.program import Kind, Scope
from receptive_field.threads import lazy

INPUT, PARAMETER, BUFFER = "Input", "Parameter", "Buffer"
"""Op types of the nodes that stand for inputs, parameters, and buffers or constants."""


class Read(NamedTuple):
    """An argument that is one of the tensors that a node reads."""

    number: int


class Definition:
    """An op, an input or a weight."""

    __slots__ = (
        "arguments",
        "code",
        "input",
        "kinds",
        "name",
        "op",
        "scopes",
        "target",
        "trace",
        "values",
    )

    def __init__(
        self,
        name: str,
        op: str,
        arguments: Mapping[str, Any],
        inputs: Sequence[str] = (),
        kinds: Sequence[Kind | None] = (),
        scopes: Sequence[Scope] = (),
        code: str = "",
        target: str = "",
        values: Sequence[str | None] = (),
        trace: Trace | None = None,
    ) -> None:
        self.name = name
        self.op = op
        self.arguments = arguments
        """The arguments by name, with a `Read` in place of each tensor."""
        self.input = inputs
        """The tensors that the node reads: ``name`` or ``name:number``."""
        self.kinds = kinds
        """What is recorded about each result."""
        self.scopes = scopes
        self.code = code
        self.target = target
        """The op with its namespace and overload; empty for inputs and weights."""
        self.values = values
        """The names of the results in the program."""
        self.trace = trace
        """The trace that the node is from."""

    def sizes(self) -> Iterator[int | str | None]:
        """Yields the recorded sizes of all results."""
        for kind in self.kinds:
            yield from (kind and kind.sizes) or ()

    def signature(self) -> tuple[Any, ...]:
        """Returns what the same op has at all sizes."""
        return self.name, self.target, self.op, list(self.input)


class Trace:
    """The nodes of a program, and those of the same program at other sizes.

    A trace for inputs of known sizes writes every size as a number. Which of the
    numbers are sizes is seen in a second trace, for inputs of at least twice the sizes.
    It is made when it is first asked for.
    """

    def __init__(self, again: Callable[[], Sequence[Definition] | None]) -> None:
        """Initializes a trace without nodes.

        Args:
          again: returns the nodes of the second trace; None if there is none.
        """
        self.nodes: list[Definition] = []
        self._again = again

    @lazy
    def is_of_one_size(self) -> bool:
        """Whether the trace was made for inputs of known sizes.

        The inputs may have names of unknown sizes nevertheless, if a question is about
        other sizes. Then no other size has such a name.
        """
        names = {
            size
            for definition in self.nodes
            if definition.op == INPUT
            for size in definition.sizes()
            if not isinstance(size, int)
        }
        return not any(
            size is None or size in names
            for definition in self.nodes
            if definition.op != INPUT
            for size in definition.sizes()
        )

    @lazy
    def elsewhere(self) -> Mapping[str, Definition]:
        """The nodes at other sizes by name; empty if they are not the same ops."""
        other = self._again() or ()
        is_same = [d.signature() for d in self.nodes] == [d.signature() for d in other]
        return {d.name: d for d in other} if is_same else {}
