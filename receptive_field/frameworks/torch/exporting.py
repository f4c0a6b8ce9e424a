"""Exports modules of PyTorch to programs of ATen ops, without running them.

A module is copied without its weights, which the copy shares with it, so the caller's
module keeps its mode and its hooks. The copy is exported in evaluation mode by
`torch.export`, which runs it on tensors without values.
"""

from __future__ import annotations

import copy
import os
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from inspect import Parameter, signature
from typing import Any, NamedTuple, NoReturn

from receptive_field.errors import GraphError, quoted

USUAL_SIZES = (224, 256, 299, 384, 512, 128, 64, 32)
"""The sizes that are tried for images, if the caller states none."""

USUAL_SIZES_OF: dict[int, list[tuple[int, ...]]] = {
    1: [(size,) for size in (4096, 16000, 16384, 1024, 256, 64, 32)],
    2: [(size, size) for size in USUAL_SIZES],
    3: [(64, 64, 64), (32, 32, 32), (16, 112, 112), (8, 224, 224)],
}
"""Number of spatial axes -> the sizes that are tried."""


class Exported(NamedTuple):
    """A module that was exported.

    Attributes:
      program: the ``torch.export.ExportedProgram``, which may write in place.
      is_example: whether the sizes of its inputs are examples, which the caller did not
        ask for.
    """

    program: Any
    is_example: bool


def exported(
    torch: Any,
    module: Any,
    resolution: Sequence[int] | int | None,
    example_inputs: Any,
) -> Exported:
    """Exports a copy of a module in evaluation mode.

    Args:
      torch: PyTorch.
      module: the module.
      resolution: the sizes of the spatial axes of the image; None for any size that
        fits.
      example_inputs: what the module is called with: a tensor, a tuple of arguments or
        a dictionary of keyword arguments. None for an image that fits the module's
        first layer.

    Raises:
      GraphError: if the module cannot be exported, or it is not known what goes in.
    """
    _check(torch, module)
    copied = _copied(torch, module)
    tried: list[tuple[tuple[Any, ...], dict[str, Any]]] = (
        [_with_resolution(torch, *_as_arguments(torch, example_inputs), resolution)]
        if example_inputs is not None
        else list(_guesses(torch, copied, resolution))
    )
    with _quiet(torch):
        run = _first_run(torch, copied, tried, example_inputs is None)
        program = _export(torch, copied, run)
    return Exported(program, resolution is None)


def _check(torch: Any, module: Any) -> None:
    """Raises an error for modules that can never be exported."""
    name = type(module).__name__
    if isinstance(module, torch.jit.ScriptModule):
        raise GraphError(
            "a scripted module hides its layers. Give the module that it was made of, "
            "or export it to ONNX."
        )
    lazy = [
        path or name
        for path, part in module.named_modules()
        if any(
            torch.nn.parameter.is_lazy(p)
            for p in (*part._parameters.values(), *part._buffers.values())
            if p is not None
        )
    ]
    if lazy:
        raise GraphError(
            f"{name} has layers whose channels are not known yet: "
            f"{', '.join(lazy[:3])}. Call the module once, so that its lazy layers "
            "take the shapes of their inputs."
        )


# --- The copy ------------------------------------------------------------------------


def _copied(torch: Any, module: Any, place: Callable[[Any], Any] | None = None) -> Any:
    """Returns a copy of a module in evaluation mode.

    Args:
      torch: PyTorch.
      module: the module.
      place: returns what the copy has instead of a tensor; None if it shares them all.

    Raises:
      GraphError: if the module cannot be copied.
    """
    tensors = [*module.parameters(), *module.buffers()]
    for part in module.modules():
        tensors += _tensors(torch, list(vars(part).values()))
    made = {id(t): t if place is None else place(t) for t in tensors}
    try:
        return copy.deepcopy(module, made).eval()
    except Exception as error:
        raise GraphError(
            f"{type(module).__name__} cannot be copied: {_sentence(error)} Export it "
            "yourself with torch.export.export, and give the program."
        ) from error


def _tensors(torch: Any, things: Any) -> Iterator[Any]:
    """Yields all tensors in nested lists, tuples and dictionaries."""
    for thing in things:
        if isinstance(thing, torch.Tensor):
            yield thing
        elif isinstance(thing, dict):
            yield from _tensors(torch, thing.values())
        elif isinstance(thing, (list, tuple)):
            yield from _tensors(torch, thing)


# --- What goes in --------------------------------------------------------------------

Arguments = tuple[tuple[Any, ...], dict[str, Any]]
"""Positional and keyword arguments."""


def _as_arguments(torch: Any, example_inputs: Any) -> Arguments:
    if isinstance(example_inputs, Mapping):
        return (), dict(example_inputs)
    if isinstance(example_inputs, (tuple, list)):
        return tuple(example_inputs), {}
    if not isinstance(example_inputs, torch.Tensor):
        raise GraphError(
            "example_inputs must be a tensor, a tuple of arguments or a dictionary of "
            f"keyword arguments, not {quoted(repr(example_inputs))}."
        )
    return (example_inputs,), {}


