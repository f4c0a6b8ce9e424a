"""Builds modules of PyTorch without initialising their weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

LARGEST_FILLED = 1 << 16
"""Floating-point tensors with more elements are taken to be weights."""


def without_weights(torch: Any, make: Callable[[], Any]) -> Any:
    """Returns the module that ``make`` builds, with large weights of no certain value.

    They take no time, and no memory until somebody reads them. Small tensors, and all
    integers and booleans, get their values: modules compute masks, indices and the
    sizes of their layers from them. If this fails, all weights get their values.
    """
    from torch.overrides import TorchFunctionMode

    makers = {torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn, torch.full}

    class Building(TorchFunctionMode):  # type: ignore[misc,unused-ignore]
        def __torch_function__(
            self,
            func: Callable[..., Any],
            types: Any,
            args: tuple[Any, ...] = (),
            kwargs: dict[str, Any] | None = None,
        ) -> Any:
            named = dict(kwargs or {})
            if func in makers and _makes_many(torch, args, named):
                named["device"] = "meta"
            return func(*args, **named)

    try:
        with Building():
            module = make()
    except Exception:  # The code of a module may raise anything.
        module = make()
    return _off_meta(torch, module)


def _off_meta(torch: Any, module: Any) -> Any:
    """Gives memory, but no values, to the tensors of a module that have none."""
    made: dict[int, Any] = {}
    parts = module.modules() if isinstance(module, torch.nn.Module) else ()
    for part in parts:
        for held in (part._parameters, part._buffers):
            for name, tensor in held.items():
                if tensor is None or not tensor.is_meta:
                    continue
                if id(tensor) not in made:  # Weights may be shared.
                    found = torch.empty_like(tensor, device="cpu")
                    if isinstance(tensor, torch.nn.Parameter):
                        found = torch.nn.Parameter(found, tensor.requires_grad)
                    made[id(tensor)] = found
                held[name] = made[id(tensor)]
    return module


def _makes_many(torch: Any, args: tuple[Any, ...], named: dict[str, Any]) -> bool:
    """Returns whether a call makes many floating-point numbers."""
    dtype = named.get("dtype") or torch.get_default_dtype()
    sizes = named.get("size", args)
    if len(sizes) and isinstance(sizes[0], (list, tuple)):
        (sizes, *_) = sizes
    return (
        bool(dtype.is_floating_point)
        and all(isinstance(size, int) for size in sizes)
        and math.prod(sizes) > LARGEST_FILLED
    )
