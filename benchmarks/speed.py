"""How fast graphs are read and analysed: every figure as a ratio within one run.

    python benchmarks/speed.py

Builds Inception-ResNet-v2 as a TensorFlow 1 graph of the tf_keras package, as binary
and as text, and graphs of other kinds and sizes, and prints medians and what they are
compared with. Needs the extra "test".
"""

from __future__ import annotations

import gc
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from google.protobuf import text_format

import receptive_field as rf
from receptive_field.frameworks import load
from receptive_field.frameworks.tensorflow.files import read_graph_def
from receptive_field.frameworks.tensorflow.messages import GraphDef
from receptive_field.frameworks.tensorflow.text import index
from receptive_field.questions.question import Options, Question

RUNS = 7
SCRIPT = Path(__file__).parent.parent / "python" / "util" / "examples" / "compute_rf.py"
OUTPUT = "conv_7b_ac/Relu"
FLAGS = ("--input_node", "input_1", "--output_node", OUTPUT, "--graph_path")
COMMAND = ("-m", "receptive_field.cli", "compute", "--output", OUTPUT)
FROZEN_FLAGS = ("--input_node", "image", "--output_node", "n63", "--graph_path")
NUMPY_AND_PROTOBUF = "import numpy, google.protobuf.message"


class Line(NamedTuple):
    """One figure: what was measured, against what, and the most it should be."""

    what: str
    seconds: float
    against: str
    base: float
    most: float

    def __str__(self) -> str:
        ratio = self.seconds / self.base
        return (
            f"{self.what:44}{self.seconds * 1e3:9.1f} ms{ratio:8.2f} x {self.against} "
            f"(at most {self.most:g})"
        )


def timed(action: Callable[[], Any], runs: int = RUNS) -> float:
    """The median time of an action in seconds."""
    times = []
    for _ in range(runs):
        gc.collect()
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def process(*arguments: object) -> float:
    """The median time of a Python process, from start to end, in seconds."""
    command = [sys.executable, *map(str, arguments)]
    return timed(lambda: subprocess.run(command, check=True, capture_output=True))


def peak(*arguments: object) -> float:
    """The largest memory of a Python process, in megabytes."""
    code = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, "
        "stdout=subprocess.DEVNULL); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, sys.executable, *map(str, arguments)],
        check=True,
        capture_output=True,
        text=True,
    )
    return int(done.stdout) / 1024


def inception(folder: Path) -> tuple[Path, Path]:
    """The graph of the benchmark, binary and as text."""
    code = (
        "import sys, tensorflow as tf, tf_keras\n"
        "with tf.Graph().as_default() as graph:\n"
        "    tf_keras.backend.set_learning_phase(0)\n"
        "    image = tf_keras.Input((None, None, 3))\n"
        "    tf_keras.applications.InceptionResNetV2(\n"
        "        weights=None, include_top=False, input_tensor=image)\n"
        "definition = graph.as_graph_def()\n"
        "tf.io.write_graph(definition, sys.argv[1], 'graph.pb', as_text=False)\n"
        "tf.io.write_graph(definition, sys.argv[1], 'graph.pbtxt')\n"
    )
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    subprocess.run([sys.executable, "-c", code, folder], check=True, env=environment)
    return folder / "graph.pb", folder / "graph.pbtxt"


def walk(definition: Any) -> list[tuple[str, str, list[str]]]:
    """The bare walk over a graph: names, ops and inputs."""
    return [(node.name, node.op, list(node.input)) for node in definition.node]


def chain(count: int) -> Any:
    """As many convolutions of 3x3, one after another, on any size of image."""
    graph = _start()
    last = "image"
    for i in range(count):
        _convolution(graph, f"n{i}", last)
        last = f"n{i}"
    return graph


