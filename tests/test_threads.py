"""Threads and processes that ask at once get the answers of one thread.

More of this, for longer: ``python -m tests.stress`` (see `stress`).
"""

from __future__ import annotations

import functools
import importlib
import logging
import os
import pkgutil
import random
import signal
import threading
import warnings
from collections.abc import Sized
from functools import partial
from pathlib import Path

import pytest
import stress
from needed import needed

import receptive_field as rf
from receptive_field.algebra.sizes import unknown
from receptive_field.frameworks import load
from receptive_field.frameworks.tensorflow import attributes
from receptive_field.frameworks.tflite.content import BLOCK, MOST_BLOCKS, of_bytes
from receptive_field.threads import Lock, lazy

DATA = Path(__file__).parent / "data"

FILES = [
    DATA / "keras/functional_1.2.json",
    DATA / "tflite/misaligned.tflite.xz",
    DATA / "torch/picked.pt2",
]

CHAIN = [("one", 3, 2, True), ("two", 5, 1, False)]


# --- Threads -------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_one_model(path):
    draw = random.Random(path.name)
    assert stress.differences(stress.QUESTIONS, partial(load, path), draw) == []


@pytest.mark.slow
@pytest.mark.parametrize("make", [stress.as_graph, stress.as_onnx])
def test_one_chain(make, tmp_path):
    path = make(tmp_path, CHAIN, None)
    draw = random.Random(1)
    assert stress.differences(stress.QUESTIONS, partial(load, path), draw) == []


@pytest.mark.slow
def test_one_field():
    make = partial(rf.compute_receptive_field, DATA / "tflite/misaligned.tflite.xz")
    assert stress.differences(stress.OF_FIELDS, make, random.Random(1)) == []


def test_names_of_unknown_sizes():
    """Two sizes of the same name are equal, whichever thread named them."""
    named = [[] for _ in range(stress.THREADS)]

    def work(number):
        named[number] += [unknown(f"size {place}") for place in range(2000)]

    with stress.hasty():
        assert stress.at_once(work) == []
    assert all(names == named[0] for names in named)


def test_blocks_of_a_file():
    """Threads that read at once may both find that no more blocks are kept."""
    count = MOST_BLOCKS + 9
    content = of_bytes(bytes(BLOCK) * count)

    def work(number):
        for place in range(count):
            assert content.read(place * BLOCK, 4) == bytes(4)

    with stress.hasty():
        assert stress.at_once(work) == []


def test_copies_of_a_graph_that_is_read():
    """Nodes are made when they are first needed, also while a graph is copied."""
    graph = load(rf.EXAMPLE_GRAPH).graph
    copied = threading.Event()

    def work(number):
        if number:
            for index in range(len(graph)):
                if not copied.is_set():
                    graph.nodes[index].attribute("strides")
        else:
            for _ in range(5):
                assert len(graph.copy()) == len(graph)
            copied.set()

    with stress.hasty():
        assert stress.at_once(work, 2) == []


def test_several_threads_compute_a_lazy_property():
    """None waits for another; the first values are as good as any."""
    together = threading.Barrier(2, timeout=60)

    class Thing:
        @lazy
        def number(self):
            together.wait()
            return 3

    thing, other = Thing(), Thing()
    numbers = []
    assert stress.at_once(lambda n: numbers.append((thing, other)[n].number), 2) == []
    assert numbers == [3, 3]
    assert thing.number == 3  # Without another thread, it is not computed again.


@pytest.mark.slow
def test_a_module_of_pytorch():
    """Exports change settings of the whole process, and put them back."""
    torch = needed("torch")
    layers = torch.nn.Conv2d(3, 4, 3, 2, 1), torch.nn.ReLU(), torch.nn.Conv2d(4, 4, 5)
    module = torch.nn.Sequential(*layers)

    def state():
        return (
            torch.get_default_dtype(),
            torch.get_num_threads(),
            list(warnings.filters),
            [
                (log.name, list(log.handlers), log.propagate)
                for name, log in sorted(logging.Logger.manager.loggerDict.items())
                if name.startswith("torch") and isinstance(log, logging.Logger)
            ],
        )

    rf.compute_receptive_field(module, input_resolution=16)  # Imports more.
    before = state()
    fields = {}

    def work(number):
        size = 16 + 2 * (number % 4)
        fields[number] = rf.compute_receptive_field(module, input_resolution=size)
        if number < 2:
            found = rf.measure_receptive_field(
                module, input_resolution=size, axes_only=True
            )
            assert found.size.tolist() == [11, 11]

    assert stress.at_once(work) == []
    # A feature sees (5 - 1) * 2 + 3 = 11 positions, two apart.
    assert {tuple(field) for field in fields.values()} == {(11, 11, 2, 2, 1, 1)}
    assert [fields[n].axes[0].input_size for n in range(4)] == [16, 18, 20, 22]
    assert state() == before


