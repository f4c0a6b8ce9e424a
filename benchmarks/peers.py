"""Compares tools that compute receptive fields of PyTorch networks with measurements.

    python benchmarks/peers.py FOLDER [TOOL...]

Makes a virtual environment in the folder, with what ``requirements-peers.txt`` names
and each tool in a folder of its own, asks the tools about the networks of
``tests/data/onnx/torch_truth.csv``, keeps the answers in the folder, and writes the
tables of ``docs/peers.md`` with the tools that are named (all, if none is). A row that
has an answer in the folder is not asked again.
"""

from __future__ import annotations

import csv
import json
import os
import queue
import subprocess
import sys
import threading
import venv
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/peers.md"
TRUTH = ROOT / "tests/data/onnx/torch_truth.csv"
HERE = Path(__file__).parent
BEGIN, END = "<!-- tables -->", "<!-- end of the tables -->"

LIMIT = 300
"""Seconds that a tool may take for one row; the first one imports PyTorch, too."""

OURS = "receptive_field"

CLAIMS = {
    OURS: ("size", "stride", "padding", "centre"),
    "rfa-toolbox==1.7.0": ("size",),
    "netharn==0.6.2": ("size", "stride", "centre"),
    "receptivefield==0.5.0": ("size", "stride", "centre"),
    "torchscan==0.1.2": ("size", "stride", "padding"),
    "torchscan==0.2.0": ("size", "stride", "padding"),
    "rf-calc==0.0.7": ("size",),
}
"""The tools, and what each states for a layer of a network."""

COLUMNS = {"centre": "centre_of_feature_0"}

Answer = dict[str, Any]


def truth() -> list[dict[str, str]]:
    """What was measured."""
    with TRUTH.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def install(folder: Path) -> Path:
    """The environment's Python; the tools are beside it."""
    python = folder / "venv/bin/python"
    pip = [str(python), "-m", "pip", "install", "--quiet", "--no-deps"]
    if not python.exists():
        venv.create(folder / "venv", with_pip=True)
        for name in (ROOT / "tests/requirements-torch.txt", "requirements-peers.txt"):
            subprocess.run([*pip, "-r", str(HERE / name)], check=True)
    for tool in CLAIMS:
        target = folder / "tools" / tool
        if tool != OURS and not target.exists():
            # rfa-toolbox does not name newer versions of Python, on which it is run.
            options = ["--ignore-requires-python", "--target", str(target), tool]
            subprocess.run([*pip, *options], check=True)
    return python


def ask(folder: Path, tool: str, python: Path) -> list[Answer]:
    """A tool's answers to all rows."""
    path = folder / f"{tool}.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    count = len(truth())
    while len(lines) < count:
        for line in run(folder, tool, python, range(len(lines), count)):
            lines.append(line)
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
            print(tool, len(lines), line, flush=True)
    return [json.loads(line) for line in lines]


def run(folder: Path, tool: str, python: Path, numbers: range) -> Any:
    """The lines of one process, until it ends or takes too long for a row."""
    environment = {**os.environ, "PYTHONPATH": str(folder / "tools" / tool)}
    environment |= {"PYTHONDONTWRITEBYTECODE": "1", "MPLBACKEND": "agg"}
    command = [str(python), str(HERE / "peers_ask.py"), tool, *map(str, numbers)]
    with (folder / f"{tool}.log").open("a", encoding="utf-8") as log:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment
        )
    lines: queue.Queue[str] = queue.Queue()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line.strip())
        lines.put("")

    threading.Thread(target=read, daemon=True).start()
    for _ in numbers:
        try:
            line = lines.get(timeout=LIMIT)
        except queue.Empty:
            process.kill()
            yield json.dumps({"error": f"no answer within {LIMIT} seconds"})
            break
        if not line:
            yield json.dumps({"error": f"the process ended with {process.wait()}"})
            break
        yield line
    process.wait()


def expected(row: dict[str, str], key: str) -> float | None:
    """The number measured; where sizes differ between features, the largest one."""
    stated = row[COLUMNS.get(key, key)]
    numbers = [float(part) for part in stated.split("/") if part]
    if key != "size" and len(numbers) > 1:
        return None
    return max(numbers, default=None)


