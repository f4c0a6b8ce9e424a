"""Which positions matter in a module of PyTorch, found by running it.

As in `dependency.py`, one input position after another is disturbed. Modules run in
double precision and on one thread, so an output that does not depend on a position is
computed in the same way, bit by bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from dependency import (
    EXPERIMENTS,
    Channels,
    _check_regions,
    _differ,
    _features,
    _positions,
    hold_lines,
    hold_support,
    windows_of,
)
from needed import needed
from onnx_experiments import _without_free_axes

import receptive_field as rf
from receptive_field.frameworks.torch.load import model_of
from receptive_field.frameworks.torch.objects import of_exported

torch = needed("torch")
torch.set_num_threads(1)


class Function(torch.nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Any) -> Any:
        """Calls the function."""
        return self.function(x)


def as_module(thing: Any) -> Any:
    """A module, or a function as a module, in evaluation mode."""
    return (thing if isinstance(thing, torch.nn.Module) else Function(thing)).eval()


def exported(thing: Any, shape: Sequence[int], dtype: Any = None) -> Any:
    """The functional program of a module, or a function, for an input of this shape."""
    image = torch.ones(*shape, dtype=dtype or torch.float64)
    module = as_module(thing).double()
    return torch.export.export(module, (image,), strict=False).run_decompositions({})


def written(thing: Any, shape: Sequence[int], dynamic: Sequence[int] = ()) -> Any:
    """The program of a module, or a function, as `torch.export.export` writes it.

    Its input has unknown sizes on some axes.
    """
    image = torch.ones(*shape, dtype=torch.float64)
    sizes = (dict.fromkeys(dynamic, torch.export.Dim.DYNAMIC),) if dynamic else None
    return torch.export.export(
        as_module(thing).double(), (image,), strict=False, dynamic_shapes=sizes
    )


def ops_of(program: Any) -> set[str]:
    """The ops of a program, as the table of rules names them."""
    return {step.op for step in of_exported(program).steps}


def writes(program: Any) -> bool:
    """Whether an op of a program, or of a branch in it, may write to a tensor."""
    return any(
        node.target._schema.is_mutable
        for graph in program.graph_module.modules()
        for node in graph.graph.nodes
        if isinstance(node.target, torch._ops.OpOverload)
    )


def with_weights(module: Any, seed: int = 0) -> Any:
    """Sets the weights of a module, so that no two dependencies cancel out."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        with torch.no_grad():
            parameter.uniform_(0.5, 1.5, generator=generator)
            parameter /= max(parameter[0].numel(), 1) if parameter.dim() > 1 else 1
    return module


def measured(
    thing: Any,
    shape: Sequence[int],
    axes: Sequence[int] = (2, 3),
    channels: Channels = (1,),
    values: tuple[float, float] = (0.5, 1.5),
) -> tuple[Any, list[int]]:
    """Which input positions change which output positions; and the output's shape."""
    module = as_module(thing).double()

    def run(image: Any) -> Any:
        with torch.no_grad():
            return module(torch.from_numpy(image)).numpy()

    sizes = [shape[axis] for axis in axes]
    found = None
    output_shape: list[int] = []
    for seed, scale, disturbance in EXPERIMENTS:
        random = np.random.default_rng(seed)
        image = scale * random.uniform(*values, shape)
        undisturbed = run(image)
        if found is None:
            output_shape = list(undisturbed.shape)
            found = np.zeros((*_positions(output_shape, channels), *sizes), dtype=bool)
        for position in np.ndindex(*sizes):
            index: list[Any] = [slice(None)] * len(shape)
            for axis, coordinate in zip(axes, position, strict=True):
                index[axis] = coordinate
            disturbed = image.copy()
            by = random.uniform(0.5, 1.5, disturbed[tuple(index)].shape)
            disturbed[tuple(index)] += disturbance * by
            changed = _differ(run(disturbed), undisturbed)
            found[(..., *position)] |= changed.any(axis=tuple(channels))
    return found, output_shape


def check(
    thing: Any,
    shape: Sequence[int],
    axes: Sequence[int] = (2, 3),
    channels: Channels = (1,),
    exact: bool | None = None,
    program: Any = None,
    **experiment: Any,
) -> rf.ReceptiveField:
    """Holds the receptive field of a module or a function against the experiment.

    No feature may depend on anything outside of its window or its support. Where the
    result claims to be exact, all of it must matter.

    Args:
      thing: a module, or a function, with one input and one output. Its weights should
        be nonzero (see `with_weights`).
      shape: the shape of the input.
      axes: the spatial axes of the input.
      channels: the axes of the output that hold no positions, but for the batch.
      exact: whether the result must claim to be exact; None if it does not matter.
      program: what is analysed; None for the functional program of the module.
      experiment: more arguments of `measured`.
    """
    truth, output_shape = measured(thing, shape, axes, channels, **experiment)
    program = exported(thing, shape) if program is None else program
    model = model_of(program)
    assert model is not None
    (output,) = model.outputs
    resolution = [shape[axis] for axis in axes]
    field = rf.compute_receptive_field(
        program, output=output, input_resolution=resolution
    )
    channels, truth = _without_free_axes(field, truth, output_shape, channels)
    windows = windows_of(field, shape, output_shape, channels)
    assert sorted(w.axis for w in windows) == sorted(axes)
    _check_regions(field, windows, output_shape, channels)
    positions = truth.ndim - len(axes)
    lines = []
    for w in windows:
        number = positions + list(axes).index(w.axis)
        others = tuple(i for i in range(positions, truth.ndim) if i != number)
        lines.append(truth.any(axis=others))
    hold_lines(field, windows, lines, windows)
    hold_support(field, truth, _features(field, output_shape, channels))
    if exact is not None:
        assert field.exact is exact
    return field
