"""Writes the programs of `tests/data/torch`: exported by PyTorch, without weights.

  python scripts/export_torch.py [NAME ...] [--folder FOLDER]

It needs PyTorch 2.13.0 and torchvision 0.28.0, as the tests do. Without names, it
writes all programs. Nothing is downloaded. The README of the folder says what is left
out of the files.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
import torchvision_ops  # noqa: E402  (It makes torchvision importable.)

from scripts.torch_networks import UNet  # noqa: E402

FOLDER = ROOT / "tests/data/torch"

KEPT = ("models/", "data/weights/", "data/constants/", "archive_format", "byteorder")
"""The parts of an archive that are kept."""


class Resized(nn.Module):
    """A network whose sizes are computed from those of its input."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.second = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: Any) -> Any:
        """Returns the sum of a map and of a smaller one that is resized."""
        first = self.first(x)
        pooled = nn.functional.max_pool2d(first, 2)
        second = self.second(pooled)
        return first + nn.functional.interpolate(second, size=first.shape[2:])


class Shifted(nn.Module):
    """A network that writes to a part of its result."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3, padding=1)
        self.active = nn.ReLU(inplace=True)

    def forward(self, x: Any) -> Any:
        """Adds each row to the next."""
        y = self.active(self.conv(x))
        rows = y[:, :, :-1].clone()
        y[:, :, 1:] += rows
        return y


class Picked(nn.Module):
    """A network that picks rows by a buffer, and columns by a constant."""

    def __init__(self) -> None:
        super().__init__()
        table = torch.arange(24, dtype=torch.int32).reshape(4, 6) % 8
        self.register_buffer("rows", table.t()[1:4, 1])
        self.columns = torch.tensor([5, 0])

    def forward(self, x: Any) -> Any:
        """Returns rows 7, 0 and 1, each with columns 5 and 0."""
        return {"picked": x[:, :, self.rows][..., self.columns]}


def exported(module: nn.Module, *shape: int, **options: Any) -> Any:
    """Returns the program of a module."""
    image = torch.zeros(shape)
    return torch.export.export(module.eval(), (image,), strict=False, **options)


def _resnet() -> Mapping[str, Any]:
    module = torchvision_ops.torchvision.models.resnet18(weights=None)
    return {"model": exported(module, 1, 3, 224, 224)}


def _resized() -> Mapping[str, Any]:
    sizes = {2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO}
    return {"model": exported(Resized(), 1, 3, 32, 40, dynamic_shapes=(sizes,))}


def _several() -> Mapping[str, Any]:
    small, large = (nn.Conv2d(1, 1, size) for size in (3, 7))
    return {
        "small": exported(small, 1, 1, 16, 16),
        "large": exported(large, 1, 1, 9, 9),
    }


PROGRAMS: Mapping[str, Callable[[], Mapping[str, Any]]] = {
    "picked": lambda: {"model": exported(Picked(), 1, 1, 8, 6)},
    "resized": _resized,
    "resnet18": _resnet,
    "several": _several,
    "shifted": lambda: {"model": exported(Shifted(), 1, 1, 16, 16)},
    "unet": lambda: {"model": exported(UNet(), 1, 3, 64, 64)},
}
"""Name of a file -> its programs."""


def stripped(part: Any) -> Any:
    """Returns a part of a program without what names files of this machine."""
    if isinstance(part, dict):
        return {
            key: {"nn_module_stack": value["nn_module_stack"]}
            if key == "metadata" and "nn_module_stack" in value
            else stripped(value)
            for key, value in part.items()
        }
    return [stripped(value) for value in part] if isinstance(part, list) else part


def write(name: str, folder: Path) -> None:
    """Writes a file."""
    from torch.export.pt2_archive._package import package_pt2

    with tempfile.TemporaryDirectory() as temporary:
        whole = Path(temporary) / f"{name}.pt2"
        package_pt2(str(whole), exported_programs=PROGRAMS[name]())
        with (
            zipfile.ZipFile(whole) as source,
            zipfile.ZipFile(folder / whole.name, "w", zipfile.ZIP_DEFLATED) as target,
        ):
            for entry in source.namelist():
                inner = entry.partition("/")[2]
                if not inner.startswith(KEPT):
                    continue
                content = source.read(entry)
                if inner.endswith(".json"):
                    text = json.dumps(stripped(json.loads(content)))
                    content = text.encode()
                elif "/weight_" in inner and not _is_read(source, entry):
                    continue
                written = zipfile.ZipInfo(entry, (1980, 1, 1, 0, 0, 0))
                written.compress_type = zipfile.ZIP_DEFLATED
                target.writestr(written, content, compresslevel=9)


def _is_read(source: zipfile.ZipFile, entry: str) -> bool:
    """Returns whether an entry holds integers, which may be positions."""
    floating = {6, 7, 8, 13}
    for name in source.namelist():
        if name.endswith("_weights_config.json"):
            for meta in json.loads(source.read(name))["config"].values():
                if entry.endswith(f"/{meta['path_name']}"):
                    return meta["tensor_meta"]["dtype"] not in floating
    return False


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes the files that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    options = parser.parse_args(arguments)
    options.folder.mkdir(exist_ok=True)
    for name in options.names or PROGRAMS:
        write(name, options.folder)


if __name__ == "__main__":
    main()
