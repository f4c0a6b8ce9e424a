"""Why some numbers of a receptive field are unknown, or only upper bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Reasons:
    """The nodes that make numbers unknown or inexact, and a size that would help.

    Paths that see a whole axis are left out.

    Attributes:
      bounding_node: the first node whose regions are only upper bounds. None if all
        regions are exact, or if no single node is known to be the reason.
      padding_node: the first node whose padding depends on an unknown size, which is
        that of the input or follows from it. None if there is no such node.
      padding_stride: the stride of this node, which does not divide every size. None if
        the node has several strides.
      resolution: a size of the input, ``[height, width]`` for images, at which the
        network can run. None if the size is known, or if no such size was found.
      built_for: the size that the graph states for each axis of the input, x first, if
        the question is about another size. Constants that were computed from this size
        when the graph was built are kept. None if the graph does not state all sizes,
        or the question is about these sizes.
      local_output: if all paths see a whole axis, the last tensor before the output
        that has positions and local paths. None if there is none.
    """

    bounding_node: str | None = None
    padding_node: str | None = None
    padding_stride: int | None = None
    resolution: tuple[int, ...] | None = None
    local_output: str | None = None
    built_for: tuple[int, ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Returns the reasons as plain data for JSON.

        >>> Reasons(padding_node="conv", resolution=(224, 224)).to_dict()["resolution"]
        [224, 224]
        """
        return {
            "bounding_node": self.bounding_node,
            "padding_node": self.padding_node,
            "resolution": self.resolution and list(self.resolution),
            "local_output": self.local_output,
            "built_for": self.built_for and list(self.built_for),
        }
