"""Analyses networks of torchvision and timm: all modules of each, in one call.

    python scripts/torch_models.py

takes about twenty minutes, and writes docs/torch_models.md. Rows are kept in
.torch_models.csv while it runs, so that it goes on where it was interrupted. PyTorch,
torchvision and timm are needed; the file tests/requirements-torch.txt says which.
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
import time
import warnings
from collections.abc import Iterator
from inspect import signature
from pathlib import Path
from typing import Any

HOME = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(HOME / "tests"))

from torchvision_ops import torch, torchvision  # noqa: E402

import receptive_field as rf  # noqa: E402
from receptive_field.frameworks.torch.building import without_weights  # noqa: E402

ROWS = HOME / ".torch_models.csv"

PAGE = HOME / "docs/torch_models.md"
BEGIN, END = "<!-- tables -->", "<!-- end of the tables -->"

TIMM = 100
"""How many models of timm are analysed, each of a family of its own if possible."""

COLUMNS = (
    "network",
    "input",
    "layers",
    "failed",
    "bounds",
    "first",
    "layer",
    "size",
    "stride",
    "padding",
    "aligned",
    "exact",
    "macs",
    "accuracy",
    "seconds",
    "reason",
)


def torchvision_names() -> Iterator[str]:
    """Yields classifiers and segmenters, and backbones of detectors."""
    models = torchvision.models
    yield from models.list_models(module=models)
    yield from models.list_models(module=models.segmentation)
    yield from models.list_models(module=models.detection)


def timm_names() -> list[str]:
    """Returns one small model of each module of timm, and more until there are enough.

    Models of torchvision's families are not left out, because the code is another one.
    """
    import timm

    families: dict[str, list[str]] = {}
    for name in timm.list_models():
        module = timm.model_entrypoint(name).__module__
        families.setdefault(module, []).append(name)
    found: list[str] = []
    round_ = 0
    while len(found) < TIMM:
        for names in families.values():
            if round_ < len(names) and len(found) < TIMM:
                found.append(names[round_ * max(len(names) // 3, 1) % len(names)])
        round_ += 1
    return list(dict.fromkeys(found))


def built(name: str) -> tuple[Any, str]:
    """Returns a network without weights, and the accuracy that its weights had."""
    library, _, model = name.partition("/")
    if library == "timm":
        import timm

        return without_weights(torch, lambda: timm.create_model(model)), ""
    builder = torchvision.models.get_model_builder(model)
    unloaded = [p for p in signature(builder).parameters if p.startswith("weights")]
    made = without_weights(torch, lambda: builder(**dict.fromkeys(unloaded)))
    accuracy = ""
    weights = torchvision.models.get_model_weights(model)
    for metrics in [w.meta.get("_metrics", {}) for w in weights]:
        first = next(iter(metrics.values()), {})
        accuracy = str(first.get("acc@1", "")) or accuracy
    backbone = getattr(made, "backbone", None)
    is_detector = hasattr(made, "transform") and backbone is not None
    return (backbone if is_detector else made), accuracy


def row_of(name: str) -> dict[str, object]:
    """Returns what is known about one network."""
    module, accuracy = built(name)
    found: dict[str, object] = {"network": name, "accuracy": accuracy}
    start = time.process_time()
    try:
        field, fields = analysed(module, found)
    except rf.ReceptiveFieldError as error:
        return {**found, "reason": str(error)[:300]}
    found["seconds"] = round(time.process_time() - start, 1)
    errors = fields.errors
    first = next(iter(errors.values()), "")
    found |= {
        "layers": len(fields),
        "failed": len(errors),
        "reason": str(first)[:300],
    }
    local = [one.local for one in fields.values()]
    bounds = [one.output for one in local if one is not None and not one.exact]
    found["bounds"] = len(bounds)
    if bounds:
        found["first"] = type(module.get_submodule(bounds[0].split(":")[0])).__name__
    field = field and field.local
    if field is not None:
        found |= {
            "layer": field.output,
            "size": _x(field.size),
            "stride": _x(field.stride),
            "padding": _x(field.padding),
            "aligned": field.aligned,
            "exact": field.exact,
        }
    return found


def analysed(module: Any, found: dict[str, object]) -> tuple[Any, Any]:
    """Returns the field of the last feature map, and those of all modules."""
    from receptive_field.frameworks import load
    from receptive_field.frameworks.torch.exporting import usual_sizes

    sizes = usual_sizes(torch, module)
    for number, size in enumerate(sizes):
        try:
            model = load(module, resolution=size)
            break
        except rf.ReceptiveFieldError:
            if number == len(sizes) - 1:
                raise
    found["input"] = " x ".join(map(str, size))
    fields = rf.compute_receptive_fields(model, input_resolution=size)
    try:
        field = rf.compute_receptive_field(model, input_resolution=size)
    except rf.ReceptiveFieldError as error:
        found["reason"], field = str(error)[:300], None
        for one in fields.values():
            field = one
    try:
        costs = rf.compute_costs(model, input_resolution=size)
        found["macs"] = costs.total.macs
    except rf.ReceptiveFieldError as error:
        found["macs"] = ""
        found["reason"] = str(error)[:300]
    return field, fields


def _x(numbers: Any) -> object:
    number = None if numbers is None else numbers[0]
    if number is None:
        return ""
    return "all" if math.isinf(number) else f"{number:g}"


def kept() -> list[dict[str, str]]:
    """Returns the rows of an earlier run."""
    if not ROWS.exists():
        return []
    with ROWS.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# --- The page ------------------------------------------------------------------------

TITLES = {
    "network": "Network",
    "input": "Input",
    "layer": "Feature map",
    "size": "Size",
    "stride": "Stride",
    "padding": "Padding",
    "aligned": "Aligned",
    "exact": "Exact",
    "macs": "Multiply-adds (10⁹)",
    "accuracy": "Accuracy (%)",
}


def tables(rows: list[dict[str, str]]) -> str:
    """Returns what the page says about all networks, in Markdown."""
    parts = [summary(rows)]
    for library in ("torchvision", "timm"):
        found = [row for row in rows if row["network"].startswith(library)]
        found.sort(key=lambda row: row["network"])
        titles = [t for t in TITLES if library == "torchvision" or t != "accuracy"]
        lines = [[TITLES[title] for title in titles], ["---"] * len(titles)]
        lines += [cells(row, titles) for row in found if row["size"]]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        parts.append(f"## {library}\n\n{table}")
    return "\n\n".join(parts)


def summary(rows: list[dict[str, str]]) -> str:
    """Returns how many networks there are, and what is not known of them."""
    layers = sum(int(row["layers"] or 0) for row in rows)
    failed = [row for row in rows if row["reason"] or row["failed"] != "0"]
    bounds = [row for row in rows if int(row["bounds"] or 0)]
    first: dict[str, list[str]] = {}
    for row in bounds:
        first.setdefault(row["first"], []).append(row["network"].partition("/")[2])
    found = (
        f"{len(rows)} networks with {layers} calls of modules. Fields are upper bounds "
        f"at {sum(int(row['bounds']) for row in bounds)} of them, in {len(bounds)} "
        "networks."
    )
    if not failed:
        found += " Every module of every network has an answer."
    lines = [f"* Not answered: {row['network']}: {row['reason']}" for row in failed]
    begun = [f"* `{kind}`: {', '.join(names)}" for kind, names in first.items()]
    return "\n\n".join(
        [
            found,
            *["\n".join(lines)] * bool(lines),
            "## Where upper bounds begin",
            "\n".join(begun),
        ]
    )


def cells(row: dict[str, str], titles: list[str]) -> list[str]:
    """Returns a line of a table."""
    texts = {**row, "layer": f"`{row['layer']}`"}
    for name in ("aligned", "exact"):
        texts[name] = {"True": "yes", "False": "no"}.get(row[name], "")
    texts["macs"] = f"{int(row['macs']) / 1e9:.3g}" if row["macs"] else ""
    return [texts[title] or "n/a" for title in titles]


def main() -> None:
    """Analyses what was not analysed yet, and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", help="names, such as timm/resnet50")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    names = options.only or [
        *(f"torchvision/{name}" for name in torchvision_names()),
        *(f"timm/{name}" for name in timm_names()),
    ]
    known = {} if options.only else {row["network"]: row for row in kept()}
    for name in names:
        if name in known:
            continue
        try:
            row = row_of(name)
        except Exception as error:  # What a library cannot even build.
            row = {"network": name, "reason": f"{type(error).__name__}: {error}"[:300]}
        print({k: v for k, v in row.items() if v != ""}, flush=True)
        if options.only:
            continue
        is_new = not ROWS.exists()
        with ROWS.open("a", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            if is_new:
                writer.writeheader()
            writer.writerow(row)
    if not options.only:
        text = PAGE.read_text(encoding="utf-8")
        before, after = text.partition(BEGIN)[0], text.partition(END)[2]
        page = f"{before}{BEGIN}\n\n{tables(kept())}\n\n{END}{after}"
        PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
