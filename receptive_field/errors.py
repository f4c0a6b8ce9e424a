"""The library's errors and warnings. All errors have one base class.

Every message says what is wrong, where it is wrong, and what to do about it.
"""

from __future__ import annotations

from collections.abc import Iterable

from receptive_field.printable import printable


class ReceptiveFieldError(ValueError):
    """The base class of all errors; a ``ValueError``, as in the original library.

    Messages quote names and texts of files, so they are made printable.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(printable(message))


class GraphError(ReceptiveFieldError):
    """The file or the graph is malformed or cannot be analysed."""


class IndependentError(GraphError):
    """An output does not depend on the input."""


class NodeNotFoundError(ReceptiveFieldError):
    """A node that the caller named is not in the graph."""


class NoSuchEntryError(NodeNotFoundError, KeyError):
    """A mapping of results has no entry with this name."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would add quotes.


class MisalignedError(ReceptiveFieldError):
    """Two paths between input and output have different strides or centres."""


class InternalError(ReceptiveFieldError):
    """The library has a defect; ``__cause__`` is the exception (see `net`)."""


class OutsideMapWarning(UserWarning):
    """The caller asked about features outside the feature map."""

    def __init__(self, message: str = "") -> None:
        super().__init__(printable(message))


class UnsupportedOpsError(ReceptiveFieldError):
    """Some ops between input and output have no rule.

    Attributes:
      nodes: op type -> the names of its nodes, in graph order.
    """

    def __init__(
        self, nodes: dict[str, list[str]], framework: str = "tensorflow"
    ) -> None:
        self.nodes = nodes
        types = "1 op type" if len(nodes) == 1 else f"{len(nodes)} op types"
        others = "" if framework == "tensorflow" else f', framework="{framework}"'
        listed = "; ".join(f"{op} ({some_names(names)})" for op, names in nodes.items())
        super().__init__(
            f"no rule for {types} between input and output: {listed}. "
            f"Add a rule with receptive_field.register_op(op_type, rule{others}), "
            "state a rule for these nodes with overrides={name: rule}, or leave these "
            "nodes out of the analysis with stop_propagation."
        )


class TooMuchWorkError(ReceptiveFieldError):
    """The answer takes more steps than it may; see `receptive_field.work_limit`."""

    def __init__(self, place: str, needed: str, limit: int) -> None:
        super().__init__(
            f"{place or 'the answer'} needs {needed}, which is more than is left of "
            f"the {limit} steps that an answer may take: numbers in the model, or in "
            "the question, are large, or multiply. Allow more with "
            "receptive_field.work_limit(steps)."
        )


ELLIPSIS = " ... "
"""What stands for the middle of a long message."""

LONGEST_QUOTE = 200
"""At most so many characters of another library's message are quoted."""


def quoted(text: object) -> str:
    """Returns the message of another library in one line, without its middle if long.

    >>> quoted("1:2 :\\n unexpected end"), len(quoted("0" * 1000))
    ('1:2 : unexpected end', 200)
    """
    words = " ".join(str(text).split())
    if len(words) <= LONGEST_QUOTE:
        return words
    part = (LONGEST_QUOTE - len(ELLIPSIS)) // 2
    return words[: LONGEST_QUOTE - len(ELLIPSIS) - part] + ELLIPSIS + words[-part:]


def some_names(names: list[str], limit: int = 3) -> str:
    """Returns the first few names as text, and the number of remaining names."""
    shown = ", ".join(names[:limit])
    rest = len(names) - limit
    return f"{shown} and {rest} more" if rest > 0 else shown


def nearest(name: str, known: Iterable[str], what: str = "name") -> str:
    """Returns a sentence that suggests known names similar to an unknown one.

    The name may be a pattern. Its wildcards do not count, and cases are alike.
    """
    import difflib  # Only needed after an error.

    names, name = list(known), name.translate(dict.fromkeys(map(ord, "*?[]"))).lower()
    whole = {other.lower(): other for other in reversed(names)}
    ending = [other for text, other in whole.items() if text.endswith("/" + name)]
    parts = name.count("/") + 1  # The user may give only the end of a path.
    tails = {"/".join(text.split("/")[-parts:]): whole[text] for text in whole}
    close = ending[-3:][::-1]
    for known_as in (tails, whole):
        found = difflib.get_close_matches(name, known_as, n=3, cutoff=0.5)
        close = close or [known_as[text] for text in found]
    if close:
        return "Did you mean " + " or ".join(repr(other) for other in close) + "?"
    return f"No {what} in the graph is similar."
