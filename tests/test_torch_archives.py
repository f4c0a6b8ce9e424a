"""``.pt2`` files without PyTorch: committed ones, and damaged and hostile ones."""

import ast
import csv
import gzip
import io
import json
import random
import subprocess
import sys
import time
import tracemalloc
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest

import receptive_field as rf
from receptive_field.cli import main
from receptive_field.errors import GraphError
from receptive_field.frameworks.torch import archives, files

FOLDER = Path(__file__).parent / "data/torch"
SHIFTED = FOLDER / "shifted.pt2"
PROGRAM = "shifted/models/model.json"
CONFIG = "picked/data/constants/model_constants_config.json"


def path_of(name):
    return str(FOLDER / f"{name}.pt2")


def measured(model, layer):
    """The sizes, strides and regions of a row of a table that PyTorch measured."""
    for table in ("measured", "torch_truth"):
        with (FOLDER.parent / f"onnx/{table}.csv").open(encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if (row["model"], row["layer"], row["axis"]) == (model, layer, "x"):
                    return row
    raise AssertionError


@pytest.mark.parametrize("layer", ["layer1", "layer2", "layer3", "layer4"])
def test_a_resnet_has_its_measured_fields(layer):
    field = rf.compute_receptive_field(path_of("resnet18"), output=layer)
    row = measured("tv/resnet18", layer)
    assert field.size.tolist() == [int(row["size"])] * 2
    assert field.stride.tolist() == [int(row["stride"])] * 2
    assert field.padding.tolist() == [int(row["padding"])] * 2
    assert (field.aligned, field.exact) == (True, True)


def test_a_resnet_of_a_file_has_the_layers_of_its_modules():
    layers = rf.compute_receptive_fields(path_of("resnet18"))
    assert layers["conv1"].size.tolist() == [7, 7]
    assert layers["maxpool"].size.tolist() == [11, 11]
    assert layers["layer1.0.relu"].size.tolist() == [19, 19]
    assert layers["layer1.0"].size.tolist() == layers["layer1.0.relu:2"].size.tolist()


def test_a_unet_has_its_measured_regions():
    field = rf.compute_receptive_field(path_of("unet"), input_resolution=[1024, 1024])
    regions = ast.literal_eval(
        measured("own/unet", "@forward")["note"].removeprefix("regions: ")
    )
    for feature, first, last in regions:
        region = field.compute_input_region([feature, feature])
        assert region.tolist() == [[first, last]] * 2


def test_a_write_to_a_part_is_seen():
    field = rf.compute_receptive_field(str(SHIFTED))
    assert field.size.tolist() == [3, 4]
    assert field.exact


def test_unknown_sizes_are_unknown():
    path = path_of("resized")
    field = rf.compute_receptive_field(path, input_resolution=[32, 40])
    for feature in range(4, 8):
        # The first map sees 2i - 1 to 2i + 1, the smaller one 4j - 5 to 4j + 7.
        first = 4 * (feature // 2) - 5
        region = field.compute_input_region([feature, feature])
        assert region.tolist() == [[first, first + 12]] * 2
    assert rf.compute_receptive_field(path).size.tolist() == [13, 13]


def test_positions_in_buffers_and_constants_are_read():
    support = rf.compute_receptive_field(path_of("picked")).support()
    for x, column in enumerate([5, 0]):
        for y, row in enumerate([7, 0, 1]):
            columns, rows = support.projections([x, y])
            assert (columns.nonzero()[0].tolist(), rows.nonzero()[0].tolist()) == (
                [column],
                [row],
            )


def test_one_of_several_programs_is_chosen():
    path = path_of("several")
    for name, size in (("small", 3), ("large", 7)):
        field = rf.compute_receptive_field(path, signature=name)
        assert field.size.tolist() == [size, size]
    with pytest.raises(GraphError, match=r"several programs: 'small', 'large'"):
        rf.compute_receptive_field(path)
    with pytest.raises(GraphError, match=r"no program named 'none'. It has: 'small'"):
        rf.compute_receptive_field(path, signature="none")


def test_pytorch_is_not_needed():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import receptive_field as rf\n"
        f"print(rf.compute_receptive_field({path_of('resnet18')!r}).size.tolist())"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert found.stdout == "[435, 435]\n"


def test_the_command_line_reads_files(capsys, tmp_path):
    assert main(["compute", path_of("resnet18"), "--output", "layer1"]) == 0
    assert "43 x 43" in capsys.readouterr().out
    assert main(["layers", path_of("resnet18")]) == 0
    assert "layer4.1.conv2" in capsys.readouterr().out
    assert main(["nodes", path_of("resnet18")]) == 0
    assert "layer4.1.conv2/conv2d" in capsys.readouterr().out
    assert main(["compute", path_of("several"), "--signature", "large"]) == 0
    assert "7 x 7" in capsys.readouterr().out
    table = tmp_path / "fields.csv"
    main(["many", path_of("resnet18"), path_of("several"), "-o", str(table)])
    found = {row["model"]: row for row in csv.DictReader(table.open(encoding="utf-8"))}
    assert found[path_of("resnet18")]["rf_x"] == "435"
    assert "several programs" in found[path_of("several")]["error"]


def test_compressed_files_and_other_names_are_read(tmp_path):
    path = tmp_path / "model.bin"
    path.write_bytes(gzip.compress((FOLDER / "resnet18.pt2").read_bytes()))
    assert rf.compute_receptive_field(str(path)).size.tolist() == [435, 435]


def changed(change=None, *, source=SHIFTED, entry=PROGRAM, **options):
    """The bytes of an archive, one entry of which is changed.

    Args:
      change: a function of the JSON in the entry, which returns other JSON or bytes.
      source: the archive.
      entry: the entry.
      options: how the entry is written.
    """
    content = io.BytesIO()
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(content, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == entry and change is not None:
                found = change(json.loads(data))
                data = found if isinstance(found, bytes) else json.dumps(found).encode()
            kind = options.get("compress_type", zipfile.ZIP_DEFLATED)
            new.writestr(name, data, kind if name == entry else zipfile.ZIP_DEFLATED)
    return content.getvalue()


def archive(*names):
    """An archive with empty entries."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as new:
        for name in names:
            new.writestr(name, "")
    return content.getvalue()


def graph(change):
    """A change of the graph in a program."""

    def apply(program):
        change(program["graph_module"]["graph"])
        return program

    return apply


def argument(value):
    """A change of the first argument of the first step."""
    return graph(lambda found: found["nodes"][0]["inputs"][0].update(arg=value))


def version(major, minor=0):
    return lambda program: (
        program | {"schema_version": {"major": major, "minor": minor}}
    )


def encrypted():
    content = bytearray(changed())
    with zipfile.ZipFile(io.BytesIO(content)) as opened:
        entry = opened.getinfo(PROGRAM)
    content[entry.header_offset + 6] |= 1
    central = content.rindex(PROGRAM.encode()) - 46
    content[central + 8] |= 1
    return bytes(content)


def duplicated():
    content = io.BytesIO(changed())
    with zipfile.ZipFile(content, "a") as opened, pytest.warns(match="Duplicate"):
        opened.writestr(PROGRAM, "{}")
    return content.getvalue()


def tensor(change):
    """A change of what is said about a constant."""

    def apply(config):
        change(next(iter(config["config"].values()))["tensor_meta"])
        return config

    return lambda: changed(apply, source=FOLDER / "picked.pt2", entry=CONFIG)


def deep(count=100_000):
    return b'{"graph_module": ' + b"[" * count + b"]" * count + b"}"


def swap(found):
    found["nodes"][0], found["nodes"][1] = found["nodes"][1], found["nodes"][0]


def twice(found):
    found["nodes"].insert(0, found["nodes"][0])


WHOLE = SHIFTED.read_bytes()
NESTED = {"as_none": True}
for _ in range(400):
    NESTED = {"as_string_to_argument": {"a": NESTED}}

BAD = {
    "half of a file": (lambda: WHOLE[: len(WHOLE) // 2], "damaged or cut off"),
    "almost all of a file": (lambda: WHOLE[:-10], "damaged or cut off"),
    "damaged bytes": (
        lambda: WHOLE.replace(b"data", b"atad").replace(b"\x01\x00", b"\xff\xff", 9),
        "zip archive",
    ),
    "encrypted": (encrypted, "is encrypted"),
    "duplicated": (duplicated, "2 entries named"),
    "another compression": (
        lambda: changed(compress_type=zipfile.ZIP_LZMA),
        "compressed in a way that is not read",
    ),
    "bomb": (
        lambda: changed(lambda _: bytes(archives.LARGEST_PROGRAM + 1)),
        "steps that an answer may take",
    ),
    "a scripted module": (
        lambda: archive("m/data.pkl", "m/code/m.py", "m/constants.pkl"),
        "scripted module",
    ),
    "weights": (lambda: archive("w/data.pkl", "w/version"), "never unpickled"),
    "compiled": (
        lambda: archive("m/archive_format", "m/data/aotinductor/model/a.so"),
        "AOTInductor",
    ),
    "no program": (lambda: archive("m/archive_format"), "without an exported program"),
    "a model in an archive": (
        lambda: archive("a.txt", *(f"m/{number}.ONNX" for number in range(5))),
        r"around 'm/0.ONNX', 'm/1.ONNX', 'm/2.ONNX' and 2 more.*Unpack it",
    ),
    "something else": (lambda: archive("a.txt"), "no .pt2 file of PyTorch"),
    "an empty archive": (archive, "no .pt2 file of PyTorch"),
    "a pickle": (lambda: b"\x80\x02}q\x00.", "never loaded"),
    "no JSON": (lambda: changed(lambda _: b"{"), "no JSON that can be read"),
    "deep JSON": (lambda: changed(lambda _: deep()), "no JSON that can be read"),
    "a long number": (lambda: changed(lambda _: b"1" * 9999), "no JSON that can be"),
    "no text": (lambda: changed(lambda _: b"\xff\xfe\xff"), "no JSON that can be read"),
    "a list": (lambda: changed(lambda _: []), "does not say which version"),
    "an older version": (lambda: changed(version(4, 2)), "has version 4.2"),
    "a newer version": (lambda: changed(version(9)), "reads versions 5 to 8"),
    "no graph": (
        lambda: changed(lambda p: p | {"graph_module": {}}),
        "a dict named 'signature' is missing",
    ),
    "a value that is not known": (
        lambda: changed(argument({"as_tensor": {"name": "nothing"}})),
        "'nothing' is read before it is computed",
    ),
    "a step before its input": (
        lambda: changed(graph(swap)),
        "is read before it is computed",
    ),
    "a step that reads itself": (
        lambda: changed(argument({"as_tensor": {"name": "conv2d"}})),
        "'conv2d' is read before it is computed",
    ),
    "a step that is there twice": (
        lambda: changed(graph(twice)),
        "'conv2d' is computed twice",
    ),
    "no sort of argument": (
        lambda: changed(argument({"as_wish": 1})),
        "no sort of argument named 'as_wish'",
    ),
    "two sorts of argument": (
        lambda: changed(argument({"as_int": 1, "as_none": True})),
        "no object with a single field",
    ),
    "a number that is a text": (
        lambda: changed(argument({"as_int": "1"})),
        "does not fit 'as_int'",
    ),
    "no number": (lambda: changed(argument({"as_float": "one"})), "is no number"),
    "no list": (lambda: changed(argument({"as_ints": 1})), "is no list"),
    "no complex number": (
        lambda: changed(argument({"as_complex": 1})),
        "does not fit 'as_float'",
    ),
    "no data type": (
        lambda: changed(argument({"as_scalar_type": 99})),
        "is no number of a known name",
    ),
    "deep arguments": (lambda: changed(argument(NESTED)), "nested too deeply"),
    "a negative size": (
        lambda: changed(
            graph(lambda g: g["tensor_values"]["x"].update(sizes=[{"as_int": -1}]))
        ),
        "is no size",
    ),
    "sizes without strides": (
        lambda: changed(
            graph(lambda g: g["tensor_values"]["x"].update(sizes=[{"as_int": 1}]))
        ),
        "1 sizes, 4 strides",
    ),
    "an argument of another op": (
        lambda: changed(argument({"as_int": 3})),
        "",
    ),
    "a constant that is too short": (
        tensor(lambda meta: meta.update(storage_offset={"as_int": 1 << 40})),
        "does not fit into its bytes",
    ),
    "a config that is no JSON": (
        lambda: changed(lambda _: b"?", source=FOLDER / "picked.pt2", entry=CONFIG),
        "no JSON that can be read",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_told_in_one_sentence(name, tmp_path):
    make, message = BAD[name]
    path = tmp_path / "model.pt2"
    path.write_bytes(make())
    tracemalloc.start()
    begin = time.process_time()
    with pytest.raises(rf.ReceptiveFieldError, match=message) as caught:
        rf.compute_receptive_field(str(path))
    assert time.process_time() - begin < 10
    assert tracemalloc.get_traced_memory()[1] < 4 * archives.LARGEST_PROGRAM
    tracemalloc.stop()
    assert len(str(caught.value)) < 700
    assert not isinstance(caught.value.__cause__, Exception)


@pytest.mark.parametrize("seed", range(60))
def test_damage_anywhere_is_a_clear_error_or_none(seed, tmp_path):
    chance = random.Random(seed)
    content = bytearray(WHOLE if seed % 2 else changed(compress_type=0))
    for _ in range(chance.randint(1, 8)):
        content[chance.randrange(len(content))] = chance.randrange(256)
    path = tmp_path / "model.pt2"
    path.write_bytes(bytes(content))
    with suppress(rf.ReceptiveFieldError):  # No other error is allowed.
        rf.compute_receptive_field(str(path))


def test_old_archives_are_read(tmp_path):
    """PyTorch 2.4 to 2.6 wrote the program of a file at the top of the archive."""
    with zipfile.ZipFile(FOLDER / "resnet18.pt2") as opened:
        program = json.loads(opened.read("resnet18/models/model.json"))
    program["schema_version"] = {"major": 8, "minor": 1}
    for node in program["graph_module"]["graph"]["nodes"]:
        node.pop("name")
        node.pop("is_hop_single_tensor_return")
        for stated in node["inputs"]:
            stated.pop("kind")
    path = tmp_path / "model.pt2"
    with zipfile.ZipFile(path, "w") as new:
        new.writestr("version", "8.1")
        new.writestr("serialized_exported_program.json", json.dumps(program))
    old, present = (files.read_file(p)[0] for p in (str(path), path_of("resnet18")))
    assert [s.target for s in old.steps] == [s.target for s in present.steps]
    assert rf.compute_receptive_field(str(path)).size.tolist() == [435, 435]
