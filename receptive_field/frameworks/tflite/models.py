"""Makes a `Model` of one signature of a file, with everything that it calls inlined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from receptive_field.errors import GraphError
from receptive_field.frameworks.tensorflow.functions import Definition, Inliner
from receptive_field.frameworks.tflite.content import Content
from receptive_field.frameworks.tflite.definitions import CALLING
from receptive_field.frameworks.tflite.framework import TFLITE
from receptive_field.frameworks.tflite.ops import OPS
from receptive_field.frameworks.tflite.subgraphs import (
    Signature,
    Subgraph,
    TFLiteFile,
)
from receptive_field.graph.graph import Graph, Node, Tensor
from receptive_field.graph.model import Model


def model_from(
    content: Content, called: str, name: str, signature: str | None
) -> Model:
    """Returns the model of a file.

    Args:
      content: the bytes of the file.
      called: what the file is called in errors.
      name: the name of the graph in results.
      signature: the signature to use, if the file has several.

    Raises:
      GraphError: if the file is damaged, or does not have the signature.
    """
    return _model(TFLiteFile(content, called), name, signature)


def _model(file: TFLiteFile, name: str, signature: str | None) -> Model:
    chosen = _chosen(file, signature)
    subgraph = file.subgraph(chosen.subgraph)
    graph = Graph(subgraph.nodes, name, rules=OPS, framework=TFLITE)
    _Inlined(file, graph).write()
    inputs, outputs = (
        {name: graph.tensor(subgraph.text(number)) for name, number in named.items()}
        for named in (chosen.inputs, chosen.outputs)
    )
    names: dict[str, Tensor] = {}
    for number, text in subgraph.texts.items():
        full = subgraph.tensors[number].name
        if full and full != text:
            names.setdefault(full, graph.tensor(text))
    return Model(graph, file, inputs, outputs, operations=names)


def _chosen(file: TFLiteFile, name: str | None) -> Signature:
    """Returns one of the signatures, or the first subgraph if there are none."""
    signatures = file.signatures()
    if name is None and len(signatures) > 1:
        if "serving_default" not in signatures:
            raise GraphError(
                f"{file.name} has several signatures: {', '.join(sorted(signatures))}. "
                "Choose one with signature=."
            )
        name = "serving_default"
    if name is not None and name not in signatures:
        known = ", ".join(sorted(signatures)) or "none"
        raise GraphError(
            f"{file.name} has no signature {name!r}; its signatures are: {known}."
        )
    if signatures:
        chosen = next(iter(signatures.values()))
        if name is not None:
            chosen = signatures[name]
        return _checked(file, chosen)
    first = file.subgraph(0)
    named = ({first.text(n): n for n in ns} for ns in (first.inputs, first.outputs))
    return Signature(0, *named)


def _checked(file: TFLiteFile, signature: Signature) -> Signature:
    """Returns a signature whose tensors all exist.

    Raises:
      GraphError: if one does not.
    """
    known = file.subgraph(signature.subgraph).texts
    for name, number in {**signature.inputs, **signature.outputs}.items():
        if number not in known:
            raise GraphError(
                f"{file.name} is damaged: a signature calls tensor {number} {name!r}, "
                "but nothing reads or computes this tensor."
            )
    return signature


@dataclass(frozen=True, slots=True)
class _Named:
    name: str


@dataclass(frozen=True, slots=True)
class _Arguments:
    input_arg: Sequence[_Named]
    output_arg: Sequence[_Named]


@dataclass(frozen=True, slots=True)
class _Function:
    """A subgraph, with the fields of a FunctionDef."""

    signature: _Arguments
    node_def: Sequence[Any]
    ret: Mapping[str, str]


class _Functions(dict[str, Any]):
    """The subgraphs of a file as functions, by number, each read when it is called."""

    def __init__(self, file: TFLiteFile) -> None:
        self._file = file

    def get(self, name: str, default: Any = None) -> Any:
        """Returns a subgraph as a function."""
        if name not in self:
            self[name] = _function(self._file.subgraph(int(name)))
        return self[name]


def _function(subgraph: Subgraph) -> _Function:
    inputs = [_Named(subgraph.text(number)) for number in subgraph.inputs]
    returned = {str(k): subgraph.text(n) for k, n in enumerate(subgraph.outputs)}
    given = {name.name for name in inputs}
    nodes = [node for node in subgraph.nodes if node.name not in given]
    return _Function(_Arguments(inputs, list(map(_Named, returned))), nodes, returned)


class _Inlined(Inliner):
    """Inlines the subgraphs that the operators of a graph call."""

    def __init__(self, file: TFLiteFile, graph: Graph) -> None:
        super().__init__(graph, _Functions(file))

    def write(self) -> None:
        for node in self.graph:
            if node.op in CALLING and not isinstance(node.definition, Definition):
                self._inline(node)
        assigning = list(self.graph.of_ops("ASSIGN_VARIABLE"))
        for node in self.graph.of_ops("READ_VARIABLE"):
            # When another subgraph runs is not known, so the variable may have any of
            # the values that others assign.
            others = [n for n in assigning if n.frame is not node.frame]
            values = [tensor for n in others for tensor in n.inputs[1:]]
            node.attributes["elsewhere"] = bool(values)
            if values:
                node.read([*node.inputs, *values])

    def _inline(self, node: Node) -> None:
        numbers = [str(_number(node, name)) for name in CALLING[node.op]]
        if node.op in ("WHILE", "STABLEHLO_WHILE"):
            self.loop(node, *numbers)
        elif node.op == "IF":
            self.branch(node, numbers)
        elif node.op == "STABLEHLO_CASE":
            self.branch(node, map(str, node.attribute("branches", [])))
        else:
            self.call(node, numbers[0])


def _number(node: Node, name: str) -> int:
    found = node.attribute(name)
    if not isinstance(found, int):
        raise GraphError(
            f"{node.op} node {node.name!r} does not say which subgraph it calls."
        )
    return found
