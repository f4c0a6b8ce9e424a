"""How a model became a graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Source:
    """How the graph of a model was made.

    Attributes:
      way: "graph" if the model is a graph; "layers" if the ops of a Keras model were
        written layer by layer; "trace" if TensorFlow traced the whole model.
      opened: the layer calls without a rule that were opened, which means that Keras
        called the layer with symbolic tensors. Each has the reason.
      traced: the layer calls that TensorFlow traced, each with the reason.
      stated: the layer calls whose rules the caller stated.
      reason: why the whole model was traced, if it was.
      by_name: whether the model is in a file that does not state where its classes are
        defined. A name then means the class of Keras, as it does for Keras itself.

    >>> import receptive_field as rf
    >>> print(rf.compute_receptive_field(rf.EXAMPLE_GRAPH).source)
    the graph
    """

    way: Literal["graph", "layers", "trace"] = "graph"
    opened: Mapping[str, str] = field(default_factory=dict)
    traced: Mapping[str, str] = field(default_factory=dict)
    stated: tuple[str, ...] = ()
    reason: str = ""
    by_name: bool = False

    def __str__(self) -> str:
        if self.way == "graph":
            return "the graph"
        if self.way == "trace":
            because = f", because {self.reason}" if self.reason else ""
            return f"a trace of the model by TensorFlow{because}"
        parts = ["the layers of the model, by their rules"]
        for how, found in (
            ("opened", self.opened),
            ("traced by TensorFlow", self.traced),
            ("by a rule of the caller", self.stated),
        ):
            if found:
                parts.append(f"{how}: {', '.join(map(repr, found))}")
        if self.by_name:
            parts.append("the file states no modules, so names mean classes of Keras")
        return "; ".join(parts)
