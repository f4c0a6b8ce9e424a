"""Compares the results of two checkouts for the same graphs, and lists all differences.

  python scripts/compare_checkouts.py BEFORE [--networks 2000] [--folder FOLDER]

BEFORE is the other checkout. The graphs are the 40 Keras applications (at their default
size and at an unknown size), the networks of the published table, and random networks.
The forward pass analyses every tensor. The backward pass analyses the last tensor and
its first, middle and last region. Errors are compared by type, not by wording. The
folder keeps graphs and answers, so an interrupted comparison continues. (Answers belong
to the contents of a package.) Run this before you call a change of the mathematics
done, and be able to explain every line that it prints.

The exit code is 0 if nothing differs, and 1 if something does.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SAID = ("size", "stride", "padding", "aligned", "exact", "local")
"""What is compared of each tensor, beside regions."""

# --- Graphs --------------------------------------------------------------------------


def write_graphs(folder: Path, count: int) -> None:
    """Writes the graphs that are not there yet: a file and what is asked of it."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in (*_applications(), *_published(), *_random(count)):
        path = folder / f"{name}.json"
        if not path.exists():
            graph, question = make()
            (folder / f"{name}.pb").write_bytes(graph)
            write_whole(path, question)


def _applications() -> Iterator[tuple[str, Any]]:
    import keras
    from test_applications import APPLICATIONS

    from receptive_field.frameworks.tensorflow import keras_models

    def make(name: str, **options: Any) -> tuple[bytes, Any]:
        keras.backend.clear_session()
        model = getattr(keras.applications, name)(weights=None, **options)
        traced = keras_models.trace(model)
        graph = traced.graph.as_graph_def(add_shapes=True).SerializeToString()
        (start,), (end,) = traced.inputs.values(), traced.outputs.values()
        return graph, {"input": start, "output": end}

    for name in APPLICATIONS:
        yield f"{name}-default", lambda name=name: make(name)
        if "NASNet" not in name:  # Built so, it cannot be run at any size.
            open_size = {"include_top": False, "input_shape": (None, None, 3)}
            yield f"{name}-open", lambda name=name, o=open_size: make(name, **o)


def _published() -> Iterator[tuple[str, Any]]:
    from receptive_field import zoo

    def make(name: str) -> tuple[bytes, Any]:
        built = zoo.build(name)
        end_points = [built.end_points[e] for e in zoo.NETWORKS[name].end_points]
        graph = built.graph.as_graph_def().SerializeToString()
        return graph, {
            "input": built.input,
            "output": end_points[-1],
            "outputs": end_points,
        }

    for name in zoo.NETWORKS:
        yield f"published-{name}", lambda name=name: make(name)


def _random(count: int) -> Iterator[tuple[str, Any]]:
    from random_networks import possible

    def make(seed: int) -> tuple[bytes, Any]:
        trace = possible(seed)
        graph = trace.graph.as_graph_def(add_shapes=True).SerializeToString()
        return graph, {"input": trace.input.name, "output": trace.output.name}

    for seed in range(count):
        yield f"random-{seed:05}", lambda seed=seed: make(seed)


# --- Answers -------------------------------------------------------------------------


def answer(checkout: Path, folder: Path, into: Path) -> None:
    """What the package of a checkout says of every graph in the folder."""
    sys.path.insert(0, str(checkout))
    import receptive_field as rf

    if not Path(rf.__file__).is_relative_to(checkout):
        raise SystemExit(f"{rf.__file__} is not the package of {checkout}")
    into.mkdir(parents=True, exist_ok=True)
    for asked in sorted(folder.glob("*.json")):
        if not (into / asked.name).exists():
            question = json.loads(asked.read_text())
            found = dict(_answers(rf, asked.with_suffix(".pb"), question))
            write_whole(into / asked.name, found)


