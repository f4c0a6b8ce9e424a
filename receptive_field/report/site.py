"""Answers what the web page asks (``web/``), which runs this library in the browser.

Questions and answers are JSON values. The page that it shows is the explorer's.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from receptive_field.api import compute_receptive_field, compute_receptive_fields
from receptive_field.arrays import is_installed
from receptive_field.budget import within_budget
from receptive_field.errors import ReceptiveFieldError
from receptive_field.frameworks import load
from receptive_field.printable import printable
from receptive_field.progress import Listener, told_to
from receptive_field.questions.candidates import candidates
from receptive_field.questions.compare import Side, compare_sides
from receptive_field.questions.costs import compute_costs
from receptive_field.questions.question import Options
from receptive_field.questions.resolutions import resolutions
from receptive_field.report.explorer import page, page_data
from receptive_field.results.tables import Table

Asked = Mapping[str, Any]
"""``input``, ``output`` and ``signature`` (names, or None), ``sizes`` (as
``input_resolution``), and ``local`` (whether to leave out global context)."""

NEEDS_NUMPY = (
    "this model needs NumPy, which this page does not have. In Python, it can be "
    "analysed: pip install receptive_field, then receptive-field explore "
    "{name} -o page.html."
)


CHOOSE_SIZE = "To choose another size, write it into Input size on the web page."
"""What follows on the explorer's page if the size of the input is assumed."""


class OpenFile:
    """A file that the page has opened. It is read when the first question comes.

    Args:
      path: its path, of which errors only say the name: the user knows no folder.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._folder = path.removesuffix(self.name)
        self._models: dict[str | None, Any] = {}

    @property
    def name(self) -> str:
        """The name of the file."""
        return os.path.basename(self._path)

    def answer(
        self, question: str, tell: Listener, other: OpenFile | None = None
    ) -> str:
        """Returns the answer to a question, both as JSON.

        Args:
          question: what is asked (`Asked`). With the key ``table`` or ``about``, it
            asks for what `table` or `text` returns; with the key ``other``, which has
            the question about another file, for what differs.
          tell: is told how far the answer is.
          other: the other file.

        Returns:
          The answer. If the library cannot answer, it only has the key ``error``.
        """
        try:
            with told_to(tell):
                return json.dumps(self._answer(json.loads(question), other))
        except ReceptiveFieldError as error:
            told = str(error)
        except ModuleNotFoundError as error:
            if error.name != "numpy":
                raise
            told = NEEDS_NUMPY.format(name=self.name)
        for file in (self, other):
            told = told if file is None else told.replace(file._folder, "")
        return json.dumps({"error": told})

    @within_budget
    def _answer(self, asked: Asked, other: OpenFile | None) -> dict[str, Any]:
        if other is not None:
            return self.differences(asked, other)
        if "table" in asked:
            return {"text": self.table(asked, asked["table"])}
        if "about" in asked:
            return {"text": self.text(asked, asked["about"])}
        return self.explore(asked)

    def explore(self, asked: Asked) -> dict[str, Any]:
        """Returns the explorer's page as ``html``, and what the controls offer."""
        model = self._model(asked)
        options = Options(asked["sizes"])
        ends = asked["output"], asked["input"]
        data = page_data(model, *ends, options, CHOOSE_SIZE)
        data["title"] = self.name
        names = [node["name"] for node in data["nodes"] if "name" in node]
        return {
            "html": page(self.name, [data]),
            "title": data["title"],
            "note": data["note"],
            "input": data["input"],
            "sizes": data["sizes"][::-1],
            "inputs": list(dict.fromkeys([*candidates(model)[0], data["input"]])),
            "outputs": [name for name in names if name != data["input"]],
            "has_numpy": is_installed(),
        }

    def text(self, asked: Asked, about: str) -> str:
        """Returns sentences about every size (``sizes``) or about ``alignment``."""
        model = self._model(asked)
        ends = {"input": asked["input"], "output": asked["output"]}
        if about == "sizes":
            return str(resolutions(model, **ends))
        sizes = asked["sizes"]
        field = compute_receptive_field(model, input_resolution=sizes, **ends)
        return str(field.explain())

    def table(self, asked: Asked, kind: str) -> str:
        """Returns the table of all layers as text: ``csv`` or ``json``."""
        model = self._model(asked)
        shared = {"input": asked["input"], "input_resolution": asked["sizes"]}
        fields = compute_receptive_fields(
            model, global_context="exclude" if asked["local"] else "include", **shared
        )
        try:
            costs = compute_costs(model, **shared)
        except (ReceptiveFieldError, ModuleNotFoundError):
            costs = None
        return Table(fields, costs).text(kind)

    def differences(self, asked: Asked, other: OpenFile) -> dict[str, Any]:
        """Returns what `compare_sides` finds, as the page shows it."""
        found = compare_sides([self._side(asked), other._side(asked["other"])])
        return {
            "names": [self.name, other.name],
            "ends": [printable(f"{f.output} in {f.input}") for f in found.fields],
            "rows": [list(row) for row in found.rows],
            "layers": [
                [printable(layer.name), list(row)]
                for layer in found.layers
                for row in layer.differences
            ],
            "same": len(found.same_layers),
            "only": [list(map(printable, names)) for names in found.only],
        }

    def _side(self, asked: Asked) -> Side:
        options = Options(asked["sizes"])
        return Side(self._model(asked), asked["output"], asked["input"], options)

    def _model(self, asked: Asked) -> Any:
        signature = asked["signature"] or None
        if signature not in self._models:
            self._models[signature] = load(self._path, signature)
        return self._models[signature]