def _with_resolution(
    torch: Any,
    given: tuple[Any, ...],
    named: dict[str, Any],
    resolution: Sequence[int] | int | None,
) -> Arguments:
    """Returns arguments whose images have the size that the caller asks for."""
    if resolution is None:
        return given, named

    def resized(thing: Any) -> Any:
        if not isinstance(thing, torch.Tensor) or thing.dim() < 2:
            return thing
        shape = list(thing.shape)
        sizes = _sizes(resolution, max(thing.dim() - 2, 1))
        rank = len(sizes)
        if thing.dim() <= rank:
            return thing
        if any(shape[i : i + rank] == sizes for i in range(len(shape) - rank + 1)):
            return thing
        return thing.new_empty([*shape[:-rank], *sizes])

    return tuple(map(resized, given)), {k: resized(v) for k, v in named.items()}


def _sizes(resolution: Sequence[int] | int, count: int) -> list[int]:
    """Returns the sizes of this many axes; a single number stands for all of them."""
    return [resolution] * count if isinstance(resolution, int) else list(resolution)


def _guesses(
    torch: Any, module: Any, resolution: Sequence[int] | int | None
) -> Iterator[Arguments]:
    """Yields images that may fit a module: their channels are those of a layer.

    Raises:
      GraphError: if the module needs several arguments, or has no such layer.
    """
    needed = [
        name
        for name, parameter in signature(module.forward).parameters.items()
        if parameter.default is Parameter.empty
        and parameter.kind
        in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    ]
    kind = type(module).__name__
    if len(needed) > 1:
        raise GraphError(
            f"{kind} needs {len(needed)} inputs: {', '.join(needed)}. Give "
            "example_inputs: a tuple of tensors, or a dictionary."
        )
    found = dict.fromkeys(_first_layers(torch, module))
    if not found:
        raise GraphError(
            f"it is not known what goes into {kind}, because it has no convolution. "
            "Give example_inputs, such as torch.zeros(1, 3, 224, 224)."
        )
    weight = next(module.parameters(), None)
    options = {"dtype": torch.get_default_dtype(), "device": "cpu"}
    if weight is not None and weight.is_floating_point():
        options = {"dtype": weight.dtype, "device": weight.device}
    given = None if resolution is None else [_sizes(resolution, d) for d, _ in found]
    if given and all(len(g) != d for g, (d, _) in zip(given, found, strict=True)):
        raise GraphError(
            f"input_resolution has {len(given[0])} sizes, but the first layer of "
            f"{kind} has {next(iter(found))[0]} spatial axes."
        )
    for number, (dimensions, channels) in enumerate(found):
        tried = list(_stated_sizes(module, dimensions))
        tried += USUAL_SIZES_OF[dimensions]
        for sizes in tried if given is None else [given[number]]:
            if len(sizes) == dimensions:
                yield (torch.empty(1, channels, *sizes, **options),), {}


def _first_layers(torch: Any, module: Any) -> Iterator[tuple[int, int]]:
    """Yields the spatial axes and the input channels of convolutions, first ones first.

    A layer that is defined first need not run first.
    """
    for part in module.modules():
        channels = getattr(part, "in_channels", None)
        kernel = getattr(part, "kernel_size", None)
        if type(channels) is int and isinstance(kernel, tuple) and len(kernel) <= 3:
            yield len(kernel), channels


def _stated_sizes(module: Any, dimensions: int) -> Iterator[tuple[int, ...]]:
    """Yields the sizes that a module of torchvision or timm was built for."""
    config = getattr(module, "pretrained_cfg", None)
    if not isinstance(config, Mapping):
        config = getattr(module, "default_cfg", None)
    stated = [config.get("input_size")] if isinstance(config, Mapping) else []
    embedding = getattr(module, "patch_embed", None)
    stated += [
        getattr(module, "image_size", None),
        getattr(embedding, "img_size", None),
    ]
    for size in stated:
        sizes = [size] * dimensions if type(size) is int else size
        if isinstance(sizes, (tuple, list)) and len(sizes) >= dimensions:
            yield tuple(sizes[-dimensions:])


# --- Runs without values -------------------------------------------------------------


class _Run(NamedTuple):
    """A run of a module on tensors without values."""

    arguments: Arguments
    several: list[str]
    """The paths of modules that return several tensors, or what they are given."""


def _first_run(
    torch: Any, module: Any, tried: Sequence[Arguments], is_guess: bool
) -> _Run:
    """Returns the first of several runs that does not fail.

    Raises:
      GraphError: if all of them fail.
    """
    first: Exception | None = None
    if not tried:
        _refuse(torch, module, ValueError("no input fits it."))
    for arguments in tried:
        try:
            return _Run(arguments, _run(torch, module, arguments))
        except Exception as error:  # User code may raise anything.
            first = first or error
    assert first is not None
    given = ", ".join(
        str(list(thing.shape))
        for thing in _tensors(torch, [*tried[0][0], *tried[0][1].values()])
    )
    where = f" for an input of shape {given}" if given else ""
    _refuse(torch, module, first, where, is_guess)


