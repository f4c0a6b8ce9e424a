"""How much faster two workers are than one, on graphs of a hundred convolutions.

    python benchmarks/many.py [number of graphs]

Prints the rows per second of each run, and the ratio of the medians. The start of the
workers counts.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "tests"))

from graphs import conv, graph_def, placeholder

from receptive_field.many import compute_many

RUNS = 3


def write_graphs(folder: Path, count: int) -> list[Path]:
    """Chains of convolutions that differ in their kernels."""
    paths = []
    for number in range(count):
        nodes, below = [placeholder()], "input"
        for layer in range(100):
            kernel = 1 + 2 * ((number + layer) % 3)
            nodes.append(conv(f"layer{layer}", below, kernel, padding="SAME"))
            below = f"layer{layer}"
        paths.append(folder / f"{number}.pb")
        paths[-1].write_bytes(graph_def(*nodes).SerializeToString(deterministic=True))
    return paths


def rate(paths: list[Path], workers: int, results: Path) -> float:
    """Rows per second of one run."""
    start = time.perf_counter()
    rows = compute_many(paths, workers=workers, results=results, resume=False)
    seconds = time.perf_counter() - start
    assert not any(row.error for row in rows)
    results.unlink()
    print(f"{workers} worker(s): {len(rows) / seconds:8.1f} graphs/s", flush=True)
    return len(rows) / seconds


def main(count: int) -> None:
    """Runs one and two workers in turn."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = write_graphs(folder, count)
        rates: dict[int, list[float]] = {1: [], 2: []}
        for _ in range(RUNS):
            for workers, found in rates.items():
                found.append(rate(paths, workers, folder / "rows.csv"))
    one, two = (statistics.median(found) for found in rates.values())
    print(f"two workers against one: {two / one:.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
