"""NumPy, imported on first use.

Importing NumPy takes longer than computing the receptive field of a graph. The
computation itself needs no arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["np"]

if TYPE_CHECKING:
    import numpy as np
else:

    class _NumPy:
        def __getattr__(self, name: str) -> Any:
            import numpy

            found = getattr(numpy, name)
            setattr(self, name, found)  # Later lookups bypass this method.
            return found

    np = _NumPy()
