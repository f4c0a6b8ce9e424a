"""The net at the public boundary: no error of the library's own code escapes as it is.

Whatever can be wrong with a model or a question has an error with a reason, where it is
known. An exception of another kind is a defect of the library, and the net says so. It
is only where callers enter the library, so it costs nothing inside: the public names
(`receptive_field.__getattr__`), the questions that results pass on, the texts of
results, the rows of many files, and the command line.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import ParamSpec, TypeVar

from receptive_field.errors import InternalError, ReceptiveFieldError, quoted

LIBRARIES = (
    *("numpy", "google", "tensorflow", "keras", "tf_keras", "h5py", "onnx"),
    *("onnxruntime", "ai_edge_litert", "flatbuffers", "torch", "matplotlib", "PIL"),
    *("pandas", "pyarrow", "rich"),
)
"""The libraries that the package calls."""

PASSED = (ReceptiveFieldError, MemoryError, OSError, ImportError, Warning)
"""What passes through the net: it has a reason, or is a problem of the machine."""

BOUNDARY = (__name__, f"{__package__}.budget")
"""The modules that wrap what callers call."""

_is_open: ContextVar[bool] = ContextVar("_is_open", default=False)

P = ParamSpec("P")
R = TypeVar("R")


@contextmanager
def net() -> Iterator[None]:
    """Turns exceptions of the library's own code into `InternalError`.

    What the caller's code raises passes through, such as that of rules and layers, and
    so does a TypeError of arguments. Inside another net, nothing is caught.

    Raises:
      InternalError: if the library has a defect. Its cause is the exception.
    """
    if _is_open.get():
        yield
        return
    token = _is_open.set(True)
    try:
        yield
    except PASSED:
        raise
    except Exception as error:
        if _is_of_caller(error):
            raise
        raise InternalError(_report(error)) from error
    finally:
        _is_open.reset(token)


def guarded(function: Callable[P, R]) -> Callable[P, R]:
    """Returns the function in a net."""

    @wraps(function)
    def inside(*args: P.args, **kwargs: P.kwargs) -> R:
        with net():
            return function(*args, **kwargs)

    return inside


def _is_of_caller(error: Exception) -> bool:
    """Returns whether an exception is about the caller's code or arguments.

    This is so if code that belongs neither to the library nor to what it calls takes
    part; or for a TypeError, if at most the function took part that the caller called.
    """
    from traceback import walk_tb  # It is slow to import, and rarely needed.

    frames = walk_tb(error.__traceback__)
    names = [str(frame.f_globals.get("__name__")) for frame, _ in frames]
    inner = [name.partition(".")[0] for name in names if name not in BOUNDARY]
    own = inner.count(__package__)
    known = {__package__, *LIBRARIES, *sys.stdlib_module_names}
    return not known.issuperset(inner) or (isinstance(error, TypeError) and own < 2)


def _report(error: Exception) -> str:
    """Returns what happened, where, and with which versions."""
    from traceback import walk_tb

    places = [
        f"{name}:{line}"
        for frame, line in walk_tb(error.__traceback__)
        if (name := str(frame.f_globals.get("__name__"))).startswith(f"{__package__}.")
        and name != __name__
    ]
    versions = [f"Python {sys.version.split()[0]}"]
    for name in (__package__, *LIBRARIES):
        version = getattr(sys.modules.get(name), "__version__", None)
        versions += [] if version is None else [f"{name} {version}"]
    return (
        f"this is a defect of the library: {type(error).__name__} at {places[-1]} "
        f"({quoted(error)}). Please report it, if you can with the model, and with "
        f"these versions: {', '.join(versions)}."
    )
