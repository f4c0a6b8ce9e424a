"""Makes a `Model` of a module, an exported program or a ``.pt2`` file of PyTorch."""

from __future__ import annotations

import os
import sys
from typing import Any

from receptive_field.graph.model import Model

READS = (
    "a torch.nn.Module, what torch.export.export returns, or a path to a .pt2 file of "
    "torch.export.save"
)
"""The kinds of models that this wing can read, for error messages."""


def model_of(
    thing: Any, signature: str | None = None, overrides: object = None
) -> Model | None:
    """Returns the `Model` of a thing of PyTorch, or None if it is not one.

    PyTorch is imported only if the caller has imported it, and not for files.

    Args:
      thing: a path, a ``torch.nn.Module``, a ``torch.export.ExportedProgram`` or a
        ``torch.fx.GraphModule`` of ATen ops.
      signature: the name of the program in a ``.pt2`` file, if it has several.
      overrides: ignored, because every op can be read.

    Raises:
      GraphError: if the module cannot be exported, or the file is damaged.
    """
    if isinstance(thing, (str, os.PathLike)):
        return _from_file(os.fspath(thing), signature)
    if "torch" not in sys.modules or not hasattr(thing, "__class__"):
        return None
    from receptive_field.frameworks.torch import objects
    from receptive_field.frameworks.torch.build import model_of_program

    torch: Any = sys.modules["torch"]
    export = getattr(torch, "export", None)
    if export is not None and isinstance(thing, export.ExportedProgram):
        return model_of_program(objects.of_exported(thing), thing, "the program")
    if isinstance(thing, torch.fx.GraphModule):
        return model_of_program(objects.of_graph_module(thing), thing, "the graph")
    return None


def _from_file(path: str, signature: str | None) -> Model | None:
    if not os.path.isfile(path):
        return None
    from receptive_field.frameworks.torch.files import read_file

    found = read_file(path, signature)
    if found is None:
        return None
    from receptive_field.frameworks.torch.build import model_of_program

    return model_of_program(*found, path)
