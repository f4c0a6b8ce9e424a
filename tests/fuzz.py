"""Damaged models of all formats: each is answered, or refused with a reason.

  python -m tests.fuzz SEED COUNT

damages models of a corpus that is made of the tests' data, asks random questions about
them, and counts how they end. Anything but an answer or a `ReceptiveFieldError` is a
defect: another exception, or an `InternalError` that stands for one; more than ten
seconds of computing, or more than 1 GB. It goes on where it was interrupted, also after
the package was changed: what was tried is kept in ``.fuzz.json``, with the files of
defects, about which it asks again first. ``--repeat NUMBER`` asks again about one case,
and keeps its file. ``--table`` prints the table of what was tried so far, which is in
``docs/guide/untrusted.md``, and asks nothing.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import io
import json
import lzma
import random
import subprocess
import sys
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))

import graphs
from google.protobuf import text_format
from google.protobuf.message import DecodeError
from needed import needed

import receptive_field as rf
from receptive_field.cli.arguments import parser
from receptive_field.errors import InternalError
from receptive_field.frameworks.keras.hdf5 import check_heaps
from receptive_field.many.limits import Limits, Watch
from receptive_field.whole_files import replace_file

DATA = Path(__file__).parent / "data"
ROOT = Path(__file__).parent.parent
STATE = ROOT / ".fuzz.json"

LIMITS = Limits(seconds=10, megabytes=1024, may_end=True)
"""What a case may take, in seconds of computing."""

PATIENCE = 12
"""How many seconds of the clock a second of computing may take, on a machine that does
other things, too."""

MOST_BYTES = 30_000
"""Larger models of the tests' data are left out: they would take most of the time."""

NUMBERS = (
    0,
    1,
    2,
    3,
    7,
    127,
    128,
    255,
    2**15,
    2**16,
    2**31 - 1,
    2**31,
    2**63,
    2**64 - 1,
)
"""Numbers that are put in the place of others; large ones stand for negative ones."""


class Seed(NamedTuple):
    """A model of the corpus."""

    name: str
    """The name of its file, which states the format."""
    kind: str
    content: bytes


# --- The corpus ----------------------------------------------------------------------


@cache
def corpus() -> dict[str, list[Seed]]:
    """Format -> small models."""
    found: dict[str, list[Seed]] = {}
    for seed in (*_graphs(), *_keras(), *_of_data()):
        if len(seed.content) <= MOST_BYTES:
            found.setdefault(seed.kind, []).append(seed)
    return found


def _graphs() -> Iterator[Seed]:
    """Yields graphs of TensorFlow in all their forms."""
    for number, nodes in enumerate(_networks()):
        graph = graphs.graph_def(*nodes)
        binary, text = graph.SerializeToString(), text_format.MessageToString(graph)
        yield Seed(f"{number}.pb", "GraphDef", binary)
        yield Seed(f"{number}.pbtxt", "GraphDef as text", text.encode())
        meta = _field(2, binary)  # MetaGraphDef.graph_def
        yield Seed(f"{number}.meta", "MetaGraph", meta)
        saved = _varint(1 << 3) + _varint(1) + _field(2, meta)
        yield Seed(f"{number}/saved_model.pb", "SavedModel", saved)


def _networks() -> Iterator[list[str]]:
    image = graphs.placeholder()
    yield [
        image,
        graphs.conv("one", "input", 3, 2, "SAME"),
        graphs.pool("two", "one"),
        graphs.pad("three", "two", 1, 2),
        graphs.conv("four", "three", (3, 5), 1, "VALID", 2),
        graphs.node("five", "Relu", ["four"]),
    ]
    yield [
        graphs.placeholder(sizes=(1, 32, 40, 1)),
        graphs.conv("one", "input", 3, 1, "SAME"),
        graphs.conv("two", "input", 1, 1, "SAME"),
        graphs.add("sum", "one", "two"),
        graphs.constant("axes", [1, 2]),
        graphs.node("mean", "Mean", ["sum", "axes"], keep_dims="b: true"),
        graphs.node("gate", "Mul", ["sum", "mean"]),
        graphs.pad("mirrored", "gate", 3, 3, "MirrorPad"),
        graphs.constant("perm", [0, 2, 1, 3]),
        graphs.node("turned", "Transpose", ["mirrored", "perm"]),
    ]
    yield [
        graphs.placeholder(sizes=(2, 12, 12, 1)),
        graphs.constant("begin", [0, 1, 0, 0]),
        graphs.constant("end", [0, -1, 0, 0]),
        graphs.constant("steps", [1, 2, 1, 1]),
        graphs.node(
            "slice",
            "StridedSlice",
            ["input", "begin", "end", "steps"],
            begin_mask="i: 13",
            end_mask="i: 13",
        ),
        graphs.constant("sizes", [24, 24]),
        graphs.node("large", "ResizeBilinear", ["slice", "sizes"]),
        graphs.constant("shape", [2, -1, 3, 1]),
        graphs.node("folded", "Reshape", ["large", "shape"]),
        graphs.constant("axis", [2], []),
        graphs.node("joined", "ConcatV2", ["folded", "folded", "axis"], N="i: 2"),
        graphs.constant("times", [1, 2, 1, 1]),
        graphs.node("tiled", "Tile", ["joined", "times"]),
        graphs.node("split", "Split", ["axis", "tiled"], num_split="i: 2"),
        graphs.node("packed", "Pack", ["split", "split:1"], axis="i: 1"),
    ]


