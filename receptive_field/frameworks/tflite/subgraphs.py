"""Reads a file: its ops, its subgraphs, their nodes, and its signatures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from receptive_field.errors import GraphError
from receptive_field.frameworks.tflite.content import Content
from receptive_field.frameworks.tflite.definitions import (
    CONSTANT,
    INPUT,
    VARIABLE,
    Activation,
    Operator,
    Source,
)
from receptive_field.frameworks.tflite.flatbuffer import Flatbuffer, Table, Tables
from receptive_field.frameworks.tflite.schema import BUILTINS
from receptive_field.frameworks.tflite.tensors import TensorInfo

Node = Source | Operator | Activation

PLACEHOLDER = BUILTINS.index("PLACEHOLDER_FOR_GREATER_OP_CODES")


class Signature(NamedTuple):
    """A function of a model: its subgraph, and the names of inputs and outputs."""

    subgraph: int
    inputs: Mapping[str, int]
    """The name of each input -> the number of its tensor."""
    outputs: Mapping[str, int]


@dataclass
class Subgraph:
    """The nodes of a subgraph, and the texts by which nodes read its tensors."""

    nodes: list[Node]
    inputs: list[int]
    outputs: list[int]
    texts: Mapping[int, str]
    """The number of a tensor -> the name of its node, with ``:k`` for output k > 0."""
    tensors: Sequence[TensorInfo]

    def text(self, tensor: int) -> str:
        """Returns the text by which nodes read a tensor."""
        return self.texts[tensor]


class TFLiteFile:
    """A model, whose subgraphs are read on demand."""

    def __init__(self, content: Content, name: str) -> None:
        """Reads the names of the ops. Error messages contain the name of the file."""
        self.buffer = Flatbuffer(content, name)
        self.name = name
        root = self.buffer.root()
        self._codes = root.tables(1, "the list of ops")
        self._subgraphs = root.tables(2, "the list of subgraphs")
        self._buffers = root.tables(4, "the list of buffers")
        self._signatures = root.tables(7, "the list of signatures")
        self._read: dict[int, Subgraph] = {}
        self._ops: dict[int, str] = {}
        if not len(self._subgraphs):
            raise GraphError(f"{name} contains no subgraph.")

    def __len__(self) -> int:
        """Returns the number of subgraphs."""
        return len(self._subgraphs)

    def signatures(self) -> dict[str, Signature]:
        """Returns the signatures of the model, by name."""
        found = {}
        for number in range(len(self._signatures)):
            table = self._signatures[number]
            name = table.text(2, "the name of a signature")
            inputs, outputs = (
                self._named(table.tables(place, "a signature")) for place in (0, 1)
            )
            found[name] = Signature(table.number(4, "I"), inputs, outputs)
        return found

    def _named(self, entries: Tables) -> dict[str, int]:
        return {e.text(0, "a signature"): e.number(1, "I") for e in _each(entries)}

    def subgraph(self, number: int) -> Subgraph:
        """Returns the nodes of a subgraph."""
        if number not in self._read:
            if not 0 <= number < len(self):
                raise GraphError(
                    f"{self.name} refers to subgraph {number}, but has {len(self)}."
                )
            self._read[number] = _Reader(self, number, self._subgraphs[number]).read()
        return self._read[number]

    def op(self, number: int, place: int) -> str:
        """Returns the name of an op, by its number in the list of ops.

        ``place`` is the byte at which an operator names it.
        """
        if number not in self._ops:
            if number >= len(self._codes):
                self.buffer.fail(
                    place, f"an operator has the op {number} of {len(self._codes)}"
                )
            self._ops[number] = self._name_of_op(self._codes[number])
        return self._ops[number]

    def _name_of_op(self, table: Table) -> str:
        """Returns the name of an op.

        Files before 2020 state its code in a byte. Later ones state it again in a field
        that has room for more, so the larger of the two is the code.
        """
        code: int = max(table.number(0, "b"), table.number(3, "i"))
        if not 0 <= code < len(BUILTINS) or code == PLACEHOLDER:
            self.buffer.fail(table.position, f"there is an op with the code {code}")
        name: str = BUILTINS[code]
        if name != "CUSTOM":
            return name
        return table.text(1, "the name of an op") or "CUSTOM"

    def tensors(self, table: Table, subgraph: int) -> list[TensorInfo]:
        """Returns the tensors of a subgraph."""
        found = table.tables(0, "the list of tensors")
        buffers = self._buffers
        return [TensorInfo(t, buffers, subgraph, n) for n, t in enumerate(_each(found))]


def _each(tables: Tables) -> Iterable[Table]:
    return (tables[number] for number in range(len(tables)))


class _Reader:
    """Reads the nodes of one subgraph."""

    def __init__(self, file: TFLiteFile, number: int, table: Table) -> None:
        self.file = file
        self.table = table
        self.number = number
        self.tensors = file.tensors(table, number)
        self.texts: dict[int, str] = {}
        self.handles: dict[str, str] = {}
        """The name of a node -> the name of the variable that it returns."""
        self.taken: set[str] = set()
        self.nodes: list[Node] = []
        self.used: set[int] = set()
        """The tensors that operators have read so far."""

    def read(self) -> Subgraph:
        inputs = self._numbers(self.table, 1, "the inputs of a subgraph")
        outputs = self._numbers(self.table, 2, "the outputs of a subgraph")
        operators = self.table.tables(3, "the list of operators")
        inputs, outputs = (
            [number for number in listed if number >= 0] for listed in (inputs, outputs)
        )
        for number in dict.fromkeys(inputs):
            self._add_source(number, INPUT)
        made = [self._operator(o, n) for n, o in enumerate(_each(operators))]
        assigned: dict[str, str] = {}
        for operator in made:
            operator.input += [self._text(tensor.number) for tensor in operator.given]
            self._follow_variable(operator, assigned)
        for operator in made:
            self._add_operator(operator)
        for number in outputs:
            self._text(number)
        return Subgraph(self.nodes, inputs, outputs, self.texts, self.tensors)

    def _operator(self, table: Table, number: int) -> Operator:
        """Returns an operator, and gives names to the tensors that it returns."""
        op = self.file.op(table.number(0, "I"), table.position)
        inputs = self._numbers(table, 1, "the inputs of an operator")
        outputs = self._numbers(table, 2, "the outputs of an operator")
        places = [place for place, tensor in enumerate(inputs) if tensor >= 0]
        given = [self.tensors[inputs[place]] for place in places]
        returned = [self.tensors[tensor] for tensor in outputs if tensor >= 0]
        self.used.update(tensor.number for tensor in given)
        if returned:
            name = self._name(returned[0], short=True)
        else:
            name = self._free(f"{op.lower()}_{number}")
        for place, tensor in enumerate(returned):
            if tensor.number in self.texts or tensor.number in self.used:
                self.file.buffer.fail(
                    table.position,
                    f"an operator computes tensor {tensor.number}, which has a value "
                    "already, or is read before",
                )
            self.texts[tensor.number] = f"{name}:{place}" if place else name
        own = self.number, number
        return Operator(name, op, table, own, given, places, returned)

    def _add_operator(self, operator: Operator) -> None:
        """Adds the node of an operator and, if it has one, that of its activation.

        What reads the operator's result reads that of the activation.
        """
        self.nodes.append(operator)
        if operator.activation:
            name = operator.name
            operator.name = self._free(f"{name}/{operator.op}")
            read = (operator.name,)
            self.nodes.append(Activation(name, operator.activation, operator, read))

    def _follow_variable(self, operator: Operator, assigned: dict[str, str]) -> None:
        """Lets an operator that reads a variable read the value that it was assigned.

        ``assigned`` maps the handle of each variable to this value.
        """
        if operator.op == "VAR_HANDLE":
            key = operator.attributes.get("shared_name", "")
            self.handles[operator.name] = f"name {key}"
        elif operator.op in ("ASSIGN_VARIABLE", "READ_VARIABLE") and operator.input:
            handle = operator.input[0]
            handle = self.handles.get(handle, handle)
            if operator.op == "READ_VARIABLE":
                operator.input += [assigned[handle]] if handle in assigned else []
            elif len(operator.input) > 1:
                assigned[handle] = operator.input[1]

    def _text(self, number: int) -> str:
        """Returns the text for a tensor, which is a constant if nothing computes it."""
        if number not in self.texts:
            kind = VARIABLE if self.tensors[number].is_variable else CONSTANT
            self._add_source(number, kind)
        return self.texts[number]

    def _add_source(self, number: int, kind: str) -> None:
        tensor = self.tensors[number]
        name = self._name(tensor, short=kind == INPUT)
        self.texts[number] = name
        self.nodes.append(Source(name, kind, tensor))

    def _name(self, tensor: TensorInfo, short: bool) -> str:
        """Returns a name for the node that returns a tensor first.

        Converters join the names of all ops that became one, with semicolons. The first
        of them is the name of the node, unless another node has it.
        """
        full = tensor.name.removesuffix(":0").replace(":", "_")
        full = full.strip("/^ ") or f"tensor_{tensor.number}"
        first = full.split(";")[0]
        return self._free(*([first] if short and first else []), full)

    def _free(self, *names: str) -> str:
        """Returns the first name that no node has, or the last one with a number."""
        name = next((name for name in names if name not in self.taken), "")
        number = 2
        while not name:
            numbered = f"{names[-1]}_{number}"
            name = "" if numbered in self.taken else numbered
            number += 1
        self.taken.add(name)
        return name

    def _numbers(self, table: Table, field: int, what: str) -> list[int]:
        """Returns numbers of tensors. -1 stands for an input that is not given."""
        found = list(table.numbers(field, "i", what))
        for number in found:
            if not -1 <= number < len(self.tensors):
                self.file.buffer.fail(
                    table.position,
                    f"{what} contain tensor {number}, but there are "
                    f"{len(self.tensors)} tensors",
                )
        return found