def _run(torch: Any, module: Any, arguments: Arguments) -> list[str]:
    """Runs a module without values; returns what is in `_Run.several`.

    The run is on the meta device, which is fast. Code that moves tensors between
    devices, or asks for the values of constants, cannot run there.
    """
    parameter = torch.nn.Parameter

    def on_meta(tensor: Any) -> Any:
        made = tensor.detach().to("meta")
        trains = tensor.requires_grad
        return parameter(made, trains) if isinstance(tensor, parameter) else made

    tree_map = torch.utils._pytree.tree_map_only
    try:
        meta = _copied(torch, module, on_meta)
        return _noted(torch, meta, tree_map(torch.Tensor, on_meta, arguments))
    except Exception:  # User code may raise anything.
        from torch._subclasses.fake_tensor import FakeTensorMode

        with FakeTensorMode(allow_non_fake_inputs=True) as mode:
            fake = tree_map(torch.Tensor, mode.from_tensor, arguments)
            return _noted(torch, module, fake)


def _noted(torch: Any, module: Any, arguments: Arguments) -> list[str]:
    """Runs a module, and returns the paths of modules whose output no op made."""
    several: dict[str, None] = {}
    dropout = torch.nn.modules.dropout._DropoutNd

    def hook(path: str) -> Callable[..., None]:
        def note(called: Any, given: Any, named: Any, returned: Any) -> None:
            leaves = list(_tensors(torch, [returned]))
            read = [id(t) for t in _tensors(torch, [given, named])]
            is_passed_on = len(leaves) == 1 and id(leaves[0]) in read
            has_op = _writes(called) or isinstance(called, dropout)
            if path and (len(leaves) != 1 or (is_passed_on and not has_op)):
                several[path] = None

        return note

    handles = [
        part.register_forward_hook(hook(path), with_kwargs=True)
        for path, part in module.named_modules()
    ]
    given, named = arguments
    try:
        with torch.no_grad():
            module(*given, **named)
    finally:
        for handle in handles:
            handle.remove()
    return list(several)


def _writes(module: Any) -> bool:
    """Returns whether a module, or one inside it, changes its input in place."""
    return any(getattr(part, "inplace", False) for part in module.modules())


def _export(torch: Any, module: Any, run: _Run) -> Any:
    """Returns the exported program of a module."""
    given, named = run.arguments
    export = torch.export.export
    try:
        try:
            return export(
                module,
                given,
                named,
                strict=False,
                preserve_module_call_signature=tuple(run.several),
            )
        except Exception:
            if not run.several:
                raise
            return export(module, given, named, strict=False)
    except Exception as error:  # User code may raise anything.
        _refuse(torch, module, error)


@contextmanager
def _quiet(torch: Any) -> Iterator[None]:
    """Leaves PyTorch's random state as it is, and its warnings unsaid."""
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")
        yield


# --- Errors --------------------------------------------------------------------------


def _refuse(
    torch: Any, module: Any, error: Exception, where: str = "", is_guess: bool = False
) -> NoReturn:
    """Raises an error that says why a module cannot be exported, and where.

    Raises:
      GraphError: always.
    """
    line = _line(torch, error)
    hint = ""
    if "data-dependent" in str(error) or "DataDependent" in type(error).__name__:
        hint = (
            " What it does depends on the values in its tensors. Give the part of it "
            "that does not."
        )
    elif is_guess:
        hint = (
            " If another input fits, give input_resolution, or example_inputs such as "
            "torch.zeros(1, 3, 224, 224)."
        )
    raise GraphError(
        f"{type(module).__name__} cannot be exported{where}: {_sentence(error)}"
        f"{line}{hint}"
    ) from error


def _sentence(error: Exception) -> str:
    """Returns the first sentence of an error of PyTorch."""
    text = str(error).strip() or type(error).__name__
    first = text.partition("\n")[0].strip().rstrip(":")
    return quoted(first).rstrip(".") + "."


def _line(torch: Any, error: Exception) -> str:
    """Returns the line of the user's code in which an error was raised."""
    own = (os.path.dirname(torch.__file__), os.path.dirname(__file__))
    frames = traceback.extract_tb(error.__traceback__)
    outside = [f for f in frames if not f.filename.startswith((*own, "<"))]
    inside = [f for f in outside if f.name == "forward"] or outside
    if not inside:
        return ""
    frame = inside[-1]
    place = f"line {frame.lineno} of {os.path.basename(frame.filename)}"
    return f" This is in {place}: {frame.line}" + ("." if frame.line else "")


def decomposed(torch: Any, exported: Exported) -> Any:
    """Returns the exported program with ops that return new values instead of writing.

    `in_place.functional` is faster, but does not follow all writes.
    """
    with _quiet(torch):
        return exported.program.run_decompositions({})
