"""Exports modules of PyTorch to programs of ATen ops, without running them.

A module is copied without its weights, which the copy shares with it, so the caller's
module keeps its mode and its hooks. The copy is exported in evaluation mode by
`torch.export`, which runs it on tensors without values.
"""

from __future__ import annotations

import copy
import dataclasses
import logging
import os
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from inspect import Parameter, signature
from typing import Any, NamedTuple, NoReturn

from receptive_field.errors import GraphError, quoted
from receptive_field.frameworks.alone import ALONE

USUAL_SIZES = (224, 256, 299, 384, 512, 128, 64, 32)
"""The sizes that are tried for images, if the caller states none."""

USUAL_SIZES_OF: dict[int, list[tuple[int, ...]]] = {
    1: [(size,) for size in (4096, 16000, 16384, 1024, 256, 64, 32)],
    2: [(size, size) for size in USUAL_SIZES],
    3: [(64,) * 3, (32,) * 3, (16, 112, 112), (16, 224, 224), (8, 224, 224)],
}
"""Number of spatial axes -> the sizes that are tried."""


class Exported(NamedTuple):
    """A module that was exported.

    Attributes:
      program: the ``torch.export.ExportedProgram``, which may write in place.
      module: the copy that was exported, whose weights are those of the module.
      is_example: whether the sizes of its inputs are examples, which the caller did not
        ask for.
      elsewhere: exports it for inputs of twice the sizes, or more; returns None if such
        inputs do not fit.
    """

    program: Any
    module: Any
    is_example: bool
    elsewhere: Callable[[], Any]


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
    while (inside := _wrapped(torch, module)) is not None:
        module = inside
    _check(torch, module)
    copied = _copied(torch, module)
    hint = ""
    if example_inputs is not None:
        arguments = _as_arguments(torch, example_inputs)
        tried = list(_with_resolution(torch, *arguments, resolution))
    else:
        tried = list(_guesses(torch, copied, resolution))
        sizes = tried[0][0][0].shape if tried else (1, 3, 224, 224)
        hint = f"example_inputs such as torch.zeros({', '.join(map(str, sizes))})."
        if resolution is None:
            hint = f"input_resolution, or {hint}"
        hint = f" If another input fits, give {hint}"
    with _quiet(torch), torch.no_grad():
        run = _first_run(torch, copied, tried, hint)
        program = _export(torch, copied, run)
    elsewhere = partial(_elsewhere, torch, copied, run.arguments)
    return Exported(program, copied, resolution is None, elsewhere)


def _elsewhere(torch: Any, module: Any, arguments: Arguments) -> Any:
    """Returns the program of a module for larger inputs; None if none fits."""
    tensors = torch.utils._pytree.tree_map_only
    with _quiet(torch), torch.no_grad():
        for first, last in (2, None), (1, -1):
            larger = partial(_larger, axes=slice(first, last))
            given = tensors(torch.Tensor, larger, arguments)
            try:
                return _export(torch, module, _first_run(torch, module, [given], ""))
            except GraphError:
                continue
    return None


def _larger(tensor: Any, axes: slice) -> Any:
    """Returns a tensor of twice the sizes on the axes of an image."""
    shape = list(tensor.shape)
    shape[axes] = [2 * size for size in shape[axes]]
    return tensor.new_empty(shape) if len(shape) > 2 else tensor


def _wrapped(torch: Any, module: Any) -> Any:
    """Returns the module that a wrapper of PyTorch runs, or None for other modules."""
    compiled = sys.modules.get("torch._dynamo.eval_frame")
    if compiled is not None and isinstance(module, compiled.OptimizedModule):
        return module._orig_mod
    parallel = torch.nn.DataParallel, torch.nn.parallel.DistributedDataParallel
    return module.module if isinstance(module, parallel) else None


