"""Small files that describe large computations: numbers in them are large, or multiply.

  python -m tests.hostile [NAME ...]

asks the main questions about each, in a process of its own, and prints how long each
takes, how much memory, and how it ends. `test_hostile.py` runs the same questions.
"""

from __future__ import annotations

import argparse
import bz2
import gzip
import json
import lzma
import multiprocessing
import resource
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))

import graphs
from graphs import constant, conv, integers, node, placeholder
from needed import needed

import receptive_field as rf

LARGE = 10**8
"""A number of positions that no answer may write out."""

Size = int | list[int] | str | None

Question = Callable[[Path, Size], Any]

QUESTIONS: dict[str, Question] = {
    "field": lambda path, size: str(
        rf.compute_receptive_field(path, input_resolution=size)
    ),
    "layers": lambda path, size: str(
        rf.compute_receptive_fields(path, input_resolution=size)
    ),
    "resolutions": lambda path, size: str(rf.resolutions(path)),
    "explain": lambda path, size: str(
        rf.compute_receptive_field(path, input_resolution=size).explain()
    ),
    "unseen": lambda path, size: (
        rf.compute_receptive_field(path, input_resolution=size).support().unseen()
    ),
    "effective": lambda path, size: rf.compute_receptive_field(
        path, input_resolution=size
    ).effective_receptive_field(),
}
"""What is asked about each file."""

OF_FIELDS = ("explain", "unseen", "effective")
"""Questions that begin with "field", and are refused if it is."""


class Case(NamedTuple):
    """A file, and what is asked about it."""

    name: str
    write: Callable[[Path], Path]
    """Writes the file into a folder, and returns its path."""
    size: Size = None
    answered: tuple[str, ...] = ()
    """Questions that must be answered; any other may be refused."""


CASES: dict[str, Case] = {}

MAIN = ("field", "layers", "resolutions")


def case(
    name: str, size: Size = None, answered: tuple[str, ...] = ()
) -> Callable[[Callable[[Path], Path]], Callable[[Path], Path]]:
    """Adds a case to `CASES`."""

    def added(write: Callable[[Path], Path]) -> Callable[[Path], Path]:
        CASES[name] = Case(name, write, size, answered)
        return write

    return added


def graph(
    name: str, *nodes: str, size: Size = None, answered: tuple[str, ...] = ()
) -> None:
    """Adds a GraphDef to `CASES`."""

    def write(folder: Path) -> Path:
        path = folder / "graph.pb"
        path.write_bytes(graphs.graph_def(*nodes).SerializeToString())
        return path

    CASES[name] = Case(name, write, size, answered)


# --- Functions that call functions ---------------------------------------------------


def _function(number: int, calls: list[str]) -> str:
    """A function of GraphDef that applies these ops one after another."""
    nodes, below = "", "x"
    for place, op in enumerate(calls):
        nodes += f'node_def {{ name: "n{place}" op: "{op}" input: "{below}" }} '
        below = f"n{place}:y:0" if op.startswith("f") else f"n{place}:activations:0"
    return (
        f'function {{ signature {{ name: "f{number}" '
        'input_arg { name: "x" type: DT_FLOAT } '
        'output_arg { name: "y" type: DT_FLOAT } } '
        f'{nodes} ret {{ key: "y" value: "{below}" }} }}\n'
    )


graph(
    "functions of TensorFlow",
    placeholder(),
    node("out", "f0", ["input"]),
    "library { ",
    *(_function(number, [f"f{number + 1}"] * 2) for number in range(30)),
    _function(30, ["Relu"]),
    "}",
)


@case("functions of ONNX")
def _(folder: Path) -> Path:
    onnx = needed("onnx")
    helper = onnx.helper
    functions = []
    for number in range(31):
        op, domain = ("Relu", "") if number == 30 else (f"f{number + 1}", "f")
        nodes = [
            helper.make_node(op, ["x"], ["z"], domain=domain),
            helper.make_node(op, ["z"], ["y"], domain=domain),
        ]
        sets = [helper.make_opsetid("", 18), helper.make_opsetid("f", 1)]
        functions.append(
            helper.make_function("f", f"f{number}", ["x"], ["y"], nodes, sets)
        )
    shape = [1, 1, None, None]
    made = helper.make_graph(
        [helper.make_node("f0", ["input"], ["output"], domain="f")],
        "graph",
        [helper.make_tensor_value_info("input", 1, shape)],
        [helper.make_tensor_value_info("output", 1, shape)],
    )
    sets = [helper.make_opsetid("", 18), helper.make_opsetid("f", 1)]
    model = helper.make_model(made, functions=functions, opset_imports=sets)
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


