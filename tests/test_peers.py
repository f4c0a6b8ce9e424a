"""The page that compares tools holds what was measured, and its counts are right."""

import csv
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/peers.md").read_text(encoding="utf-8")
KEYS = {
    "size": "size",
    "stride": "stride",
    "padding": "padding",
    "centre": "centre_of_feature_0",
}


def measured(key: str) -> dict[tuple[str, str, str], float]:
    """The numbers of the truth table; the largest of sizes that differ."""
    path = ROOT / "tests/data/onnx/torch_truth.csv"
    found = {}
    with path.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            numbers = [float(part) for part in row[KEYS[key]].split("/") if part]
            if len(numbers) == 1 or (numbers and key == "size"):
                name = row["model"], f"`{row['layer']}`", row["axis"]
                found[name] = max(numbers)
    return found


def table(heading: str, page: str = PAGE) -> list[dict[str, str]]:
    """The first table below a heading of a page."""
    text = page.partition(f"\n## {heading}\n\n")[2].partition("\n\n")[0]
    head, _, *lines = (
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
    )
    return [dict(zip(head, line, strict=True)) for line in lines]


@pytest.mark.parametrize("key", KEYS)
def test_measured_numbers_are_those_of_the_truth_table(key):
    rows = table(key.capitalize())
    stated = {
        (row["Network"], row["Layer"], row["Axis"]): float(row["Measured"])
        for row in rows
    }
    assert stated == measured(key)


@pytest.mark.parametrize("key", KEYS)
def test_our_answers_are_right(key):
    answers = [row["receptive_field"] for row in table(key.capitalize())]
    # One layer of HRNet, whose paths have different centres.
    assert answers.count("no answer") == (key != "size")
    assert set(answers) <= {"right", "no answer"}


@pytest.mark.parametrize("key", KEYS)
def test_counts_are_those_of_the_tables(key):
    rows = table(key.capitalize())
    for line in table("Results\n\n<!-- tables -->"):
        if line["Tool"] in rows[0]:
            found = [row[line["Tool"]] for row in rows]
            answers = [text for text in found if text != "no answer"]
            count = f"{answers.count('right')} of {len(answers)}"
            assert line[key.capitalize()] == count
        else:
            assert line[key.capitalize()] == "not stated"


MODELS = (ROOT / "docs/torch_models.md").read_text(encoding="utf-8")


def test_networks_of_torchvision_are_as_measured():
    """Where the feature map of the page was measured; all on the x axis."""
    compared = 0
    for row in table("torchvision", MODELS):
        name = row["Network"].replace("torchvision", "tv"), row["Feature map"], "x"
        for key, head in (
            ("size", "Size"),
            ("stride", "Stride"),
            ("padding", "Padding"),
        ):
            if name in measured(key):
                assert float(row[head]) == measured(key)[name], name
                compared += 1
    assert compared >= 45


def test_networks_of_many_families_are_in_the_page():
    torchvision, timm = table("torchvision", MODELS), table("timm", MODELS)
    assert len(torchvision) >= 80
    assert len(timm) >= 90
    assert all(row["Multiply-adds (10⁹)"] != "n/a" for row in torchvision)
