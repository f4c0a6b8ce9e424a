"""Threads, processes and long runs: many questions at once, or one after another.

  python -m tests.stress threads --seconds N
  python -m tests.stress first --seconds N
  python -m tests.stress processes --seconds N
  python -m tests.stress memory --count N

`threads` asks one model, and one receptive field, from eight threads at once. `first`
does so in new processes, where the threads import modules and fill caches together.
`processes` starts processes while threads of this one are busy. All answers must equal
those of one thread. `memory` analyses different models one after another in one
process, and prints how much memory it takes.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))

import receptive_field as rf

# Nothing else is imported here: processes that start import it on all threads at once.

ROOT = Path(__file__).parent.parent

THREADS = 8

HASTE = 1e-6
"""The seconds after which another thread may run; usually, there are 5000 times as
many."""

PATIENCE = 300
"""The seconds after which a process counts as hanging."""

Question = Callable[[Any], Any]
Answers = dict[str, str]

# --- Questions -----------------------------------------------------------------------


def _sized(model: Any) -> rf.ReceptiveField:
    """The field at a known size, for as many axes as the input has."""
    axes = len(rf.compute_receptive_field(model).axes)
    return rf.compute_receptive_field(model, input_resolution=[48, 40, 32][:axes])


def _place(field: rf.ReceptiveField, number: int) -> list[int]:
    """A feature, or a position of the input."""
    return [number] * len(field.axes)


def _page(model: Any) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "page.html")
        rf.explore(model, path)
        return path.read_text(encoding="utf-8")


def _overridden(model: Any) -> Any:
    """The field when the last layer is taken to be another one."""
    last = rf.compute_receptive_field(model).output
    rule = rf.SlidingWindow(kernel_size=5, stride=2)
    return rf.compute_receptive_field(model, overrides={last: rule})


QUESTIONS: dict[str, Question] = {
    "field": lambda model: rf.compute_receptive_field(model),
    "field at a size": _sized,
    "field of any size": lambda model: rf.compute_receptive_field(
        model, input_resolution="unknown"
    ),
    "local": lambda model: rf.compute_receptive_field(model, global_context="exclude"),
    "layers": lambda model: rf.compute_receptive_fields(model).to_dict(),
    "resolutions": lambda model: rf.resolutions(model),
    "costs": lambda model: rf.compute_costs(model),
    "pairs": lambda model: rf.compute_all_pairs(model),
    "proposals": lambda model: rf.proposals(model, target=9),
    "page": _page,
    "overrides": _overridden,
    "no such name": lambda model: rf.compute_receptive_field(model, output="no such"),
}
"""What is asked about a model."""

FEW = ("field", "field of any size", "layers", "costs")
"""Questions that take little time."""

OF_FIELDS: dict[str, Question] = {
    "numbers": lambda field: field.to_dict(with_reasons=True),
    "explanation": lambda field: field.explain(),
    "support": lambda field: field.support(),
    "effective": lambda field: field.effective_receptive_field().size,
    "regions": lambda field: field.compute_input_region(_place(field, 1), clip=True),
    "projection": lambda field: field.compute_feature_region(_place(field, 3)),
    "windows": lambda field: field.layer_windows,
    "without padding": lambda field: field.features_without_padding(),
    "tiling": lambda field: field.tiling([16] * len(field.axes)),
    "reasons": lambda field: field.reasons(),
    "look-ahead": lambda field: field.look_ahead(),
}
"""What is asked about a receptive field."""


def answer(question: Question, thing: Any) -> str:
    """The answer as text, or the reason why there is none."""
    try:
        return str(question(thing))
    except rf.ReceptiveFieldError as error:
        return f"refused: {error}"


def answers(questions: Mapping[str, Question], thing: Any) -> Answers:
    """The answers to all questions, one after another."""
    return {name: answer(question, thing) for name, question in questions.items()}


# --- Models --------------------------------------------------------------------------


def files(folder: Path, most: int) -> list[Path]:
    """Files of all formats: up to so many of each."""
    import fuzz

    found = []
    for kind, seeds in fuzz.corpus().items():
        for number, seed in enumerate(seeds[:most]):
            place = folder / f"{kind} {number}"
            place.mkdir()
            found.append(fuzz.written(place, seed, seed.content))
    return found


def different(folder: Path, seed: int, number: int) -> Path:
    """A model that is different from all others, of one format after another.

    Most are chains of layers, whose names and sizes are their own. Every fifth is a
    damaged model.
    """
    import fuzz

    if number % 5 == 4:
        return fuzz.written(folder, *fuzz.case_of(seed, number // 5))
    draw = random.Random(f"{seed}/{number}")
    kind = draw.choice([as_graph, as_onnx, as_keras])
    layers = [
        (f"{number}_{n}", draw.randint(1, 9), draw.randint(1, 3), draw.random() < 0.5)
        for n in range(draw.randint(1, 6))
    ]
    size = draw.choice([None, draw.randint(20, 500)])
    return kind(folder, layers, size)


Layers = Sequence[tuple[str, int, int, bool]]
"""Name, kernel, stride and whether the padding is SAME, for each layer of a chain."""


def as_graph(folder: Path, layers: Layers, size: int | None) -> Path:
    import graphs

    below, nodes = "input", [graphs.placeholder(sizes=(1, size, size, 1))]
    for name, kernel, stride, same in layers:
        padding = "SAME" if same else "VALID"
        nodes.append(graphs.conv(name, below, kernel, stride, padding))
        below = name
    path = folder / "chain.pb"
    path.write_bytes(graphs.graph_def(*nodes).SerializeToString())
    return path


def as_onnx(folder: Path, layers: Layers, size: int | None) -> Path:
    from needed import needed

    helper = needed("onnx.helper")
    below, nodes, weights = "input", [], []
    for name, kernel, stride, same in layers:
        weight = f"{name}.weight"
        values = [0.0] * kernel * kernel
        weights.append(helper.make_tensor(weight, 1, (1, 1, kernel, kernel), values))
        padding = "SAME_UPPER" if same else "VALID"
        window = {"strides": [stride, stride], "auto_pad": padding}
        nodes.append(helper.make_node("Conv", [below, weight], [name], name, **window))
        below = name
    sizes = [1, 1, size or "height", size or "width"]
    given = helper.make_tensor_value_info("input", 1, sizes)
    result = helper.make_tensor_value_info(below, 1, None)
    graph = helper.make_graph(nodes, "chain", [given], [result], weights)
    path = folder / "chain.onnx"
    path.write_bytes(helper.make_model(graph).SerializeToString())
    return path


def as_keras(folder: Path, layers: Layers, size: int | None) -> Path:
    shape = {"batch_shape": [None, size, size, 1], "name": "input"}
    made = [{"class_name": "InputLayer", "config": shape}]
    for name, kernel, stride, same in layers:
        config = {
            **{"name": name, "filters": 1, "kernel_size": [kernel, kernel]},
            **{"strides": [stride, stride], "padding": "same" if same else "valid"},
        }
        made.append({"class_name": "Conv2D", "config": config})
    chain = {"class_name": "Sequential", "config": {"name": "chain", "layers": made}}
    path = folder / "chain.json"
    path.write_text(json.dumps({**chain, "keras_version": "3.15.1"}))
    return path


# --- Threads -------------------------------------------------------------------------


@contextmanager
def hasty() -> Iterator[None]:
    """Lets threads take turns as often as possible."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(HASTE)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def at_once(work: Callable[[int], object], count: int = THREADS) -> list[str]:
    """Does the same on many threads, which start together; what went wrong on them."""
    failed: list[str] = []
    barrier = threading.Barrier(count)

    def run(number: int) -> None:
        barrier.wait()
        try:
            work(number)
        except BaseException:
            failed.append(traceback.format_exc())

    threads = [threading.Thread(target=run, args=[n]) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failed


def differences(
    questions: Mapping[str, Question],
    make: Callable[[], Any],
    draw: random.Random,
) -> list[str]:
    """What differs if eight threads ask all questions about one thing at once.

    Args:
      questions: the questions, which each thread asks in an order of its own.
      make: makes the thing.
      draw: decides the orders.
    """
    told = answers(questions, make())
    shared = make()
    orders = [draw.sample(list(questions), len(questions)) for _ in range(THREADS)]
    found: list[str] = []

    def work(number: int) -> None:
        for name in orders[number]:
            given = answer(questions[name], shared)
            if given != told[name]:
                found.append(f"{name}: {given!r} instead of {told[name]!r}")

    with hasty():
        failed = at_once(work)
    return found + failed


def _stress_threads(draw: random.Random, folder: Path) -> Iterator[list[str]]:
    from receptive_field.frameworks import load

    found = files(folder, 9)
    while True:
        path = draw.choice(found)
        try:
            rf.compute_receptive_field(path)
        except rf.ReceptiveFieldError:
            continue  # It has several programs or outputs.
        yield differences(QUESTIONS, partial(load, path), draw)
        yield differences(OF_FIELDS, partial(rf.compute_receptive_field, path), draw)


# --- The first questions of a process ------------------------------------------------


def ask_first(paths: Sequence[str], seed: int) -> None:
    """Asks about files on eight threads at once, and prints their answers."""
    given: list[Answers] = [{} for _ in range(THREADS)]

    def work(number: int) -> None:
        draw = random.Random(f"{seed}/{number}")
        for name in draw.sample(list(QUESTIONS), len(QUESTIONS)):
            for path in draw.sample(list(paths), len(paths)):
                given[number][f"{path} {name}"] = answer(QUESTIONS[name], path)

    with hasty():
        failed = at_once(work)
    print(json.dumps([failed, given]))


def first_differences(paths: Sequence[Path], seed: int, expected: Answers) -> list[str]:
    """What differs if eight threads of a new process ask about files at once."""
    command = [sys.executable, "-m", "tests.stress", "ask-first", *map(str, paths)]
    done = subprocess.run(
        [*command, "--seed", str(seed)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.fspath(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    if done.returncode:
        return [done.stderr]
    failed, given = json.loads(done.stdout)
    return failed + [
        f"{name}: {found!r} instead of {expected[name]!r}"
        for of_thread in given
        for name, found in of_thread.items()
        if found != expected[name]
    ]


def expected_first(paths: Sequence[Path]) -> Answers:
    """The answers of one thread to the questions of `ask_first`."""
    return {
        f"{path} {name}": answer(question, path)
        for path in paths
        for name, question in QUESTIONS.items()
    }


def _stress_first(draw: random.Random, folder: Path) -> Iterator[list[str]]:
    found = files(folder, 2)
    while True:
        chosen = draw.sample(found, 2)
        expected = expected_first(chosen)
        yield first_differences(chosen, draw.randrange(1 << 30), expected)


# --- Processes -----------------------------------------------------------------------


def ask_file(path: Path) -> Answers:
    """The answers about a file, in whichever process this runs."""
    return answers({name: QUESTIONS[name] for name in FEW}, path)


@contextmanager
def busy(paths: Sequence[Path]) -> Iterator[None]:
    """Analyses files on four threads while the context is open."""
    ended = threading.Event()

    def work(number: int) -> None:
        draw = random.Random(number)
        while not ended.is_set():
            answer(QUESTIONS[draw.choice(FEW)], draw.choice(paths))

    threads = [threading.Thread(target=work, args=[n]) for n in range(4)]
    with hasty():
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            ended.set()
            for thread in threads:
                thread.join()


def process_differences(
    method: str, paths: Sequence[Path], expected: Mapping[Path, Answers], count: int = 1
) -> list[str]:
    """What differs in processes that start while threads of this one are busy.

    Args:
      method: how they start: "fork", "spawn" or "forkserver".
      paths: the files that they are asked about.
      expected: the answers.
      count: how many times two processes are started.
    """
    found = []
    context = multiprocessing.get_context(method)
    with busy(paths):
        for _ in range(count):
            pool = ProcessPoolExecutor(2, context)
            calls = [pool.submit(ask_file, path) for path in paths]
            try:
                for path, call in zip(paths, calls, strict=True):
                    given = call.result(timeout=PATIENCE)
                    found += [
                        f"{path} {name}: {given[name]!r} instead of {told!r}"
                        for name, told in expected[path].items()
                        if given[name] != told
                    ]
            except TimeoutError:
                found.append(f"a process of {method} hangs")
                for process in list(pool._processes.values()):
                    process.kill()
            pool.shutdown()
    return found


def _stress_processes(draw: random.Random, folder: Path) -> Iterator[list[str]]:
    found = files(folder, 2)
    while True:
        chosen = draw.sample(found, 2)
        expected = {path: ask_file(path) for path in chosen}
        for method in multiprocessing.get_all_start_methods():
            yield process_differences(method, chosen, expected)


# --- Memory --------------------------------------------------------------------------


def living() -> Counter[str]:
    """How many objects of the package's classes there are, by class."""
    gc.collect()
    kinds = Counter(map(type, gc.get_objects()))
    return Counter(
        {
            kind.__qualname__: count
            for kind, count in kinds.items()
            if str(kind.__module__).startswith("receptive_field")
        }
    )


def resident() -> float:
    """The memory of this process in megabytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def analyse(seed: int, number: int) -> str:
    """Analyses a model that is different from all others, for at most three seconds."""
    from needed import needed

    from receptive_field.many.limits import Limits, Watch

    needed("keras")  # To import it takes time, and must not be interrupted.
    ask = QUESTIONS[
        random.Random(number).choice(["field", "field at a size", "layers"])
    ]

    def limited(path: Path) -> str:
        with Watch(Limits(3, 1024)) as watch, watch.limited():
            return answer(ask, path)

    with tempfile.TemporaryDirectory() as folder:
        return answer(limited, different(Path(folder), seed, number))


def watch_memory(seed: int, count: int, every: int) -> int:
    """Prints the memory and the number of objects from time to time.

    Returns:
      How many models ended in an error that is not ours.
    """
    answered = defects = 0
    for number in range(count + 1):
        if not number % every:
            objects = living()
            kinds = ", ".join(f"{n} {kind}" for kind, n in objects.most_common(5))
            print(
                f"{number} models, {answered} answered: {resident():.0f} MB, "
                f"{sum(objects.values())} objects ({kinds})",
                flush=True,
            )
        try:
            answered += not analyse(seed, number).startswith("refused")
        except Exception:
            print(f"model {number}:", traceback.format_exc(limit=-2), flush=True)
            defects += 1
    return defects


# --- The command ---------------------------------------------------------------------

STRESS: dict[str, Callable[[random.Random, Path], Iterator[list[str]]]] = {
    "threads": _stress_threads,
    "first": _stress_first,
    "processes": _stress_processes,
}


def main() -> int:
    """Looks for differences, or prints the memory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=[*STRESS, "memory", "ask-first"])
    parser.add_argument("paths", nargs="*", help="files, for ask-first")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--count", type=int, default=50_000, help="how many models")
    parser.add_argument("--every", type=int, default=5000, help="models for each line")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if options.what == "ask-first":
        ask_first(options.paths, options.seed)
        return 0
    if options.what == "memory":
        return int(watch_memory(options.seed, options.count, options.every) > 0)
    end = time.monotonic() + options.seconds
    rounds = defects = 0
    with tempfile.TemporaryDirectory() as folder:
        draw = random.Random(options.seed)
        for found in STRESS[options.what](draw, Path(folder)):
            rounds, defects = rounds + 1, defects + len(found)
            for text in found[:3]:
                print(text[:2000], flush=True)
            if time.monotonic() > end:
                break
    print(f"{options.what}: {rounds} rounds, {defects} defects")
    return int(bool(defects))


if __name__ == "__main__":
    sys.exit(main())
