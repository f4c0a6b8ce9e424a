"""NumPy, imported on first use.

Importing NumPy takes longer than computing the receptive field of a graph. The
computation itself needs no arrays. Where NumPy is not installed, `small_arrays` takes
its place, as far as it can.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

__all__ = ["is_installed", "np"]

if TYPE_CHECKING:
    import numpy as np
else:

    class _NumPy:
        def __getattr__(self, name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            if is_installed():
                import numpy as module
            else:
                from receptive_field import small_arrays as module
            found = getattr(module, name)
            setattr(self, name, found)  # Later lookups bypass this method.
            return found

    np = _NumPy()


@lru_cache(maxsize=1)
def is_installed() -> bool:
    """Returns whether there is a NumPy. The web page runs without it."""
    return find_spec("numpy") is not None
