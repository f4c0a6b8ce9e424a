"""NumPy, imported when something is first asked of it.

It takes longer to start than a question about a graph, which needs no arrays, takes to
be answered.
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
            setattr(self, name, found)  # From now on it is found without this method.
            return found

    np = _NumPy()
