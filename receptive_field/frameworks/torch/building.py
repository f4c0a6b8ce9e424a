"""Builds modules of PyTorch without their large weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

LARGEST_BUILT = 1 << 16
"""Tensors with more elements are weights. They are built without values."""


@contextmanager
def without_weights(torch: Any) -> Iterator[None]:
    """Builds large tensors of floating-point numbers without values.

    Small ones, and all integers and booleans, keep their values: modules compute masks,
    indices and the sizes of their layers from them.
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
            if func in makers and _is_large(torch, args, named):
                named["device"] = "meta"
            return func(*args, **named)

    with Building():
        yield


def _is_large(torch: Any, args: tuple[Any, ...], named: dict[str, Any]) -> bool:
    """Returns whether a call makes many floating-point numbers."""
    dtype = named.get("dtype") or torch.get_default_dtype()
    sizes = named.get("size", args)
    if len(sizes) and isinstance(sizes[0], (list, tuple)):
        (sizes, *_) = sizes
    return (
        bool(dtype.is_floating_point)
        and all(isinstance(size, int) for size in sizes)
        and math.prod(sizes) > LARGEST_BUILT
    )
