"""The names of the parts of a model: full names, parts, scopes and patterns.

Names are compared as they are printed, so a name that cannot be typed is found, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from receptive_field.errors import NodeNotFoundError, some_names
from receptive_field.printable import printable

if TYPE_CHECKING:
    from receptive_field.graph.graph import Graph, Tensor


def matching(pattern: str, names: Iterable[str]) -> list[str]:
    """Returns the names that a pattern matches, in any case.

    A pattern with ``*``, ``?`` or ``[`` matches a whole name, or the part after any of
    its slashes. Any other pattern matches a part of a name.

    >>> matching("relu", ["block1/Relu", "block1/Relu6/x", "block2/conv"])
    ['block1/Relu', 'block1/Relu6/x']
    >>> matching("relu*", ["block1/Relu", "block1/Relu6/x", "block2/conv"])
    ['block1/Relu', 'block1/Relu6/x']
    >>> matching("b*/conv", ["block1/Relu", "block1/Relu6/x", "block2/conv"])
    ['block2/conv']
    """
    wanted = _lower(pattern)
    if not is_pattern(wanted):
        return [name for name in names if wanted in _lower(name)]
    inside = f"*/{wanted}"
    return [
        name
        for name in names
        if fnmatchcase(lower := _lower(name), wanted) or fnmatchcase(lower, inside)
    ]


def _lower(name: str) -> str:
    return printable(name).lower()


def is_pattern(text: str) -> bool:
    """Returns whether a text contains a wildcard."""
    return any(character in text for character in "*?[")


def same_or_ending(text: str, names: Iterable[str]) -> list[str]:
    """Returns the names that differ from a text in case only; if there are none, those
    that end with it after a slash; and else those that do so in another case."""
    known, lower = list(names), _lower(text)
    return (
        [name for name in known if _lower(name) == lower]
        or [name for name in known if name.endswith(f"/{text}")]
        or [name for name in known if _lower(name).endswith(f"/{lower}")]
    )


def containing(text: str, names: Iterable[str]) -> list[str]:
    """Returns the names that a pattern matches, or that contain whole words.

    Cases are alike. Words end at ``/``, ``_``, ``-``, ``.`` and the ends of a name. A
    number at the end cannot be left out: ``conv`` does not stand for ``conv_1``.

    >>> containing("mixed_5b", ["net/Mixed_5b/concat", "net/Mixed_5b2/concat"])
    ['net/Mixed_5b/concat']
    >>> containing("conv", ["conv_1", "first_conv", "conv2d"])
    ['first_conv']
    """
    if is_pattern(text):
        return matching(text, names)
    word = re.escape(_lower(text))
    part = re.compile(rf"(?:^|(?<=[/_.-])){word}(?=$|[/_.-])(?![_-]?\d+(?:$|/))")
    return [name for name in names if part.search(_lower(name))]


def meant(text: str, names: Collection[str]) -> list[str]:
    """Returns the names that a text can mean: itself, or those that it is a part of.

    >>> meant("POOL", ["net/conv", "net/pool", "net/pool_2"])
    ['net/pool']
    """
    if text in names:
        return [text]
    return same_or_ending(text, names) or containing(text, names)


def scopes(names: Iterable[str]) -> list[str]:
    """Returns the scopes of all names: what comes before each of their slashes."""
    found: dict[str, None] = {}
    for name in names:
        end = name.rfind("/")
        while end > 0 and name[:end] not in found:
            found[name[:end]] = None
            end = name.rfind("/", 0, end)
    return list(found)


def scope_output(
    graph: Graph,
    scope: str,
    ends: Iterable[Tensor],
    running: Callable[[], Collection[int]],
) -> Tensor:
    """Returns the only tensor of a scope that is read outside the scope.

    If there are several, those count that depend on an input, and not weights.

    Args:
      graph: the graph.
      scope: the name that all nodes of the scope begin with, without the last slash.
      ends: the outputs of the model, which count as read.
      running: returns the nodes that depend on an input; see `Model.running`.

    Raises:
      NodeNotFoundError: if there are several.
    """
    inside = {node.index for node in graph if node.name.startswith(f"{scope}/")}
    found = _read_outside(graph, inside, range(len(graph)), ends)
    if len(found) > 1:
        counted = running()
        found = _read_outside(graph, inside & {*counted}, counted, ends) or found
    only(scope, [graph.name_of(tensor) for tensor in found], "outputs of the scope")
    return found[0]


def _read_outside(
    graph: Graph,
    inside: Collection[int],
    readers: Iterable[int],
    ends: Iterable[Tensor],
) -> list[Tensor]:
    """Returns the tensors of some nodes that other nodes read or, if there are none,
    those that no node reads."""
    read = {t for i in readers if i not in inside for t in graph.nodes[i].inputs}
    found = sorted(tensor for tensor in {*read, *ends} if tensor[0] in inside)
    if found:
        return found
    within = {t for index in inside for t in graph.nodes[index].inputs}
    return [(index, 0) for index in sorted(inside) if (index, 0) not in within]


def only(
    text: str,
    found: Sequence[str],
    what: str = "names match",
    error: type[NodeNotFoundError] = NodeNotFoundError,
) -> str:
    """Returns the only one of the names that were found.

    Raises:
      NodeNotFoundError: if there are several; or another error, if that is given.
    """
    if len(found) > 1:
        raise error(
            f"{len(found)} {what} {text!r}: {some_names([*found], 5)}. Give the full "
            "name."
        )
    return found[0]
