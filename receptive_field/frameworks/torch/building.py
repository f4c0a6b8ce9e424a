"""Builds modules of PyTorch without initialising their weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

LARGEST_FILLED = 1 << 16
"""Floating-point tensors with more elements are taken to be weights."""


@contextmanager
def without_weights(torch: Any) -> Iterator[None]:
    """Does not fill large tensors of floating-point numbers, which take no memory then.

    Small ones, and all integers and booleans, get their values: modules compute masks,
    indices and the sizes of their layers from them.
    """
    from torch.overrides import TorchFunctionMode

    makers = {torch.zeros, torch.ones, torch.rand, torch.randn, torch.full}

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
                sizes = named.pop("size", args[:1] if func is torch.full else args)
                named.pop("fill_value", None)
                named.pop("generator", None)
                return torch.empty(*sizes, **named)
            changed = named.get("tensor", args[0] if args else None)
            if _fills(func) and isinstance(changed, torch.Tensor):
                large = changed.numel() > LARGEST_FILLED
                if large and changed.is_floating_point():
                    return changed
            return func(*args, **named)

    with Building():
        yield


def _fills(function: Callable[..., Any]) -> bool:
    """Returns whether a function changes its first argument in place."""
    name = getattr(function, "__name__", "")
    return name.endswith("_") and not name.endswith("__") and name != "requires_grad_"


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