def verdict(row: dict[str, str], answer: Answer, key: str) -> str:
    """``right``, what the tool says instead, or ``no answer``."""
    if key not in answer:
        return "no answer"
    return "right" if answer[key] == expected(row, key) else f"{answer[key]:g}"


def tables(answers: dict[str, list[Answer]]) -> str:
    """The tables of the page, in Markdown."""
    rows = truth()
    parts = [summary(rows, answers), sentence(rows, answers)]
    for key in CLAIMS[OURS]:
        tools = [tool for tool in answers if key in CLAIMS[tool]]
        heads = ["Network", "Layer", "Axis", "Measured", *map(title, tools)]
        lines = [cells(heads), cells(["---"] * len(heads))]
        for number, row in enumerate(rows):
            wanted = expected(row, key)
            if wanted is None:
                continue
            found = [verdict(row, answers[tool][number], key) for tool in tools]
            names = [row["model"], f"`{row['layer']}`", row["axis"]]
            lines.append(cells([*names, f"{wanted:g}", *found]))
        parts += [f"## {key.capitalize()}", "\n".join(lines)]
    return "\n\n".join([*parts, "## Why there is no answer", reasons(rows, answers)])


def cells(texts: list[str]) -> str:
    """A line of a table."""
    return f"| {' | '.join(texts)} |"


def title(tool: str) -> str:
    """A tool and its version."""
    return tool.replace("==", " ")


def counted(rows: list[dict[str, str]], found: list[Answer], key: str) -> str:
    """How many numbers of a tool are right, of how many that can be compared."""
    verdicts = [
        verdict(row, answer, key)
        for row, answer in zip(rows, found, strict=True)
        if expected(row, key) is not None and key in answer
    ]
    return f"{verdicts.count('right')} of {len(verdicts)}"


def sentence(rows: list[dict[str, str]], answers: dict[str, list[Answer]]) -> str:
    """The sizes of each tool in words."""
    counts = "; ".join(
        f"{title(tool)}, {counted(rows, found, 'size')}"
        for tool, found in answers.items()
    )
    return (
        f"Not every tool answers for all {len(rows)} layers. "
        f"The right sizes, of those that each states, are: {counts}."
    )


def summary(rows: list[dict[str, str]], answers: dict[str, list[Answer]]) -> str:
    """How many numbers of each tool are right, of how many answers."""
    keys = CLAIMS[OURS]
    lines = [cells(["Tool", *map(str.capitalize, keys)]), cells(["---"] * 5)]
    for tool, found in answers.items():
        line = [title(tool)]
        for key in keys:
            stated = key in CLAIMS[tool]
            line.append(counted(rows, found, key) if stated else "not stated")
        lines.append(cells(line))
    return "\n".join(lines)


def reasons(rows: list[dict[str, str]], answers: dict[str, list[Answer]]) -> str:
    """The errors of each tool, with the layers for which it has none."""
    lines = [cells(["Tool", "Reason", "Layers"]), cells(["---"] * 3)]
    for tool, found in answers.items():
        layers: dict[str, list[str]] = {}
        for row, answer in zip(rows, found, strict=True):
            missing = [key for key in CLAIMS[tool] if key not in answer]
            if any(expected(row, key) is not None for key in missing):
                name = f"{row['model']} `{row['layer']}` ({row['axis']})"
                why = answer.get("error") or f"it states no {', '.join(missing)}"
                layers.setdefault(why, []).append(name)
        for error, names in layers.items():
            error = error.replace("|", "\\|").replace("<", "&lt;")
            lines.append(cells([title(tool), error, ", ".join(names)]))
    return "\n".join(lines)


def main(folder: Path, tools: list[str]) -> None:
    """Asks the tools, and writes the tables."""
    folder.mkdir(parents=True, exist_ok=True)
    python = install(folder)
    answers = {tool: ask(folder, tool, python) for tool in tools or CLAIMS}
    for answer in answers.get(OURS, []):
        assert not answer.get("differs"), answer
    text = PAGE.read_text(encoding="utf-8")
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    page = f"{before}{BEGIN}\n\n{tables(answers)}\n\n{END}{after}"
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), sys.argv[2:])