def _check(torch: Any, module: Any) -> None:
    """Raises an error for modules that can never be exported."""
    name = type(module).__name__
    scripted = [
        path
        for path, part in module.named_modules()
        if isinstance(part, torch.jit.ScriptModule)
    ]
    if scripted:
        which = f"{scripted[0]!r}, " if scripted[0] else ""
        raise GraphError(
            f"{which}a scripted module, hides its layers. Give the module that it was "
            "made of, or export it to ONNX."
        )
    if "forward" not in vars(module) and (
        type(module).forward is torch.nn.Module.forward
    ):
        raise GraphError(
            f"{name} has no forward. Give a module that calls the modules in it, such "
            "as a torch.nn.Sequential."
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
      place: returns what the copy has instead of a tensor; None for a tensor of its
        own with the same memory.

    Raises:
      GraphError: if the module cannot be copied.
    """
    tensors = [*module.parameters(), *module.buffers()]
    for part in module.modules():
        tensors += _tensors(torch, list(vars(part).values()))
    parameter = torch.nn.Parameter

    def placed(tensor: Any) -> Any:
        made = tensor.data if place is None else place(tensor.detach())
        trains = tensor.requires_grad
        return parameter(made, trains) if isinstance(tensor, parameter) else made

    made = {id(tensor): placed(tensor) for tensor in tensors}
    for part in module.modules():
        for thing in vars(part).values():
            if type(thing) in _LOCKS:
                made[id(thing)] = _LOCKS[type(thing)]()
    try:
        copied = copy.deepcopy(module, made).eval()
    except Exception as error:
        raise GraphError(
            f"{type(module).__name__} cannot be copied: {_sentence(error)} Export it "
            "yourself with torch.export.export, and give the program."
        ) from error
    for part in list(copied.modules()):
        for path in part._modules:
            while (inside := _wrapped(torch, part._modules[path])) is not None:
                part._modules[path] = inside
    return copied


_LOCKS = {type(make()): make for make in (threading.Lock, threading.RLock)}
"""The classes of locks, which cannot be copied -> what makes a new one."""


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
    if next(_tensors(torch, [example_inputs]), None) is None:
        raise GraphError(
            "example_inputs must be a tensor, a tuple of arguments or a dictionary of "
            f"keyword arguments. There is no tensor in {quoted(repr(example_inputs))}."
        )
    example_inputs = _apart(torch, example_inputs)
    if isinstance(example_inputs, Mapping):
        return (), dict(example_inputs)
    if isinstance(example_inputs, (tuple, list)):
        return tuple(example_inputs), {}
    return (example_inputs,), {}


def _apart(torch: Any, example_inputs: Any) -> Any:
    """Returns example inputs of which no two are the same tensor.

    An export takes two inputs for one if they are.
    """
    seen = set[int]()

    def own(tensor: Any) -> Any:
        if id(tensor) in seen:
            return tensor.clone()
        seen.add(id(tensor))
        return tensor

    return torch.utils._pytree.tree_map_only(torch.Tensor, own, example_inputs)


def _with_resolution(
    torch: Any,
    given: tuple[Any, ...],
    named: dict[str, Any],
    resolution: Sequence[int] | int | None,
) -> Iterator[Arguments]:
    """Yields arguments whose images may have the size that the caller asks for.

    The last axes are those of the image, or the ones before the channels.
    """
    if resolution is None:
        yield given, named
        return

    def resized(thing: Any, after: int) -> Any:
        if isinstance(thing, dict):
            return {key: resized(part, after) for key, part in thing.items()}
        if type(thing) in (list, tuple):
            return type(thing)(resized(part, after) for part in thing)
        if not isinstance(thing, torch.Tensor) or thing.dim() < 2:
            return thing
        shape = list(thing.shape)
        sizes = _sizes(resolution, max(thing.dim() - 2, 1))
        rank = len(sizes)
        first = thing.dim() - after - rank
        if first < 1:
            return thing
        if any(shape[i : i + rank] == sizes for i in range(len(shape) - rank + 1)):
            return thing
        return thing.new_empty([*shape[:first], *sizes, *shape[first + rank :]])

    for after in (0, 1):
        yield resized(given, after), resized(named, after)


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
        and parameter.kind not in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
    ]
    kind = type(module).__name__
    if len(needed) > 1:
        raise GraphError(
            f"{kind} needs {len(needed)} inputs: {', '.join(needed)}. Give "
            "example_inputs: a tuple of tensors, or a dictionary."
        )
    found = dict.fromkeys(_images(torch, module))
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
        tried = [*_stated_sizes(module, dimensions), *USUAL_SIZES_OF[dimensions]]
        for sizes in tried if given is None else [given[number]]:
            if len(sizes) == dimensions:
                yield (torch.empty(1, channels, *sizes, **options),), {}


def usual_sizes(torch: Any, module: Any) -> list[tuple[int, ...]]:
    """Returns the sizes of an image that are tried if the caller states none."""
    dimensions = next((d for d, _ in _images(torch, module)), 2)
    return [*_stated_sizes(module, dimensions), *USUAL_SIZES_OF[dimensions]]


def _images(torch: Any, module: Any) -> Iterator[tuple[int, int]]:
    """Yields the numbers of spatial axes and of channels of images that may fit.

    They are what the module states, and what convolutions read, first ones first. (A
    layer that is defined first need not run first.)
    """
    stated = _configured(module)
    if 2 <= len(stated) <= 4:
        yield len(stated) - 1, stated[0]
    for part in module.modules():
        channels = getattr(part, "in_channels", None)
        kernel = getattr(part, "kernel_size", None)
        if type(channels) is int and isinstance(kernel, tuple) and len(kernel) <= 3:
            yield len(kernel), channels


def _stated_sizes(module: Any, dimensions: int) -> Iterator[tuple[int, ...]]:
    """Yields the sizes that a module of torchvision or timm was built for."""
    embedding = getattr(module, "patch_embed", None)
    stated = [
        _configured(module),
        getattr(module, "image_size", None),
        getattr(embedding, "img_size", None),
    ]
    for size in stated:
        sizes = [size] * dimensions if type(size) is int else size
        if isinstance(sizes, (tuple, list)) and len(sizes) >= dimensions:
            yield tuple(sizes[-dimensions:])


def _configured(module: Any) -> tuple[int, ...]:
    """Returns the channels and sizes that the configuration of a timm model states."""
    for name in ("pretrained_cfg", "default_cfg"):
        config = getattr(module, name, None)
        size = config.get("input_size") if isinstance(config, Mapping) else None
        if isinstance(size, (tuple, list)) and all(type(n) is int for n in size):
            return tuple(size)
    return ()


# --- Runs without values -------------------------------------------------------------


class _Run(NamedTuple):
    """A run of a module on tensors without values."""

    arguments: Arguments
    several: list[str]
    """The paths of modules that return several tensors, or what they are given."""


def _first_run(torch: Any, module: Any, tried: Sequence[Arguments], hint: str) -> _Run:
    """Returns the first of several runs that does not fail.

    Args:
      torch: PyTorch.
      module: the module.
      tried: the arguments of the runs.
      hint: what the caller can do if all of them fail.

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
    _refuse(torch, module, first, where, hint)


def _run(torch: Any, module: Any, arguments: Arguments) -> list[str]:
    """Runs a module without values; returns what is in `_Run.several`.

    The run is on the meta device, which is fast. Code that moves tensors between
    devices, or asks for the values of constants, cannot run there.
    """

    def on_meta(tensor: Any) -> Any:
        return tensor.to("meta")

    tree_map = torch.utils._pytree.tree_map_only
    try:
        meta = _copied(torch, module, on_meta)
        return _noted(torch, meta, tree_map(torch.Tensor, on_meta, arguments))
    except Exception:  # User code may raise anything.
        from torch._subclasses.fake_tensor import FakeTensorMode

        # Loops make symbols for numbers that they do not know.
        symbols = torch.fx.experimental.symbolic_shapes.ShapeEnv()
        with FakeTensorMode(
            allow_non_fake_inputs=True, shape_env=symbols, static_shapes=True
        ) as mode:
            fake = tree_map(torch.Tensor, mode.from_tensor, arguments)
            return _noted(torch, _copied(torch, module), fake)


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
    module.register_forward_hook(lambda _, given, returned: _without_classes(returned))
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


def _without_classes(returned: Any) -> Any:
    """Returns what a module returns with dictionaries instead of data classes."""
    if type(returned) in (list, tuple):
        return type(returned)(map(_without_classes, returned))
    if type(returned) is dict:
        return {key: _without_classes(part) for key, part in returned.items()}
    if not dataclasses.is_dataclass(returned) or isinstance(returned, (Mapping, type)):
        return returned
    return {
        part.name: _without_classes(getattr(returned, part.name))
        for part in dataclasses.fields(returned)
    }


@contextmanager
def _quiet(torch: Any) -> Iterator[None]:
    """Leaves PyTorch's random state as it is, and its warnings and its log unsaid."""
    with ALONE.held(), _silenced(), torch.random.fork_rng(devices=[]):
        yield


@contextmanager
def _silenced() -> Iterator[None]:
    logs = [
        log
        for name, log in logging.Logger.manager.loggerDict.items()
        if isinstance(log, logging.Logger) and name.partition(".")[0] == "torch"
    ]
    before = [(log.handlers, log.propagate) for log in logs]
    for log in logs:
        log.handlers, log.propagate = [logging.NullHandler()], False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for log, (handlers, propagate) in zip(logs, before, strict=True):
            log.handlers, log.propagate = handlers, propagate


# --- Errors --------------------------------------------------------------------------


def _refuse(
    torch: Any, module: Any, error: Exception, where: str = "", hint: str = ""
) -> NoReturn:
    """Raises an error that says why a module cannot be exported, and where.

    Raises:
      GraphError: always.
    """
    reason = _sentence(error)
    quantised = [
        path
        for path, part in module.named_modules()
        if type(part).__module__.startswith(OF_QUANTISATION)
    ]
    if quantised:
        raise GraphError(
            f"{type(module).__name__} is quantised, or prepared for it: "
            f"{', '.join(map(repr, quantised[:3]))}. Give the module that it was made "
            "of. Its receptive fields are the same."
        ) from error
    if isinstance(error, _of_values(torch)) or "data-dependent" in str(error):
        reason = "what it does depends on the values in its tensors."
        hint = " Give the part of it that does not."
    raise GraphError(
        f"{type(module).__name__} cannot be exported{where}: {reason}"
        f"{_line(torch, error)}{hint}"
    ) from error


OF_QUANTISATION = (
    "torch.ao.nn.quantized",
    "torch.ao.nn.intrinsic.quantized",
    "torch.ao.quantization.observer",
    "torch.ao.quantization.fake_quantize",
)
"""Where the classes of quantised modules and of observers are."""


def _of_values(torch: Any) -> tuple[type[Exception], ...]:
    """Returns the errors of code that asks for values which are not known."""
    fake = torch._subclasses.fake_tensor
    return fake.DataDependentOutputException, fake.DynamicOutputShapeException


def _sentence(error: Exception) -> str:
    """Returns the first sentence of an error of PyTorch."""
    text = str(error).strip() or type(error).__name__
    first = text.partition("\n")[0].strip().rstrip(":")
    return quoted(first).rstrip(".") + "."


def _line(torch: Any, error: Exception) -> str:
    """Returns the line of the user's code in which an error was raised."""
    own = (os.path.dirname(torch.__file__), os.path.dirname(__file__), "<")
    library = os.path.dirname(os.__file__)
    outside = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(own)
        and os.path.dirname(frame.filename) != library
    ]
    installed = f"-packages{os.sep}"
    inside = (
        [frame for frame in outside if installed not in frame.filename]
        or [frame for frame in outside if frame.name == "forward"]
        or outside
    )
    if not inside:
        return ""
    frame = inside[-1]
    place = f"line {frame.lineno} of {os.path.basename(frame.filename)}"
    return (
        f" This is in {place}: {frame.line!r}."
        if frame.line
        else f" This is in {place}."
    )


def decomposed(torch: Any, program: Any) -> Any:
    """Returns the exported program with ops that return new values instead of writing.

    `in_place.functional` is faster, but does not follow all writes. The result is None
    if PyTorch cannot do it, either, or if there is no program.
    """
    if program is None:
        return None
    try:
        with _quiet(torch):
            return program.run_decompositions({})
    except Exception:  # Internal checks of PyTorch fail with errors of many kinds.
        return None