def _answers(rf: Any, graph: Path, question: Any) -> Iterator[tuple[str, Any]]:
    outputs = question.pop("outputs", None)
    end = question.pop("output")
    try:
        forward = rf.compute_receptive_fields(graph, outputs=outputs, **question)
        for name, field in forward.items():
            yield name, _said(rf, field)
        yield from ((name, {"error": str(e)}) for name, e in forward.errors.items())
        field = rf.compute_receptive_field(graph, output=end, **question)
        yield "the output, backward", _said(rf, field) | {"regions": _regions(field)}
    except rf.ReceptiveFieldError as error:
        yield "the output, backward", {"error": type(error).__name__}


def _said(rf: Any, field: Any) -> Any:
    said = field.to_dict()
    kept = {key: said[key] for key in SAID}
    if kept["local"] is not None:
        kept["local"].pop("first_center")
    return kept


def _regions(field: Any) -> Any:
    """Of the first, the middle and the last feature, with and without padding."""
    sizes = field.to_dict()["output_size"]
    if len(sizes) != len(field.axes):
        return "folded"
    known = [1 if size is None else size for size in sizes]
    features = [[0] * len(known), [n // 2 for n in known], [n - 1 for n in known]]
    found = []
    for clip in (False, True):
        try:
            found.append(field.compute_input_region(features, clip=clip).tolist())
        except ValueError as error:
            found.append(type(error).__name__)
    return found


def write_whole(path: Path, value: Any) -> None:
    """As a whole, or not at all."""
    half = path.with_suffix(".half")
    half.write_text(json.dumps(value))
    half.replace(path)


# --- Differences ---------------------------------------------------------------------


def differences(before: Path, after: Path) -> Iterator[tuple[str, str, str, Any, Any]]:
    """Graph, tensor, what is said, and what each of the two says."""
    for path in sorted(before.glob("*.json")):
        one, two = (json.loads((d / path.name).read_text()) for d in (before, after))
        for tensor in one | two:
            a, b = one.get(tensor, {}), two.get(tensor, {})
            for key in a | b:
                if a.get(key) != b.get(key):
                    yield path.stem, tensor, key, a.get(key), b.get(key)


def _print(found: list[tuple[str, str, str, Any, Any]], most: int) -> None:
    by_graph: dict[str, list[Any]] = defaultdict(list)
    for graph, *rest in found:
        by_graph[graph].append(rest)
    for graph, rows in list(by_graph.items())[:most]:
        print(f"{graph}: {len(rows)} differences")
        for tensor, key, a, b in rows[:3]:
            print(f"  {tensor}: {key} {json.dumps(a)} -> {json.dumps(b)}")
    kinds = Counter(key for _, _, key, _, _ in found)
    print(f"{len(found)} differences in {len(by_graph)} graphs: {dict(kinds)}")


def contents(checkout: Path) -> str:
    """A name for the package of a checkout."""
    found = hashlib.sha256()
    for path in sorted((checkout / "receptive_field").rglob("*.py")):
        found.update(path.relative_to(checkout).as_posix().encode())
        found.update(path.read_bytes())
    return found.hexdigest()[:16]


def main() -> int:
    """Compares; see the file's head."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("before", type=Path, help="the other checkout")
    parser.add_argument("--networks", type=int, default=2000, help="random networks")
    parser.add_argument("--folder", type=Path, default=ROOT / ".compare")
    parser.add_argument("--most", type=int, default=40, help="graphs that are printed")
    parser.add_argument("--answer", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    graphs = given.folder / "graphs"
    if given.answer:
        answer(given.before.resolve(), graphs, given.answer)
        return 0
    write_graphs(graphs, given.networks)
    answers = []
    for checkout in (given.before.resolve(), ROOT):
        into = given.folder / contents(checkout)
        command = [sys.executable, __file__, str(checkout), "--answer", str(into)]
        command += ["--folder", str(given.folder)]
        subprocess.run(command, check=True)
        answers.append(into)
    found = list(differences(*answers))
    _print(found, given.most)
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