# --- Large numbers in constants ------------------------------------------------------

for _size in (LARGE,):
    _image = placeholder(sizes=(1, _size, _size, 1))
    graph(
        f"mirrored padding {_size}",
        placeholder(sizes=(1, 2 * _size, 2 * _size, 1)),
        graphs.pad("pad", "input", _size, _size, "MirrorPad"),
    )
    graph(f"mirrored size {_size}", _image, graphs.pad("p", "input", 1, 1, "MirrorPad"))
    graph(
        f"roll {_size}",
        _image,
        constant("shift", [1], []),
        constant("axis", [1], []),
        node("roll", "Roll", ["input", "shift", "axis"]),
    )
    graph(
        f"tile {_size}",
        _image,
        constant("times", [1, 2, 2, 1]),
        node("tile", "Tile", ["input", "times"]),
    )
    graph(
        f"tile one {_size}",
        placeholder(sizes=(1, 10, 10, 1)),
        constant("times", [1, _size, _size, 1]),
        node("tile", "Tile", ["input", "times"]),
        conv("conv", "tile", 3),
    )
    graph(
        f"broadcast {_size}",
        placeholder(sizes=(1, 1, 10, 1)),
        constant("shape", [1, _size, 10, 1]),
        node("broadcast", "BroadcastTo", ["input", "shape"]),
        conv("conv", "broadcast", 3),
    )
    graph(
        f"fill {_size}",
        _image,
        constant("dims", [1, _size, 1, 1]),
        constant("one", [1], []),
        node("fill", "Fill", ["dims", "one"]),
        node("out", "Mul", ["input", "fill"]),
    )
    graph(
        f"fill indices {_size}",
        _image,
        constant("dims", [_size]),
        constant("one", [1], []),
        node("fill", "Fill", ["dims", "one"]),
        node("out", "GatherV2", ["input", "fill", "one"]),
    )
    graph(
        f"range {_size}",
        _image,
        constant("start", [0], []),
        constant("limit", [_size], []),
        constant("one", [1], []),
        node("range", "Range", ["start", "limit", "one"]),
        node("out", "GatherV2", ["input", "range", "one"]),
    )
    graph(
        f"one hot {_size}",
        _image,
        constant("indices", [1, 2]),
        constant("depth", [_size], []),
        constant("one", [1], []),
        constant("zero", [0], []),
        node("hot", "OneHot", ["indices", "depth", "one", "zero"], axis="i: -1"),
        constant("shape", [1, 2, -1, 1]),
        node("shaped", "Reshape", ["hot", "shape"]),
        node("out", "Mul", ["input", "shaped"]),
    )
    graph(
        f"transposed stride {_size}",
        placeholder(sizes=(1, 10, 10, 1)),
        constant("sizes", [1, 10 * _size, 10 * _size, 1]),
        graphs.variable("w", (3, 3, 1, 1)),
        node(
            "up",
            "Conv2DBackpropInput",
            ["sizes", "w", "input"],
            strides=integers([1, _size, _size, 1]),
            padding='s: "SAME"',
        ),
    )
    graph(
        f"kernel {_size}",
        _image,
        conv("conv", "input", _size, 1, "SAME"),
    )
    graph(
        f"dilation {_size}",
        _image,
        conv("conv", "input", 3, 1, "SAME", _size // 4),
    )
    graph(
        f"resize {_size}",
        _image,
        constant("sizes", [2 * _size, 2 * _size]),
        node("large", "ResizeBilinear", ["input", "sizes"]),
    )
    graph(
        f"space to batch {_size}",
        _image,
        constant("block", [_size // 2, _size // 2]),
        constant("pads", [0, 0, 0, 0], [2, 2]),
        node("space", "SpaceToBatchND", ["input", "block", "pads"]),
        conv("conv", "space", 3, 1, "SAME"),
        node("batch", "BatchToSpaceND", ["conv", "block", "pads"]),
    )
    graph(
        f"depth to space {_size}",
        placeholder(sizes=(1, 8, 8, _size**2)),
        node("deep", "DepthToSpace", ["input"], block_size=f"i: {_size}"),
        conv("conv", "deep", 3, 1, "SAME"),
    )


# --- Long periods --------------------------------------------------------------------


def transposed(
    name: str, below: str, stride: int, kernel: int = 3, like: str | None = None
) -> str:
    """A transposed convolution, to the size of a tensor or the largest one."""
    if like is None:
        sizes = (
            node(f"{name}/shape", "Shape", [below])
            + constant(f"{name}/times", [1, stride, stride, 1])
            + node(f"{name}/sizes", "Mul", [f"{name}/shape", f"{name}/times"])
        )
    else:
        sizes = node(f"{name}/sizes", "Shape", [like])
    return (
        sizes
        + graphs.variable(f"{name}/weights", (kernel, kernel, 1, 1))
        + node(
            name,
            "Conv2DBackpropInput",
            [f"{name}/sizes", f"{name}/weights", below],
            strides=integers([1, stride, stride, 1]),
            padding='s: "SAME"',
        )
    )


def _coprime(*strides: int) -> Iterator[str]:
    yield placeholder()
    last = "input"
    for stride in strides:
        yield conv(f"down{stride}", "input", 3, stride, "SAME")
        yield transposed(f"up{stride}", f"down{stride}", stride, like="input")
        yield graphs.add(f"sum{stride}", last, f"up{stride}")
        last = f"sum{stride}"


graph("coprime strides", *_coprime(101, 103, 107, 109))
graph("coprime strides at a size", *_coprime(101, 103, 107, 109), size=1000)


def _up_and_down(count: int, up: int, down: int) -> Iterator[str]:
    yield placeholder()
    last = "input"
    for number in range(count):
        yield transposed(f"up{number}", last, up)
        yield conv(f"down{number}", f"up{number}", 3, down, "SAME")
        last = f"down{number}"


graph("24 times up 3 and down 2", *_up_and_down(24, 3, 2))


def _ladder(count: int) -> Iterator[str]:
    yield placeholder()
    last = "input"
    for number in range(count):
        yield conv(f"two{number}", last, 3, 2, "SAME")
        yield transposed(f"three{number}", f"two{number}", 3)
        yield conv(f"down{number}", f"three{number}", 3, 3, "SAME")
        yield transposed(f"back{number}", f"down{number}", 2, like=last)
        yield graphs.add(f"sum{number}", last, f"back{number}")
        last = f"sum{number}"


graph("ladder", *_ladder(12))


def _stretched(count: int, stride: int = 2) -> Iterator[str]:
    yield placeholder()
    last = "input"
    for number in range(count):
        yield transposed(f"up{number}", last, stride)
        last = f"up{number}"


graph("8 transposed", *_stretched(8), answered=MAIN)
graph("12 transposed", *_stretched(12), answered=MAIN)
graph("12 transposed at a size", *_stretched(12), size=8, answered=MAIN)
graph("16 transposed", *_stretched(16), answered=("field",))
graph("40 transposed", *_stretched(40))

# --- Many axes, factors and parts ----------------------------------------------------

_PRIMES = [2] * 10 + [3] * 6 + [5] * 4 + [7] * 3 + [11, 13, 17]


def _reshapes(count: int) -> Iterator[str]:
    size = 2**8 * 3**4 * 5**2 * 7
    yield placeholder(sizes=(1, size, 16, 1))
    last = "input"
    for number in range(count):
        first = [2, 3, 5, 7, 4, 9, 6, 8][number % 8]
        yield constant(f"shape{number}", [1, first, -1, size * 16 // first // 8, 2])
        yield node(f"cut{number}", "Reshape", [last, f"shape{number}"])
        yield constant(f"perm{number}", [0, 2, 1, 3, 4])
        yield node(f"turned{number}", "Transpose", [f"cut{number}", f"perm{number}"])
        last = f"turned{number}"
    yield constant("back", [1, size, 16, 1])
    yield node("out", "Reshape", [last, "back"])


graph("reshapes", *_reshapes(4), answered=MAIN)
graph("many reshapes", *_reshapes(30), answered=("field", "layers"))


def _prime_axes() -> Iterator[str]:
    total = 1
    for prime in _PRIMES:
        total *= prime
    yield placeholder(sizes=(1, total, 4, 1))
    yield constant("shape", [1, *_PRIMES, 4, 1])
    yield node("cut", "Reshape", ["input", "shape"])
    order = [0, *range(len(_PRIMES), 0, -1), len(_PRIMES) + 1, len(_PRIMES) + 2]
    yield constant("perm", order)
    yield node("turned", "Transpose", ["cut", "perm"])
    yield constant("back", [1, -1, 4, 1])
    yield node("out", "Reshape", ["turned", "back"])


graph("prime axes", *_prime_axes())


def _splits(count: int, parts: int) -> Iterator[str]:
    yield placeholder(sizes=(1, parts, 4, 1))
    yield constant("axis", [1], [])
    last = "input"
    for number in range(count):
        yield node(f"s{number}", "Split", ["axis", "input"], num_split=f"i: {parts}")
        yield graphs.add(f"a{number}", last, f"s{number}:{number}")
        last = f"a{number}"


graph("300 splits", *_splits(300, 65_536))
graph(
    "one split",
    placeholder(sizes=(1, 65_536, 4, 1)),
    constant("axis", [1], []),
    node("split", "Split", ["axis", "input"], num_split="i: 65536"),
    node("out", "Relu", ["split:65535"]),
)
graph(
    "split of billions",
    placeholder(sizes=(1, 2**31, 4, 1)),
    constant("axis", [1], []),
    node("split", "Split", ["axis", "input"], num_split="i: 2147483648"),
    node("out", "Relu", ["split:65535"]),
)
graph(
    "unpack of billions",
    placeholder(sizes=(1, 2**31, 4, 1)),
    node("split", "Unpack", ["input"], num="i: 2147483648", axis="i: 1"),
    node("out", "Relu", ["split:65535"]),
)
graph(
    "rank 5000",
    placeholder(sizes=(1,) * 5000),
    node("squeeze", "Squeeze", ["input"]),
)
graph(
    "rank 5000 repeated",
    placeholder(sizes=(1, *([2] * 5000))),
    *(
        node(f"r{n}", "Softmax" if n % 2 else "Relu", [f"r{n - 1}" if n else "input"])
        for n in range(40)
    ),
    *(
        constant("perm", [0, *range(5000, 0, -1)]),
        node("turned", "Transpose", ["r39", "perm"]),
    ),
)
graph(
    "rank 30000",
    placeholder(sizes=(1,) * 30_000),
    node("out", "Relu", ["input"]),
    node("out2", "Relu", ["out"]),
)


# --- Ordinary graphs at huge sizes ---------------------------------------------------

HUGE: list[int] = [2**31, 2**31]


def _mean(name: str, below: str) -> str:
    return constant(f"{name}/axes", [1, 2]) + node(
        name, "Mean", [below, f"{name}/axes"], keep_dims="b: true"
    )


_OPS = {
    "convolutions": [
        conv("a", "input", 3, 2, "SAME"),
        graphs.pool("b", "a"),
        conv("out", "b", 3, 1, "SAME", 2),
    ],
    "residual": [
        conv("a", "input", 3, 1, "SAME"),
        graphs.add("out", "a", "input"),
    ],
    "decoder": [
        conv("a", "input", 3, 2, "SAME"),
        transposed("b", "a", 2, like="input"),
        graphs.add("out", "b", "input"),
    ],
    "mean": [_mean("m", "input"), node("out", "Mul", ["input", "m"])],
    "mirrored": [graphs.pad("out", "input", 3, 3, "MirrorPad")],
    "mirrored twice": [
        graphs.pad("a", "input", 3, 3, "MirrorPad"),
        conv("b", "a", 7),
        graphs.pad("c", "b", 1, 1, "MirrorPad"),
        conv("out", "c", 3, 2),
    ],
    "pad": [graphs.pad("out", "input", 3, 3)],
    "roll": [
        constant("shift", [3, 3]),
        constant("axis", [1, 2]),
        node("out", "Roll", ["input", "shift", "axis"]),
    ],
    "tile": [
        constant("times", [1, 2, 2, 1]),
        node("out", "Tile", ["input", "times"]),
    ],
    "flip": [
        constant("axis", [1]),
        node("out", "ReverseV2", ["input", "axis"]),
    ],
    "slice": [
        constant("begin", [0, 5, 5, 0]),
        constant("size", [-1, 100, 100, -1]),
        node("out", "Slice", ["input", "begin", "size"]),
    ],
    "resize": [
        conv("a", "input", 3, 2, "SAME"),
        constant("sizes", [64, 64]),
        node("out", "ResizeBilinear", ["a", "sizes"]),
    ],
    "space to batch": [
        constant("block", [2, 2]),
        constant("pads", [0, 0, 0, 0], [2, 2]),
        node("a", "SpaceToBatchND", ["input", "block", "pads"]),
        conv("b", "a", 3, 1, "SAME"),
        node("out", "BatchToSpaceND", ["b", "block", "pads"]),
    ],
    "space to depth": [
        node("a", "SpaceToDepth", ["input"], block_size="i: 2"),
        graphs.variable("b/weights", (3, 3, 4, 4)),
        node(
            "b",
            "Conv2D",
            ["a", "b/weights"],
            strides=integers([1, 1, 1, 1]),
            padding='s: "SAME"',
        ),
        node("out", "DepthToSpace", ["b"], block_size="i: 2"),
    ],
    "tokens": [
        constant("shape", [1, -1, 1]),
        node("a", "Reshape", ["input", "shape"]),
        node("out", "Relu", ["a"]),
    ],
    "concat": [
        constant("axis", [1], []),
        node("out", "ConcatV2", ["input", "input", "axis"], N="i: 2"),
    ],
    "split": [
        constant("axis", [1], []),
        node("a", "Split", ["axis", "input"], num_split="i: 2"),
        graphs.add("out", "a", "a:1"),
    ],
    "gather": [
        constant("indices", [0, 7, 4]),
        constant("axis", [1], []),
        node("out", "GatherV2", ["input", "indices", "axis"]),
    ],
    "cumulative sum": [
        constant("axis", [1], []),
        node("out", "Cumsum", ["input", "axis"]),
    ],
    "circular": [
        constant("begin", [0, 0, 0, 0]),
        constant("size", [-1, 3, -1, -1]),
        node("a", "Slice", ["input", "begin", "size"]),
        constant("axis", [1], []),
        node("b", "ConcatV2", ["input", "a", "axis"], N="i: 2"),
        conv("out", "b", 3),
    ],
}
for _name, _nodes in _OPS.items():
    graph(f"huge {_name}", placeholder(), *_nodes, size=HUGE, answered=("field",))


# --- Compressed files ----------------------------------------------------------------


def _real() -> bytes:
    return graphs.graph_def(placeholder(), *_OPS["convolutions"]).SerializeToString()


@case("gzip of a graph", answered=MAIN)
def _(folder: Path) -> Path:
    path = folder / "graph.pb.gz"
    path.write_bytes(gzip.compress(_real()))
    return path


def _zeros(compress: Callable[[bytes], bytes], count: int) -> bytes:
    """A compressed file of so many zeros, in parts, of which one is compressed."""
    return compress(bytes(1 << 24)) * (count >> 24)


@case("gzip bomb")
def _(folder: Path) -> Path:
    path = folder / "graph.pb.gz"
    path.write_bytes(_zeros(gzip.compress, 1 << 30))
    return path


@case("bzip2 bomb")
def _(folder: Path) -> Path:
    path = folder / "graph.pb.bz2"
    path.write_bytes(_zeros(bz2.compress, 4 << 30))
    return path


@case("xz bomb")
def _(folder: Path) -> Path:
    path = folder / "graph.pb.xz"
    path.write_bytes(_zeros(lzma.compress, 1 << 30))
    return path


def _archive(folder: Path, name: str, entries: dict[str, bytes | int]) -> Path:
    """A ZIP archive; a number stands for that many spaces."""
    path = folder / name
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for entry, content in entries.items():
            with archive.open(entry, "w", force_zip64=True) as file:
                if isinstance(content, bytes):
                    file.write(content)
                    continue
                for _ in range(content >> 24):
                    file.write(b" " * (1 << 24))
    return path


@case("zip bomb of Keras")
def _(folder: Path) -> Path:
    metadata = b'{"keras_version": "3.15.1"}'
    return _archive(
        folder, "m.keras", {"metadata.json": metadata, "config.json": 1 << 29}
    )


@case("zip bomb of Keras in the weights")
def _(folder: Path) -> Path:
    metadata = b'{"keras_version": "3.15.1"}'
    config = _sequential([("Conv2D", {"filters": 4, "kernel_size": 3})])
    entries = {
        "metadata.json": metadata,
        "config.json": config,
        "model.weights.h5": 1 << 29,
    }
    return _archive(folder, "m.keras", entries)


@case("zip bomb of PyTorch")
def _(folder: Path) -> Path:
    return _archive(
        folder,
        "m.pt2",
        {"m/archive_format": b"pt2", "m/version": b"0", "m/models/model.json": 1 << 29},
    )


# --- Keras ---------------------------------------------------------------------------


def _sequential(layers: list[tuple[str, dict[str, Any]]], size: Any = 8) -> bytes:
    made = [
        {
            "module": "keras.layers",
            "class_name": "InputLayer",
            "config": {"batch_shape": [None, size, size, 3], "name": "input"},
        }
    ]
    for number, (kind, config) in enumerate(layers):
        named = {"name": f"layer{number}", **config}
        made.append({"module": "keras.layers", "class_name": kind, "config": named})
    config = {"name": "model", "layers": made}
    return json.dumps(
        {"module": "keras", "class_name": "Sequential", "config": config}
    ).encode()


def _keras(
    name: str,
    *layers: tuple[str, dict[str, Any]],
    size: Any = 8,
    answered: tuple[str, ...] = (),
) -> None:
    @case(name, answered=answered)
    def _(folder: Path) -> Path:
        path = folder / "m.keras"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("metadata.json", '{"keras_version": "3.15.1"}')
            archive.writestr("config.json", _sequential(list(layers), size))
        return path


_keras("Keras dense", ("Flatten", {}), ("Dense", {"units": 10**9}))
_keras(
    "Keras convolution",
    ("Conv2D", {"filters": 10**6, "kernel_size": 3, "padding": "same"}),
    ("Conv2D", {"filters": 10**6, "kernel_size": 3, "padding": "same"}),
)
_keras("Keras lstm", ("Reshape", {"target_shape": [64, 3]}), ("LSTM", {"units": 10**6}))
_keras(
    "Keras traced",
    ("Reshape", {"target_shape": [64, 3]}),
    (
        "Bidirectional",
        {
            "layer": {
                "module": "keras.layers",
                "class_name": "GRU",
                "config": {"name": "gru", "units": 10**6},
            }
        },
    ),
)
_keras(
    "Keras locally",
    ("EinsumDense", {"equation": "abcd,ce->abed", "output_shape": [None, 10**9, 3]}),
)
_keras(
    "Keras attention",
    ("Reshape", {"target_shape": [64, 3]}),
    ("Embedding", {"input_dim": 10**9, "output_dim": 10**3}),
)
_keras(
    "Keras spectral",
    (
        "SpectralNormalization",
        {
            "layer": {
                "module": "keras.layers",
                "class_name": "Conv2D",
                "config": {"name": "c", "filters": 10**6, "kernel_size": 31},
            }
        },
    ),
)
_keras(
    "Keras loaded",  # Only Keras itself knows what this layer does.
    ("RandomCrop", {"height": 8, "width": 8}),
    ("Flatten", {}),
    ("Dense", {"units": 3 * 10**6}),
)


def _of_keras_2(folder: Path, *layers: dict[str, Any]) -> Path:
    """A model whose last layer has no rule, so that Keras itself has to load it."""
    image = _layer("InputLayer", "image", batch_input_shape=[None, 8, 8, 3])
    crop = _layer("RandomCrop", "cropped", "image", height=8, width=8)
    ends = {"input_layers": [["image", 0, 0]], "output_layers": [["cropped", 0, 0]]}
    config = {"name": "model", "layers": [image, crop, *layers], **ends}
    path = folder / "m.h5"
    with needed("h5py").File(path, "w") as file:
        file.attrs["keras_version"] = "2.15.0"
        model = {"class_name": "Functional", "config": config}
        file.attrs["model_config"] = json.dumps(model)
    return path


def _layer(kind: str, name: str, *read: str, **config: Any) -> dict[str, Any]:
    nodes = [[[below, 0, 0, {}]] for below in read]
    named = {"class_name": kind, "name": name, "config": {"name": name, **config}}
    return {**named, "inbound_nodes": nodes}


@case("Keras circle")
def _(folder: Path) -> Path:
    one, two = _layer("ReLU", "one", "two"), _layer("ReLU", "two", "one")
    return _of_keras_2(folder, one, two)


@case("Keras heap without end")
def _(folder: Path) -> Path:
    """The space that is left in a heap of HDF5 takes no bytes."""
    path = _of_keras_2(folder)
    content = bytearray(path.read_bytes())
    place = content.index(b"GCOL") + 16
    while any(content[place : place + 2]):
        size = int.from_bytes(content[place + 8 : place + 16], "little")
        place += 16 + -(-size // 8) * 8
    content[place + 8 : place + 16] = bytes(8)
    path.write_bytes(content)
    return path


_keras("Keras repeat", ("Flatten", {}), ("RepeatVector", {"n": 10**9}))
_keras("Keras upsampling", ("UpSampling2D", {"size": [60_000, 60_000]}))
_keras(
    "Keras transposed",
    *[("Conv2DTranspose", {"filters": 1, "kernel_size": 3, "strides": 60_000})] * 3,
)
_keras("Keras adaptive", ("AdaptiveAveragePooling2D", {"output_size": 10**6}))
_keras("Keras zero padding", ("ZeroPadding2D", {"padding": 10**6}))
_keras("Keras reshapes", ("Reshape", {"target_shape": [2] * 6 + [3]}))
_keras(
    "Keras rnn steps",
    (
        "TimeDistributed",
        {
            "layer": {
                "module": "keras.layers",
                "class_name": "Dense",
                "config": {"name": "d", "units": 10**9},
            }
        },
    ),
    size=10**6,
)


# --- Running them --------------------------------------------------------------------


class Outcome(NamedTuple):
    """How a question ends."""

    end: str
    """"answered", "refused" or "broken"."""
    why: str
    seconds: float
    megabytes: float


def ask(path: Path, size: Size, question: str) -> tuple[str, str]:
    """Asks one question about a file; how it ends, and why."""
    try:
        QUESTIONS[question](path, size)
    except rf.ReceptiveFieldError as error:
        return "refused", str(error)
    except Exception as error:
        return "broken", f"{type(error).__name__}: {error}"
    return "answered", ""


def _measured(path: Path, size: Size, question: str, seconds: int, pipe: Any) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (12 << 30, 12 << 30))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds + 1, seconds + 1))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    end, why = ask(path, size, question)
    seconds = time.process_time() - start
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pipe.send(Outcome(end, why, seconds, (after - before) / 1024))


def outcome(path: Path, size: Size, question: str, most: int) -> Outcome:
    """Asks in a process of its own, which is ended after so many seconds."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(
        target=_measured, args=(path, size, question, most, theirs)
    )
    process.start()
    theirs.close()
    try:
        if ours.poll(10 * most):
            return ours.recv()  # type: ignore[no-any-return]
        return Outcome("too long", "", most, 0)
    except EOFError:
        return Outcome("too long", "", most, 0)
    finally:
        process.kill()
        process.join()


def main() -> int:
    """Prints what each question costs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="parts of the names of cases")
    parser.add_argument("--after", help="only the cases after this one")
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--ask", action="append", choices=QUESTIONS)
    options = parser.parse_args()
    for module in ("keras", "onnx", "torch"):
        needed(module)
    skipping = options.after is not None
    for name, chosen in CASES.items():
        if skipping:
            skipping = name != options.after
            continue
        if options.names and not any(part in name for part in options.names):
            continue
        with TemporaryDirectory() as folder:
            path = chosen.write(Path(folder))
            kb = path.stat().st_size / 1000
            for question in options.ask or QUESTIONS:
                found = outcome(path, chosen.size, question, options.seconds)
                bad = found.end not in ("answered", "refused") or (
                    found.end == "refused" and question in chosen.answered
                )
                slow = found.seconds > 2 or found.megabytes > 300
                mark = "!!" if bad else "! " if slow else "  "
                print(
                    f"{mark} {name:32}{question:12}{kb:8.1f} kB {found.seconds:7.2f} s "
                    f"{found.megabytes:7.0f} MB {found.end} {found.why[:150]}",
                    flush=True,
                )
    return 0


if __name__ == "__main__":
    sys.exit(main())
