"""Computes gradients of modules and programs with their own weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from receptive_field.errors import GraphError
from receptive_field.frameworks.alone import ALONE
from receptive_field.frameworks.images import chosen, complete_images, draws_of
from receptive_field.frameworks.torch.evaluate import Evaluator
from receptive_field.frameworks.torch.program import Kind, Program
from receptive_field.frameworks.torch.running import (
    check_sizes,
    failing,
    held,
    other_inputs,
    program_with,
    value_name,
)
from receptive_field.graph.graph import Tensor
from receptive_field.graph.model import Model


def squared_gradients(
    model: Model,
    *,
    start: Tensor,
    end: Tensor,
    shape: Sequence[int],
    where: Mapping[int, int],
    images: Any,
    draws: int | None,
    seed: int,
    **_: Any,
) -> NDArray[np.float64]:
    """Returns squared gradients of a feature, [draw, *shape].

    The squares are divided by the number of the feature's channels. Everything is
    computed in the data type of the weights, and where they are.

    Args:
      model: the model of a program.
      start: the input.
      end: the tensor of the feature.
      shape: the shape of the input.
      where: output axis -> the feature's position on that axis.
      images: the images to use; None for random ones.
      draws: the number of images; None for one draw of each image.
      seed: the seed of the random numbers.

    Raises:
      GraphError: if the program cannot be run.
      ReceptiveFieldError: if the images do not fit the input.
    """
    torch: Any = import_module("torch")
    begin, name = value_name(model, start), value_name(model, end)
    program = program_with(model, [begin, name])
    check_sizes(program, begin, shape)
    own = complete_images(images, shape, "the module")
    count = draws_of(own, draws)
    device = _device(program)

    def weight(key: str) -> Any:
        found = held(program.weights[key], device, False)
        if found is None:
            raise GraphError(
                f"gradients need the weights of the model, but {key!r} has no values. "
                "Give the module, or what torch.export.load returns for a file that "
                "you trust."
            )
        return found

    others = other_inputs(program, begin)
    evaluator = Evaluator(
        program, [begin, *others], [name], weight=weight, double=False, device=device
    )
    evaluator.keep_weights()
    random = np.random.default_rng(seed)
    found = []
    for number in range(count):
        fed = {
            other: _tensor(torch, random, program.kinds.get(other), None, device)
            for other in others
            if other in evaluator.reads
        }
        image = (
            random.standard_normal(shape) if own is None else chosen(own, number, 1)[0]
        )
        leaf = _tensor(torch, random, program.kinds.get(begin), image, device)
        if not leaf.dtype.is_floating_point:
            raise GraphError(f"{begin!r} holds integers, which have no gradient.")
        leaf.requires_grad_()
        alone, draws_kept = ALONE.held(), torch.random.fork_rng(devices=[])
        with failing("the network"), alone, draws_kept:
            with torch.enable_grad():
                (features,) = evaluator({begin: leaf.clone(), **fed})
                index = tuple(where.get(a, slice(None)) for a in range(features.ndim))
                values = features[index]
                signs = random.choice([-1.0, 1.0], tuple(values.shape))
                factors = torch.from_numpy(np.asarray(signs)).to(values)
                total = (values * factors).sum()
            gradient = None
            if total.requires_grad:
                (gradient,) = torch.autograd.grad(total, [leaf], allow_unused=True)
        if gradient is None:
            return np.zeros((2, *shape))
        squares = np.square(gradient.double().cpu().numpy())
        found.append(squares / max(values.numel(), 1))
    return np.stack(found)


def _device(program: Program) -> Any:
    """Returns where the weights of a program are."""
    for weight in program.weights.values():
        if weight.tensor is not None:
            return weight.tensor().device
    return "cpu"


def _tensor(
    torch: Any, random: np.random.Generator, kind: Kind | None, values: Any, device: Any
) -> Any:
    """Returns an input of the recorded data type; random if no values are given.

    Raises:
      GraphError: if its size or data type is not known.
    """
    dtype = getattr(torch, "" if kind is None else kind.dtype, None)
    if values is None:
        sizes = None if kind is None else kind.sizes
        if sizes is None or dtype is None:
            raise GraphError("the size of another input of the network is unknown.")
        known = [size if isinstance(size, int) else 1 for size in sizes]
        is_real = dtype.is_floating_point or dtype.is_complex
        values = random.standard_normal(known) if is_real else np.ones(known)
    return torch.from_numpy(np.array(values)).to(device=device, dtype=dtype)
