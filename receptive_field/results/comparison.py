"""Two models side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from receptive_field.printable import printable
from receptive_field.results.columns import in_columns
from receptive_field.results.costs import Cost
from receptive_field.results.field import ReceptiveField
from receptive_field.results.words import (
    NONE,
    UNKNOWN,
    numbers,
    padding_words,
    size_words,
    stride_words,
)

Words = Callable[[ReceptiveField], list[Any]]
"""A function that returns a number or a word for each axis of a field."""

QUANTITIES: dict[str, Words] = {
    "receptive field": size_words,
    "effective stride": stride_words,
    "effective padding": padding_words,
}
"""What is compared of two fields -> the numbers or words of a field."""

MOST_LAYERS = 10
"""At most this many layers that differ are printed. The rest are counted."""


class Compared(NamedTuple):
    """One quantity of both models.

    >>> print(Compared("stride", "2 x 2", "4 x 4", False).same)
    False
    """

    name: str
    a: str
    """Its value in the first model, as text; ``-`` or a word if there is no number."""
    b: str
    """Its value in the second model."""
    same: bool | None
    """Whether both values are the same; None if one of them is unknown."""


@dataclass(frozen=True, slots=True)
class LayerDifference:
    """A layer of both models whose receptive fields differ."""

    name: str
    differences: tuple[Compared, ...]
    """The quantities that differ."""

    def __str__(self) -> str:
        texts = (f"{one.name} {one.a} and {one.b}" for one in self.differences)
        return f"{printable(self.name)}: {'; '.join(texts)}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is the same in two models, and what differs. Numbers list x first.

    Attributes:
      names: the names of both models.
      fields: the receptive field of each model's output.
      costs: the cost of everything that each output is computed from; None if it is
        unknown because a size is unknown or an op has no rule.
      layers: the layers (or nodes) that both models have under the same name, and whose
        receptive field, stride or padding differs, in the order of the first model.
      same_layers: the names of those whose field is the same.
      only: the names that only the first model has, and those that only the second
        model has.
      parameters: the parameters of everything that each output is computed from; None
        if they are unknown. They need no size of the input.
    """

    names: tuple[str, str]
    fields: tuple[ReceptiveField, ReceptiveField]
    costs: tuple[Cost | None, Cost | None]
    layers: tuple[LayerDifference, ...]
    same_layers: tuple[str, ...]
    only: tuple[tuple[str, ...], tuple[str, ...]]
    parameters: tuple[int | None, int | None]

    @property
    def rows(self) -> tuple[Compared, ...]:
        """The quantities of both outputs, without costs that are unknown for both."""
        a, b = self.fields
        sizes = [[axis.size for axis in f.feature_axes] for f in self.fields]
        flags = {True: "yes", False: "no", None: "unknown"}
        found = [
            *compared_fields(a, b),
            Compared(
                "aligned",
                flags[a.aligned],
                flags[b.aligned],
                None if None in (a.aligned, b.aligned) else a.aligned == b.aligned,
            ),
            Compared("exact", flags[a.exact], flags[b.exact], a.exact == b.exact),
            _compared("output size", *sizes),
        ]
        for name, counts in (("FLOPs", self._flops), ("parameters", self.parameters)):
            if counts != (None, None):
                found.append(_compared(name, counts[:1], counts[1:]))
        return tuple(found)

    @property
    def _flops(self) -> tuple[int | None, int | None]:
        a, b = (None if cost is None else cost.flops for cost in self.costs)
        return a, b

    @property
    def same(self) -> bool | None:
        """Whether everything in `rows` is the same; None if something is unknown."""
        flags = {row.same for row in self.rows}
        return False if False in flags else None if None in flags else True

    def __str__(self) -> str:
        lines = [
            printable(f"{letter}  {name}: {field.output} in {field.input}")
            for letter, name, field in zip("AB", self.names, self.fields, strict=True)
        ]
        verdicts = {True: "same", False: "differs", None: "unknown"}
        cells = [("", "A", "B", "")]
        cells += [(r.name, r.a, r.b, verdicts[r.same]) for r in self.rows]
        lines += in_columns(cells)
        both = len(self.layers) + len(self.same_layers)
        only = "".join(
            f", {len(names)} only in {letter}"
            for letter, names in zip("AB", self.only, strict=True)
            if names
        )
        count = len(self.layers)
        differ = f"; {count or 'none'} of these differ{'s' * (count == 1)}"
        lines.append(f"layers or nodes: {both} in both{only}{differ if both else ''}")
        lines += [f"  {layer}" for layer in self.layers[:MOST_LAYERS]]
        if len(self.layers) > MOST_LAYERS:
            lines.append(f"  and {len(self.layers) - MOST_LAYERS} more")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Returns the comparison as plain data for JSON.

        Returns:
          ``models``: for each model its ``name``, ``flops``, ``parameters``, and what
          `ReceptiveField.to_dict` returns; ``same``: whether each of `rows` is the
          same; ``layers``: ``different`` (the layer, the quantity, and both values as
          text), ``same``, ``only_a`` and ``only_b``.
        """
        models = []
        for name, field, flops, parameters in zip(
            self.names, self.fields, self._flops, self.parameters, strict=True
        ):
            costs = {"flops": flops, "parameters": parameters}
            models.append({"name": name, **field.to_dict(), **costs})
        different = [
            {"layer": layer.name, "quantity": one.name, "a": one.a, "b": one.b}
            for layer in self.layers
            for one in layer.differences
        ]
        return {
            "models": models,
            "same": {row.name: row.same for row in self.rows},
            "layers": {
                "different": different,
                "same": list(self.same_layers),
                "only_a": list(self.only[0]),
                "only_b": list(self.only[1]),
            },
        }


def compared_fields(a: ReceptiveField, b: ReceptiveField) -> list[Compared]:
    """Returns size, stride and padding of two fields.

    If one of the fields sees a whole axis, the same of the local paths follows.
    """
    found = _numbers_of(a, b, "")
    if (a.is_global or b.is_global) and (a.local or b.local):
        found += _numbers_of(a, b, "local ")
    return found


def _numbers_of(a: ReceptiveField, b: ReceptiveField, kind: str) -> list[Compared]:
    def values(field: ReceptiveField, words: Words) -> list[Any]:
        shown = field.local if kind else field
        return [NONE] * len(field.axes) if shown is None else words(shown)

    return [
        _compared(kind + name, values(a, words), values(b, words))
        for name, words in QUANTITIES.items()
    ]


def _compared(name: str, a: Sequence[Any], b: Sequence[Any]) -> Compared:
    one, two = map(_text, (a, b))
    unknown = {None, UNKNOWN}
    differ = len(a) != len(b) or any(
        unknown.isdisjoint(pair) and pair[0] != pair[1]
        for pair in zip(a, b, strict=True)
    )
    unsettled = not unknown.isdisjoint((*a, *b))
    return Compared(name, one, two, False if differ else None if unsettled else True)


def _text(values: Sequence[Any]) -> str:
    texts = ["-" if value is None else str(value) for value in values]
    return "-" if {*texts} == {"-"} else numbers(texts)
