"""Makes a `Model` of a module, an exported program or a ``.pt2`` file of PyTorch."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from receptive_field.errors import GraphError
from receptive_field.frameworks.request import NOTHING_ASKED, Request
from receptive_field.frameworks.torch.program import Program
from receptive_field.graph.model import Model
from receptive_field.rules.inference import Inference

READS = (
    "a torch.nn.Module, what torch.export.export returns, or a path to a .pt2 file of "
    "torch.export.save"
)
"""The kinds of models that this wing can read, for error messages."""


def model_of(thing: Any, request: Request = NOTHING_ASKED) -> Model | None:
    """Returns the `Model` of a thing of PyTorch, or None if it is not one.

    PyTorch is imported only if the caller has imported it, and not for files.

    Args:
      thing: a path, a ``torch.nn.Module``, a ``torch.export.ExportedProgram`` or a
        ``torch.fx.GraphModule`` of ATen ops.
      request: a module is exported for the resolution and the example inputs. The
        signature is the name of the program in a ``.pt2`` file, if it has several.

    Raises:
      GraphError: if the module cannot be exported, or the file is damaged.
    """
    if isinstance(thing, (str, os.PathLike)):
        found = _from_file(os.fspath(thing), request.signature)
        return found if found is None else _as_it_states(found, request)
    torch: Any = sys.modules.get("torch")
    if torch is None or not hasattr(torch, "nn"):
        return None
    if _is_program(thing):
        return _as_it_states(_of_program(thing), request)
    if isinstance(thing, torch.fx.GraphModule) and _is_of_ops(thing):
        from receptive_field.frameworks.torch import objects

        found = _model(partial(objects.of_graph_module, thing), "graph")
        return _as_it_states(found, request)
    if isinstance(thing, torch.nn.Module):
        return _of_module(torch, thing, request)
    if isinstance(thing, type) and issubclass(thing, torch.nn.Module):
        raise GraphError(
            f"{thing.__name__} is a class. Call it to make a module: "
            f"{thing.__name__}(...)."
        )
    if isinstance(thing, Mapping) and _are_weights(torch, thing):
        raise GraphError(
            "a state_dict holds only the weights of a model. Give the module: build "
            "it, and load the weights into it."
        )
    return None


def _as_it_states(model: Model, request: Request) -> Model:
    """Returns the model of a program, which states its inputs.

    Raises:
      GraphError: if the caller gives example inputs.
    """
    if request.example_inputs is not None:
        raise GraphError(
            "example_inputs say what a module of PyTorch is called with; this program "
            "states its inputs."
        )
    return model


def _is_program(thing: Any) -> bool:
    """Returns whether a thing is an exported program, without importing anything."""
    exporting = sys.modules.get("torch.export.exported_program")
    return exporting is not None and isinstance(thing, exporting.ExportedProgram)


def _is_of_ops(module: Any) -> bool:
    """Returns whether all calls in a ``torch.fx.GraphModule`` are ops with shapes."""
    return all(
        node.op != "call_module"
        and node.op != "call_method"
        and (node.op != "call_function" or "val" in node.meta)
        for node in module.graph.nodes
    )


def _are_weights(torch: Any, thing: Mapping[Any, Any]) -> bool:
    """Returns whether a mapping is a state_dict, or a checkpoint that has one."""
    parts = thing.values()
    return bool(thing) and (
        all(isinstance(part, torch.Tensor) for part in parts)
        or any(isinstance(p, Mapping) and _are_weights(torch, p) for p in parts)
    )


def _of_program(program: Any) -> Model:
    from receptive_field.frameworks.torch import objects

    return _model(partial(objects.of_exported, program), "the program")


def _of_module(torch: Any, module: Any, request: Request) -> Model:
    from receptive_field.frameworks.torch import objects
    from receptive_field.frameworks.torch.exporting import decomposed, exported

    found = exported(torch, module, request.resolution, request.example_inputs)
    held = {
        path: tensor
        for part in (found.module.named_buffers(), found.module.named_parameters())
        for path, tensor in part
    }
    name = type(module).__name__
    try:
        read = partial(objects.of_exported, values=held)
        again = partial(_elsewhere, found.elsewhere, read)
        model = _model(partial(read, found.program), name, again=again)
    except GraphError:  # A write that is not followed.
        program = decomposed(torch, found.program)
        if program is None:
            raise
        read = partial(_of_decomposed, values=held)
        again = partial(_elsewhere, lambda: decomposed(torch, found.elsewhere()), read)
        model = _model(partial(read, program), name, again=again)
    kinds = {
        call: type(found.module.get_submodule(call.partition(":")[0])).__name__
        for call in model.layers
        if call not in model.kinds and "#" not in call
    }
    return replace(
        model,
        kinds={**model.kinds, **kinds},
        sizes_are_examples=found.is_example and not _has_several_images(model),
        example_is_given=request.example_inputs is not None,
        made_for=request.resolution,
    )


def _has_several_images(model: Model) -> bool:
    """Returns whether several inputs have positions.

    Their sizes depend on each other, so that one cannot be unknown on its own.
    """
    shapes = map(Inference(model.graph).shape, model.inputs.values())
    return sum(shape is not None and len(shape) > 2 for shape in shapes) > 1


def _elsewhere(
    exported: Callable[[], Any], read: Callable[[Any], Program]
) -> Program | None:
    """Returns the program of a module at other sizes; None if it has none."""
    program = exported()
    return None if program is None else read(program)


def _of_decomposed(program: Any, values: Mapping[str, Any]) -> Program:
    """Returns the program of an exported program that no longer writes.

    Calls of modules without ops are left out: they may stand for what was later
    written over.
    """
    from receptive_field.frameworks.torch import objects

    found = objects.of_exported(program, values)
    keys = {scope.call for step in found.steps for scope in step.scopes}
    found.calls = {key: call for key, call in found.calls.items() if key in keys}
    return found


def _from_file(path: str, signature: str | None) -> Model | None:
    if not os.path.isfile(path):
        return None
    from receptive_field.frameworks.torch.files import read_file

    found = read_file(path, signature)
    if found is None:
        return None
    return _model(partial(_read_again, path, signature), path, found[0])


def _read_again(path: str, signature: str | None) -> Program:
    from receptive_field.frameworks.torch.files import read_file

    found = read_file(path, signature)
    if found is None:
        raise GraphError(f"{path!r} has changed since it was read.")
    return found[0]


def _model(
    read: Callable[[], Program],
    name: str,
    program: Program | None = None,
    again: Callable[[], Program | None] = lambda: None,
) -> Model:
    """Returns the `Model` of a program.

    Args:
      read: reads the program, and reads it again for an experiment.
      name: the name of the graph in results.
      program: the program, if it was read already.
      again: returns the program at other sizes, or None.
    """
    from receptive_field.frameworks.torch.build import model_of_program
    from receptive_field.frameworks.torch.program import Runnable

    found = model_of_program(program or read(), Runnable(read), name, again)
    return replace(found, squared_gradients=partial(_squared_gradients, found))


def _squared_gradients(model: Model, *args: Any, **named: Any) -> Any:
    from receptive_field.frameworks.torch.gradients import squared_gradients

    return squared_gradients(model, *args, **named)
