"""The masks of tensors, which say which time steps of a sequence are real.

A mask is a tensor that Keras carries beside another tensor. A layer may read the masks
of its inputs, remove them, and give its outputs masks.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from receptive_field.frameworks.keras.calls import NoRuleError, leaves
from receptive_field.graph.graph import Graph, Tensor

KERAS_OF_MASKS = (3, 15)
"""The release of Keras whose layers the rules of masks follow. In earlier releases,
some layers read, remove and pass on masks in other ways."""


class MasksError(NoRuleError):
    """It is not known which masks a layer reads."""


def added(
    names: Collection[str],
    given: Mapping[str, Any],
    masks: Callable[[Any], Any],
    is_tensor: Callable[[Any], bool],
) -> dict[str, Any]:
    """Returns the masks that Keras adds to the arguments of a call.

    The mask of the only tensor is called ``mask``. Of several tensors, each has a mask
    of its own, if the layer takes one.

    Args:
      names: the names of the arguments that the layer takes.
      given: the arguments of the call.
      masks: returns the masks of the tensors in an argument.
      is_tensor: returns whether an object is a tensor.
    """
    read = [name for name, thing in given.items() if any(map(is_tensor, leaves(thing)))]
    found = {
        "mask" if len(read) == 1 else f"{name}_mask": masks(given[name])
        for name in read
    }
    return {
        name: mask
        for name, mask in found.items()
        if name in names and mask is not None and given.get(name) is None
    }


SAME = frozenset(
    (
        *("Array", "Cast", "Ceil", "Conj", "Conjugate", "ConvertToTensor", "Copy"),
        *("Diff", "Floor", "NanToNum", "Real", "Rot90", "Round", "SaturateCast"),
        *("Trunc", "View"),
    )
)
"""Functions of `keras.ops` that may return the tensor itself, with its mask."""


class Masks:
    """The masks of the tensors of a graph, as the calls so far have left them."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._of: dict[Tensor, Tensor] = {}
        self._read: set[Tensor] = set()
        """The tensors whose masks the call that is written has read or removed."""
        self._before: dict[Tensor, list[tuple[int, bool]]] = {}
        """Tensor -> the output of each call that read its mask; whether it removed it.
        """

    def copy(self) -> Masks:
        """Returns the masks as they are now."""
        other = Masks(self._graph)
        other._of, other._read = dict(self._of), set(self._read)
        other._before = {key: list(calls) for key, calls in self._before.items()}
        return other

    def peek(self, tensor: Tensor) -> Tensor | None:
        """Returns the mask of a tensor, without reading it for a call."""
        return self._of.get(tensor)

    def of(self, tensor: Tensor) -> Tensor | None:
        """Returns the mask of a tensor, for the call that is written."""
        if tensor in self._of or tensor in self._before:
            self._read.add(tensor)
        return self._of.get(tensor)

    def put(self, tensor: Tensor, mask: Tensor | None) -> None:
        """Gives a tensor a mask, unless it has one."""
        if mask is not None:
            self._of.setdefault(tensor, mask)

    def remove(self, tensor: Tensor) -> None:
        """Removes the mask of a tensor, also for the calls that come later."""
        if self.of(tensor) is not None:
            del self._of[tensor]

    def called(self, inputs: Iterable[Tensor], output: Tensor) -> None:
        """Ends a call.

        Raises:
          MasksError: if it reads a mask that another call removes, or the other way
            round, and neither of the calls needs the other to have run.
        """
        read, self._read = self._read, set()
        for tensor in read:
            calls = self._before.setdefault(tensor, [])
            removes = tensor not in self._of and not any(gone for _, gone in calls)
            for other, removed in calls:
                if (removes or removed) and not self._needs(inputs, other):
                    raise MasksError(
                        "another layer removes the mask of the tensor that it reads, "
                        "before or after it"
                    )
            calls.append((output[0], removes))

    def _needs(self, tensors: Iterable[Tensor], node: int) -> bool:
        """Returns whether any of the tensors is computed from a node."""
        waiting, seen = [index for index, _ in tensors], set()
        while waiting:
            index = waiting.pop()
            if index == node:
                return True
            if index not in seen:
                seen.add(index)
                waiting += [index for index, _ in self._graph.nodes[index].inputs]
        return False