def _keras() -> Iterator[Seed]:
    h5py = needed("h5py")
    for path in sorted((DATA / "keras").glob("*.json")):
        config = path.read_bytes()
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("metadata.json", '{"keras_version": "3.15.1"}')
            archive.writestr("config.json", config)
        yield Seed(f"{path.stem}.keras", "Keras", file.getvalue())
        file = io.BytesIO()
        with h5py.File(file, "w") as hdf5:
            hdf5.attrs["model_config"] = config.decode()
            hdf5.attrs["keras_version"] = "2.15.0"
        yield Seed(f"{path.stem}.h5", "HDF5", file.getvalue())


def _of_data() -> Iterator[Seed]:
    for kind, folder in (("ONNX", "onnx"), ("TFLite", "tflite"), (".pt2", "torch")):
        for path in sorted((DATA / folder).glob("*.[otp]*")):
            if path.suffix == ".csv":
                continue
            content = path.read_bytes()
            if path.suffix == ".xz":
                content = lzma.decompress(content)
            yield Seed(path.name.removesuffix(".xz"), kind, content)


# --- Damage --------------------------------------------------------------------------


def _varint(number: int) -> bytes:
    number &= 2**64 - 1
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])


def _field(number: int, content: bytes) -> bytes:
    """A field of a protobuf message that holds bytes."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


class Part:
    """A field of a protobuf message, and the fields inside it, if it may be one."""

    def __init__(self, key: int, value: int | bytes, inside: list[Part] | None) -> None:
        self.key, self.value, self.inside = key, value, inside

    def written(self) -> bytes:
        """The bytes of the field."""
        if isinstance(self.value, int):
            return _varint(self.key) + _varint(self.value)
        value = self.value if self.inside is None else _written(self.inside)
        size = _varint(len(value)) if self.key & 7 == 2 else b""
        return _varint(self.key) + size + value


def _written(parts: list[Part]) -> bytes:
    return b"".join(part.written() for part in parts)


def parsed(content: bytes, depth: int = 8) -> list[Part] | None:
    """The fields of a message; None if the bytes are none."""
    parts, place = [], 0

    def number() -> int:
        nonlocal place
        found = shift = 0
        while True:
            byte = content[place]
            place += 1
            found |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return found

    try:
        while place < len(content):
            key = number()
            kind = key & 7
            if kind == 0:
                parts.append(Part(key, number(), None))
                continue
            size = {1: 8, 5: 4}.get(kind)
            if size is None and kind == 2:
                size = number()
            if size is None or not key >> 3 or place + size > len(content):
                return None
            value = content[place : place + size]
            place += size
            inside = parsed(value, depth - 1) if kind == 2 and depth and value else None
            if inside and _written(inside) != value:
                inside = None  # It is a text, or numbers, that look like a message.
            parts.append(Part(key, value, inside))
    except IndexError:
        return None
    return parts


def of_message(draw: random.Random, content: bytes) -> bytes:
    """Changes fields of a protobuf message, at any depth."""
    parts = parsed(content)
    if not parts:
        return of_bytes(draw, content)
    for _ in range(draw.choice((1, 1, 2, 4))):
        _change(draw, parts)
    return _written(parts)


def _change(draw: random.Random, parts: list[Part]) -> None:
    """Changes one of these fields, or one inside them."""
    place = draw.randrange(len(parts))
    part = parts[place]
    if part.inside and draw.random() < 0.85:
        _change(draw, part.inside)
        return
    match draw.randrange(6):
        case 0:
            del parts[place]
        case 1:
            parts.insert(draw.randrange(len(parts) + 1), part)
        case 2:
            other = draw.randrange(len(parts))
            parts[place], parts[other] = parts[other], parts[place]
        case 3:
            part.key = draw.choice(parts).key
        case _ if isinstance(part.value, int):
            part.value = _number(draw, part.value)
        case _:
            other = draw.choice(parts)
            part.inside = None
            part.value = (
                other.value
                if isinstance(other.value, bytes) and draw.random() < 0.5
                else of_bytes(draw, part.value)
            )
    if not parts:
        parts.append(part)


def _number(draw: random.Random, number: int) -> int:
    chosen = draw.choice((*NUMBERS, number + 1, number - 1, number * 2, number * 1000))
    return draw.choice((chosen, -chosen)) & 2**64 - 1


def of_bytes(draw: random.Random, content: bytes) -> bytes:
    """Changes, removes or repeats some bytes."""
    found = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 8))):
        place = draw.randrange(len(found) + 1)
        length = min(draw.choice((1, 1, 2, 4, 8, 64)), len(found) - place)
        match draw.randrange(5):
            case 0:
                del found[place : place + length]
            case 1:
                found[place:place] = found[place : place + length]
            case 2:
                found[place : place + length] = draw.randbytes(length)
            case 3 if length:
                found[place] ^= 1 << draw.randrange(8)
            case _:
                number = draw.choice(NUMBERS) & 2 ** (8 * length) - 1
                found[place : place + length] = number.to_bytes(length, "little")
    return bytes(
        found[: draw.randrange(len(found) + 1)] if draw.random() < 0.05 else found
    )


def of_text(draw: random.Random, content: bytes) -> bytes:
    """Changes words of a text, or fields of the message that it stands for."""
    if draw.random() < 0.5:
        graph = text_format.Parse(content, graphs.graph_def())
        with contextlib.suppress(DecodeError):
            graph.ParseFromString(of_message(draw, graph.SerializeToString()))
        return text_format.MessageToString(graph).encode()
    words = content.decode().split(" ")
    for _ in range(draw.choice((1, 1, 2, 4))):
        place = draw.randrange(len(words))
        match draw.randrange(5):
            case 0:
                del words[place]
            case 1:
                words.insert(place, draw.choice(words))
            case 2:
                words[place] = draw.choice(words)
            case 3:
                words[place] = str(draw.choice((*NUMBERS, -1, -(2**63), 10**20, "nan")))
            case _:
                words[place] = of_bytes(draw, words[place].encode()).decode("latin-1")
        words = words or [""]
    return " ".join(words).encode()


def of_json(draw: random.Random, content: bytes) -> bytes:
    """Changes values of a JSON text, at any depth."""
    if draw.random() < 0.1:
        return of_bytes(draw, content)
    whole = [json.loads(content)]
    for _ in range(draw.choice((1, 1, 2, 4))):
        places = list(_places(whole))
        holder, key = draw.choice(places)
        match draw.randrange(4):
            case 0 if holder is not whole:
                del holder[key]
            case 1:
                other, name = draw.choice(places)
                holder[key] = json.loads(json.dumps(other[name]))
            case _:
                holder[key] = draw.choice(
                    (None, True, "", "x", -1, 0, 1.5, [], {}, [1], *NUMBERS, 1e300)
                )
    return json.dumps(whole[0]).encode()


def _places(thing: Any) -> Iterator[tuple[Any, Any]]:
    """The lists and dictionaries in a JSON value, with each of their keys."""
    keys = range(len(thing)) if isinstance(thing, list) else list(thing)
    for key in keys:
        yield thing, key
        if isinstance(thing[key], (list, dict)):
            yield from _places(thing[key])


def of_archive(draw: random.Random, content: bytes) -> bytes:
    """Changes an entry of a ZIP archive, or its bytes."""
    if draw.random() < 0.15:
        return of_bytes(draw, content)
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(file, "w") as new:
        texts = [name for name in old.namelist() if name.endswith(".json")]
        chosen = draw.choice(texts or old.namelist())
        for name in old.namelist():
            entry = old.read(name)
            if name == chosen:
                entry = (of_json if name in texts else of_bytes)(draw, entry)
                if draw.random() < 0.02:
                    continue
            new.writestr(name, entry)
    return file.getvalue()


def of_hdf5(draw: random.Random, content: bytes) -> bytes:
    """Changes the configuration in an HDF5 file, or its bytes.

    Raises:
      EndlessError: if h5py would never return, because the file is damaged already.
    """
    if draw.random() < 0.3:
        return of_bytes(draw, content)
    with tempfile.TemporaryFile() as damaged:
        damaged.write(content)
        damaged.flush()
        check_heaps(damaged)
    file = io.BytesIO(content)
    with needed("h5py").File(file, "r+") as hdf5:
        config = of_json(draw, hdf5.attrs["model_config"].encode())
        del hdf5.attrs["model_config"]
        hdf5.attrs["model_config"] = config.decode("latin-1").replace("\0", "?")
    return file.getvalue()


DAMAGE: dict[str, Callable[[random.Random, bytes], bytes]] = {
    "GraphDef": of_message,
    "GraphDef as text": of_text,
    "MetaGraph": of_message,
    "SavedModel": of_message,
    "Keras": of_archive,
    "HDF5": of_hdf5,
    "ONNX": of_message,
    "TFLite": of_bytes,
    ".pt2": of_archive,
}
"""Format -> how its files are damaged, beside byte by byte."""


# --- Questions -----------------------------------------------------------------------


def ask(draw: random.Random, path: Path) -> None:
    """Asks a random question about a file."""
    size = draw.choice((None, None, 16, [33, 47], [224, 224], "unknown", [8, 8, 8]))
    named = {"input_resolution": size}
    match draw.randrange(8):
        case 0:
            field = rf.compute_receptive_field(path, **named)
            str(field.explain())
            field.compute_input_region([0] * len(field.axes))
        case 1:
            field = rf.compute_receptive_field(path, **named)
            str(field.support())
        case 2:
            field = rf.compute_receptive_field(path, **named)
            field.effective_receptive_field()
        case 3:
            str(rf.compute_costs(path, **named))
        case 4:
            str(rf.resolutions(path))
        case 5:
            rf.explore(path, path.parent / "page.html", **named)
        case 6:
            options = parser().parse_args(["nodes", str(path)])
            with contextlib.redirect_stdout(io.StringIO()):
                options.run(options)
        case _:
            str(rf.compute_receptive_fields(path, **named))


def case_of(seed: int, number: int) -> tuple[Seed, bytes]:
    """A model of the corpus, and the bytes of its damaged file."""
    draw = random.Random(f"{seed}/{number}")
    kind = list(DAMAGE)[number % len(DAMAGE)]
    chosen = draw.choice(corpus()[kind])
    damage = of_bytes if draw.random() < 0.1 else DAMAGE[kind]
    content = chosen.content if draw.random() < 0.05 else damage(draw, chosen.content)
    return chosen, content


def written(folder: Path, chosen: Seed, content: bytes) -> Path:
    """The file of a case; for a SavedModel, its folder."""
    path = folder / chosen.name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path.parent if chosen.kind == "SavedModel" else path


def outcome_of(seed: int, number: int, limits: Limits = LIMITS) -> tuple[str, str, str]:
    """The format of a case, how it ends, and why."""
    chosen, content = case_of(seed, number)
    return chosen.kind, *ending(f"{seed}/{number}", chosen, content, limits)


def ending(
    question: str, chosen: Seed, content: bytes, limits: Limits = LIMITS
) -> tuple[str, str]:
    """How a question about a damaged model ends, and why."""
    assert limits.seconds is not None
    patient = limits._replace(seconds=PATIENCE * limits.seconds)
    start = time.process_time()
    with tempfile.TemporaryDirectory() as folder, Watch(patient) as watch:
        path = written(Path(folder), chosen, content)
        try:
            with watch.limited():
                ask(random.Random(question), path)
            end = "answered"
        except InternalError as error:
            return "broken", _told(error.__cause__)
        except rf.ReceptiveFieldError as error:
            if "the analysis takes more" in str(error):
                return "too much", str(error)
            end = "refused"
        except Exception as error:
            return "broken", _told(error)
    took = time.process_time() - start
    if took > limits.seconds:
        return "too much", f"{took:.1f} seconds"
    return end, ""


def _told(error: BaseException | None) -> str:
    """What an exception is, and where it was raised."""
    assert error is not None
    last = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}: {error}"
    )


# --- The command ---------------------------------------------------------------------


class Tried:
    """What was tried with a seed: kept in a file, so that it goes on."""

    def __init__(self, path: Path, seed: int) -> None:
        self._path, self._seed = path, seed
        self._running = path.with_suffix(".running")
        self.next, self.defects = 0, []
        self.counts: Counter[str] = Counter()
        with contextlib.suppress(OSError, ValueError):
            kept = json.loads(path.read_text(encoding="utf-8"))
            if kept["seed"] == seed:
                self.next, self.defects = kept["next"], kept["defects"]
                self.counts.update(kept["counts"])

    def keep(self) -> None:
        """Writes the file."""
        kept = {"seed": self._seed, "next": self.next, "counts": self.counts}
        replace_file(self._path, json.dumps({**kept, "defects": self.defects}).encode())

    def case(self, number: int) -> tuple[Seed, bytes]:
        """A case; that of a defect as it was when it was found."""
        for defect in self.defects:
            if defect["number"] == number:
                content = base64.b64decode(defect["content"])
                return Seed(defect["name"], defect["kind"], b""), content
        return case_of(self._seed, number)

    def ask(self, number: int) -> None:
        """Asks about a case, and counts it."""
        chosen, content = self.case(number)
        self._running.write_text(str(number))
        self.next = number + 1
        self.count(number, *ending(f"{self._seed}/{number}", chosen, content))

    def count(self, number: int, end: str, why: str) -> None:
        """Counts how a case ended."""
        chosen, content = self.case(number)
        self.counts[f"{chosen.kind}: {end}"] += 1
        if why:
            print(number, chosen.kind, why[:300], flush=True)
            self.defects.append(
                {
                    **{"number": number, "kind": chosen.kind, "name": chosen.name},
                    **{"content": base64.b64encode(content).decode()},
                    **{"end": end, "why": why},
                }
            )

    def ask_again(self) -> None:
        """Asks about defects once more, and counts those that are mended as such."""
        for defect in list(self.defects):
            chosen, content = self.case(defect["number"])
            end, why = ending(f"{self._seed}/{defect['number']}", chosen, content)
            self.counts[f"{chosen.kind}: {defect['end']}"] -= 1
            self.counts[f"{chosen.kind}: {end}"] += 1
            defect.update(end=end, why=why)
            if why:
                print(defect["number"], chosen.kind, why[:300], flush=True)
            else:
                self.defects.remove(defect)

    def ask_interrupted(self, command: list[str]) -> None:
        """Counts the case that was asked about when the last process ended."""
        with contextlib.suppress(OSError, ValueError):
            number = int(self._running.read_text())
            if number < self.next:
                return
            for before in range(self.next, number):
                self.ask(before)
            if subprocess.run([*command, "--repeat", str(number)]).returncode < 0:
                self.next = number + 1
                self.count(number, "broken", "the process ended")


def table(counts: Counter[str]) -> str:
    """How the cases of each format ended, in Markdown."""
    ends = ("answered", "refused", "broken", "too much")
    lines = [f"| format | cases | {' | '.join(ends)} |", "|---|" + "---:|" * 5]
    rows = {kind: [counts[f"{kind}: {end}"] for end in ends] for kind in DAMAGE}
    rows["all"] = [sum(column) for column in zip(*rows.values(), strict=True)]
    for kind, found in rows.items():
        numbers = " | ".join(f"{number:,}" for number in (sum(found), *found))
        lines.append(f"| {kind} | {numbers} |")
    return "\n".join(lines)


def main() -> int:
    """Tries damaged models until enough were tried."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("seed", type=int)
    parser.add_argument("count", type=int, help="how many files to damage")
    parser.add_argument("--repeat", type=int, help="the number of one case")
    parser.add_argument("--state", type=Path, default=STATE)
    parser.add_argument(
        "--table", action="store_true", help="print it, and ask nothing"
    )
    options = parser.parse_args()
    tried = Tried(options.state, options.seed)
    if options.table:
        print(table(tried.counts))
        return 0
    needed("keras")  # Importing it is no part of a case.
    if options.repeat is not None:
        folder = options.state.with_suffix(".case")
        path = written(folder, *tried.case(options.repeat))
        print(path, flush=True)
        with Watch(LIMITS._replace(seconds=None)) as watch, watch.limited():
            ask(random.Random(f"{options.seed}/{options.repeat}"), path)
        return 0
    tried.ask_again()
    tried.ask_interrupted([sys.executable, "-m", "tests.fuzz", *sys.argv[1:]])
    for number in range(tried.next, options.count):
        before = len(tried.defects)
        tried.ask(number)
        if len(tried.defects) > before or not tried.next % 100:
            tried.keep()
    tried.keep()
    print(table(tried.counts))
    return int(bool(tried.defects))


if __name__ == "__main__":
    sys.exit(main())