def ladder(count: int) -> Any:
    """A residual network: each sum of a node and a convolution of it."""
    graph = _start()
    last = "image"
    for i in range(count // 2):
        _convolution(graph, f"conv{i}", last)
        graph.node.add(name=f"sum{i}", op="AddV2", input=[last, f"conv{i}"])
        last = f"sum{i}"
    return graph


def dense(count: int) -> Any:
    """Dense blocks of 32 layers, each of which reads all before it in its block."""
    graph = _start()
    last, block = "image", []
    for i in range(count // 2):
        if i % 32 == 0:
            block = [last]
        if len(block) > 1:
            joined = graph.node.add(name=f"joined{i}", op="ConcatV2")
            joined.input.extend([*block, "axis"])
            joined.attr["N"].i = len(block)
            last = f"joined{i}"
        _convolution(graph, f"conv{i}", last)
        block.append(f"conv{i}")
        last = f"conv{i}"
    return graph


def inception_like(count: int) -> Any:
    """Blocks of four branches: 1x1, 3x3, two 3x3, and a pooling."""
    graph = _start()
    last = "image"
    for i in range(count // 6):
        for name, below in (("a", last), ("b", last), ("c", last), ("d", f"c{i}")):
            _convolution(graph, f"{name}{i}", below)
        pool = graph.node.add(name=f"pool{i}", op="MaxPool", input=[last])
        pool.attr["ksize"].list.i.extend([1, 3, 3, 1])
        pool.attr["strides"].list.i.extend([1, 1, 1, 1])
        pool.attr["padding"].s = b"SAME"
        joined = graph.node.add(name=f"joined{i}", op="ConcatV2")
        joined.input.extend([f"a{i}", f"b{i}", f"d{i}", f"pool{i}", "axis"])
        last = f"joined{i}"
    return graph


def _start() -> Any:
    graph = GraphDef()
    image = graph.node.add(name="image", op="Placeholder")
    image.attr["dtype"].type = 1
    for size in (1, -1, -1, 8):
        image.attr["shape"].shape.dim.add(size=size)
    _constant(graph, "kernel", 1, [3, 3, 8, 8])
    axis = _constant(graph, "axis", 3, [])
    axis.int_val.append(3)
    return graph


def _constant(graph: Any, name: str, dtype: int, sizes: list[int]) -> Any:
    node = graph.node.add(name=name, op="Const")
    tensor = node.attr["value"].tensor
    tensor.dtype = dtype
    for size in sizes:
        tensor.tensor_shape.dim.add(size=size)
    return tensor


def _convolution(graph: Any, name: str, below: str) -> None:
    node = graph.node.add(name=name, op="Conv2D", input=[below, "kernel"])
    node.attr["strides"].list.i.extend([1, 1, 1, 1])
    node.attr["padding"].s = b"SAME"


GENERATORS = {
    "chain": chain,
    "residual ladder": ladder,
    "dense blocks of 32": dense,
    "Inception-like": inception_like,
}


def growth() -> None:
    """Prints how the time per edge grows with the size of the graph."""
    print("\ngrowth from 10^4 to 10^6 nodes: time per edge, analysis / bare walk")
    for name, make in GENERATORS.items():
        per_edge = {}
        for count in (10**4, 10**6):
            definition = make(count)
            edges = sum(len(node.input) for node in definition.node)
            last = definition.node[-1].name
            analysis = timed(
                lambda d=definition, o=last: rf.compute_receptive_field(
                    d, input="image", output=o
                ),
                3 if count < 10**6 else 1,
            )
            bare = timed(lambda d=definition: walk(d), 3)
            per_edge[count] = analysis / edges, bare / edges
        (small, small_bare), (large, large_bare) = per_edge.values()
        ratio = large / small / (large_bare / small_bare)
        print(
            f"{name:44}{small * 1e6:7.2f} -> {large * 1e6:.2f} us per edge; grows "
            f"{ratio:.2f} x as the walk (at most 1.5)"
        )


def frozen(folder: Path, megabytes: int) -> Path:
    """A frozen graph with so many weights."""
    graph = chain(64)
    count = megabytes * (1 << 20) // 4 // 64
    for i in range(64):
        tensor = _constant(graph, f"weight{i}", 1, [count])
        tensor.tensor_content = bytes(4 * count)
    path = folder / f"frozen{megabytes}.pb"
    path.write_bytes(graph.SerializeToString())
    return path


def main() -> None:
    """Prints the table."""
    cpu = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    print(f"{cpu}, {os.cpu_count()} CPUs; Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        binary, text_path = inception(folder)
        base = process("-c", NUMPY_AND_PROTOBUF)
        definition = read_graph_def(binary)
        text = text_path.read_text()
        megabytes = binary.stat().st_size / 1e6
        print(
            f"Inception-ResNet-v2: {len(definition.node)} nodes, {megabytes:.1f} MB "
            f"binary, {len(text) / 1e6:.1f} MB text"
        )
        against = "numpy, protobuf"
        bare = timed(lambda: walk(definition))
        backward = timed(
            lambda: rf.compute_receptive_field(
                definition, input="input_1", output=OUTPUT
            )
        )
        forward = timed(
            lambda: Question.ask(load(definition), "input_1", None, Options()).answers(
                strict=False
            )
        )
        parse = timed(
            lambda: text_format.Parse(text, GraphDef(), allow_unknown_field=True), 3
        )
        for line in (
            Line("import receptive_field", process("-c", "import receptive_field"),
                 against, base, 1.3),
            Line("receptive-field compute, .pb", process(*COMMAND, binary),
                 against, base, 2),
            Line("receptive-field compute, .pbtxt", process(*COMMAND, text_path),
                 against, base, 3),
            Line("compute_rf.py, .pb", process(SCRIPT, *FLAGS, binary),
                 against, base, 2),
            Line("compute_rf.py, .pbtxt", process(SCRIPT, *FLAGS, text_path),
                 against, base, 3),
            Line("import tensorflow", process("-c", "import tensorflow"),
                 against, base, float("inf")),
            Line("index of .pbtxt", timed(lambda: index(text)),
                 "text_format.Parse", parse, 0.1),
            Line("one output, GraphDef in memory", backward, "bare walk", bare, 3),
            Line("all nodes, one forward pass", forward, "one output", backward, 3),
        ):  # fmt: skip
            print(line)
        print(f"peak memory, .pbtxt: {peak(SCRIPT, *FLAGS, text_path):.0f} MB "
              "(at most 80)")  # fmt: skip
        small, large = frozen(folder, 16), frozen(folder, 1024)
        started = peak("-c", NUMPY_AND_PROTOBUF)
        print(
            f"1 GB of weights: {peak(SCRIPT, *FROZEN_FLAGS, large) - started:.0f} MB "
            "above start (at most 100)"
        )
        times = [timed(lambda p=p: rf.compute_receptive_field(
            p, input="image", output="n63")) for p in (small, large)]  # fmt: skip
        print(f"time with 1 GB / with 16 MB of weights: {times[1] / times[0]:.2f}")
    growth()
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\nlargest memory of this process: {used:.0f} MB")


if __name__ == "__main__":
    main()
