"""The receptive fields of all outputs of a model in all of its inputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from receptive_field.errors import NoSuchEntryError, ReceptiveFieldError
from receptive_field.graph.names import meant, only
from receptive_field.results.field import ReceptiveField

Pair = tuple[str, str]
"""The name of an output, and the name of an input."""


@dataclass(frozen=True, slots=True)
class Pairs(Mapping[Pair, ReceptiveField]):
    """Maps pairs ``(output, input)`` to receptive fields.

    A part of a name that no other name has is looked up as well, in any case.

    Attributes:
      independent: the pairs whose output does not depend on the input.
      errors: the pairs that could not be analysed, each with the reason. Looking up one
        of these pairs raises the error.
    """

    _fields: Mapping[Pair, ReceptiveField]
    independent: tuple[Pair, ...]
    errors: Mapping[Pair, ReceptiveFieldError]

    def __getitem__(self, pair: Pair) -> ReceptiveField:
        pair = self._full_names(pair)
        if pair in self.errors:
            raise self.errors[pair]
        if pair in self.independent:
            raise NoSuchEntryError(f"{_apart(pair)}.")
        if pair not in self._fields:
            pairs = ", ".join(map(repr, self._known()))
            raise NoSuchEntryError(f"there is no pair {pair!r}; there are {pairs}.")
        return self._fields[pair]

    def _known(self) -> list[Pair]:
        return [*self._fields, *self.independent, *self.errors]

    def _full_names(self, pair: Pair) -> Pair:
        """Returns a pair with full names instead of parts that only one name has."""
        known = self._known()
        if pair in known or not isinstance(pair, tuple) or len(pair) != 2:
            return pair
        output, input = pair
        outputs = meant(str(output), [*dict.fromkeys(one for one, _ in known)])
        inputs = meant(str(input), [*dict.fromkeys(one for _, one in known)])
        if not outputs or not inputs:
            return pair
        return (
            only(output, outputs, error=NoSuchEntryError),
            only(input, inputs, error=NoSuchEntryError),
        )

    def __contains__(self, pair: object) -> bool:
        return pair in self._fields

    def __iter__(self) -> Iterator[Pair]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __str__(self) -> str:
        parts = [str(field) for field in self._fields.values()]
        if self.independent:
            parts.append("\n".join(map(_apart, self.independent)))
        if self.errors:
            parts.append(
                "\n".join(
                    f"{output!r} in {input!r} cannot be analysed: {error}"
                    for (output, input), error in self.errors.items()
                )
            )
        return "\n\n".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """Returns all pairs as plain data for JSON.

        Returns:
          ``fields``: a list of what `ReceptiveField.to_dict` returns; ``independent``:
          a list with the ``output`` and the ``input`` of each pair; ``errors``: the
          same with the ``error``.
        """
        return {
            "fields": [field.to_dict() for field in self._fields.values()],
            "independent": [
                {"output": output, "input": input} for output, input in self.independent
            ],
            "errors": [
                {"output": output, "input": input, "error": str(error)}
                for (output, input), error in self.errors.items()
            ],
        }


def _apart(pair: Pair) -> str:
    output, input = pair
    return f"{output!r} does not depend on {input!r}"