@pytest.mark.slow
def test_a_model_of_keras():
    """Traces change the class of all layers, and layers that are opened keep calls."""
    keras = needed("keras")

    class Halves(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.inner = keras.layers.Conv2D(2, 3, padding="same", name="inner")

        def call(self, x):
            return keras.ops.maximum(self.inner(x), 0.5 * x)[:, ::2, ::2]

    image = keras.Input((32, 32, 2))
    model = keras.Model(image, Halves()(keras.layers.Conv2D(2, 3)(image)))
    called = keras.layers.Layer.__call__
    calls = [len(layer._inbound_nodes) for layer in model._flatten_layers()]
    questions = {
        "layers": lambda model: rf.compute_receptive_fields(model).to_dict(),
        "trace": lambda model: rf.compute_receptive_fields(model, trace=True).to_dict(),
    }
    assert stress.differences(questions, lambda: model, random.Random(1)) == []
    assert rf.compute_receptive_field(model).size.tolist() == [5, 5]  # Twice 3.
    assert keras.layers.Layer.__call__ is called
    assert [len(layer._inbound_nodes) for layer in model._flatten_layers()] == calls


@pytest.mark.slow
def test_the_first_questions_of_a_process(tmp_path):
    paths = [stress.as_graph(tmp_path, CHAIN, None), FILES[1]]
    assert stress.first_differences(paths, 1, stress.expected_first(paths)) == []


# --- Processes -----------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_that_start_while_threads_are_busy(method, tmp_path):
    paths = [stress.as_graph(tmp_path, CHAIN, None), FILES[1]]
    expected = {path: stress.ask_file(path) for path in paths}
    count = 4 if method == "fork" else 1
    assert stress.process_differences(method, paths, expected, count) == []


def test_a_lock_is_open_in_a_process_that_is_forked():
    lock, locked, ended = Lock(), threading.Event(), threading.Event()

    def hold():
        with lock.held():
            locked.set()
            ended.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    locked.wait()
    child = os.fork()
    if not child:
        signal.alarm(60)
        with lock.held(), lock.held():
            os._exit(0)
    ended.set()
    holder.join()
    assert os.waitpid(child, 0)[1] == 0


# --- Memory --------------------------------------------------------------------------


@functools.cache
def modules():
    """All modules of the package, by name."""
    found = pkgutil.walk_packages(rf.__path__, "receptive_field.")
    return {
        name: importlib.import_module(name)
        for _, name, _ in found
        if not name.endswith("__main__")
    }


def caches():
    """The functions of the package that keep results, by name."""
    return {
        f"{name}.{key}": thing
        for name, module in modules().items()
        for key, thing in vars(module).items()
        if isinstance(thing, functools._lru_cache_wrapper)
    }


def containers():
    """How much the lists, sets and mappings of the package's modules hold."""
    return {
        f"{name}.{key}": len(thing)
        for name, module in modules().items()
        for key, thing in vars(module).items()
        if isinstance(thing, Sized) and not key.startswith("__")
    }


def test_caches_are_bounded():
    sizes = {name: cache.cache_info().maxsize for name, cache in caches().items()}
    assert "receptive_field.algebra.axis_map.convolution" in sizes
    assert [name for name, size in sizes.items() if size is None] == []


@pytest.mark.slow
def test_what_is_left_of_many_models():
    """Nothing but the caches, and the attributes of which there is a limit."""

    def left(numbers):
        answers = [stress.analyse(1, number) for number in numbers]
        assert sum(text.startswith("refused") for text in answers) * 2 < len(answers)
        for cache in caches().values():
            cache.cache_clear()
        return stress.living(), containers()

    objects, held = left(range(60))
    objects_later, held_later = left(range(60, 180))
    assert objects_later - objects == {}
    kept = {name for name, count in held_later.items() if count > held[name]}
    assert kept <= {f"{attributes.__name__}._SEEN"}
    assert len(attributes._SEEN) <= attributes.MOST_SEEN
