"""The form that every Keras model is brought into: its layers, and how they are called.

A config of a file and a model in memory both become a `CalledModel`, from which the
graph is written.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")

KERAS = ("keras", "tf_keras")
"""The packages with Keras models."""

MOST_NAMED = 4
"""The most layers that a message names."""

UNFIT = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What goes wrong if a part of a config has another form than is expected."""


class NoRuleError(Exception):
    """A layer cannot be written as ops."""


class NoModelError(NoRuleError):
    """The calls of layers in a config are not those of any model.

    Keras would look for what a call reads without end.
    """


class TooManyCallsError(NoRuleError):
    """A file has models in models, which call each other very often.

    Keras might build the model, but nobody can run it.
    """


@dataclass(frozen=True, slots=True)
class Read:
    """A tensor that a call reads: an output of another call, or an input."""

    call: Any
    """The `Call.key` of the call, or the `Input.key` of the input."""
    number: int = 0
    dtype: str | None = None


@dataclass(frozen=True, slots=True)
class Weight:
    """A variable that a call of an operation reads."""

    owner: Hashable
    shape: tuple[int, ...]
    thing: Any = field(default=None, compare=False, repr=False)
    """The variable itself."""


@dataclass(slots=True)
class Input:
    """An input of a model."""

    key: Any
    name: str
    shape: Sequence[int | None]
    dtype: str = "float32"


@dataclass(eq=False, slots=True)
class Layer:
    """A layer, a function of `keras.ops`, or a model inside of a model."""

    name: str
    kind: str
    """The name of the class."""
    configured: Callable[[], Mapping[str, Any]] = dict
    """Returns the arguments with which the layer was made."""
    is_operation: bool = False
    is_custom: bool = False
    """Whether the class is not one of Keras."""
    model: CalledModel | None = None
    """The calls inside, if the layer is a model."""
    thing: Any = None
    """The layer itself, if the model is in memory."""


@dataclass(eq=False, slots=True)
class Call:
    """A call of a layer.

    In the arguments, tensors are `Read` objects, and weights are `Weight` objects.
    Arrays and numbers are themselves, and all sequences are lists.
    """

    key: Any
    layer: Layer
    arguments: Sequence[Any]
    keywords: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class CalledModel:
    """A model: its inputs, the calls of its layers, and its outputs."""

    inputs: Sequence[Input]
    calls: Sequence[Call]
    outputs: Sequence[tuple[str, Read]]
    """Each output's name, and the tensor."""
    keys: Sequence[str] = ()
    """The keys of the inputs, if the model takes them in a dict."""
    masks: Sequence[Read | None] = ()
    """The mask of each output, as far as an opened layer gives it one itself."""
    knows_masks: bool = True
    """Whether the rules of masks are those of the model's version of Keras."""


def leaves(thing: Any) -> Iterator[Any]:
    """Yields the parts of an argument that are no containers, in order."""
    if isinstance(thing, list):
        for part in thing:
            yield from leaves(part)
    elif isinstance(thing, Mapping):
        for part in thing.values():
            yield from leaves(part)
    elif isinstance(thing, slice):
        yield from (thing.start, thing.stop, thing.step)
    else:
        yield thing


def as_inputs(thing: Any, model: CalledModel) -> Any:
    """Returns an argument of a model with the tensors of a dict in the model's order.

    Keras takes them by the keys of the inputs; or by the names of the inputs, if they
    have no keys.
    """
    if not isinstance(thing, Mapping):
        return thing
    return [thing[key] for key in model.keys or [given.name for given in model.inputs]]


def replaced(thing: Any, new: Callable[[Any], Any]) -> Any:
    """Returns an argument with other parts: ``new(part)`` for each that it has."""
    if isinstance(thing, (list, tuple)):
        return [replaced(part, new) for part in thing]
    if isinstance(thing, Mapping):
        return {key: replaced(part, new) for key, part in thing.items()}
    if isinstance(thing, slice):
        return slice(*(new(part) for part in (thing.start, thing.stop, thing.step)))
    return new(thing)


def reads(call: Call) -> set[Hashable]:
    """Returns the keys of the calls and inputs that a call reads."""
    parts = leaves([*call.arguments, call.keywords])
    return {part.call for part in parts if isinstance(part, Read)}


def tensor_of(found: Mapping[Hashable, Sequence[T]], read: Read) -> T:
    """Returns one of the tensors that calls were found to return.

    Raises:
      NoModelError: if the call has no such output.
    """
    outputs = found.get(read.call, ())
    if read.number >= len(outputs):
        raise NoModelError(f"there is no output {read.number} of {read.call!r:.80}")
    return outputs[read.number]


def in_order(model: CalledModel) -> Iterator[Call]:
    """Yields the calls of a model, each after those that it reads.

    Calls of one layer keep their order. Of the calls that can come next, the one that
    is listed first is taken.

    Raises:
      NoModelError: if calls read each other, or something that is not in the model.
    """
    done = {given.key for given in model.inputs}
    readers: dict[Hashable, list[int]] = {}
    missing: dict[int, set[Hashable]] = {}
    ready: list[int] = []
    before: dict[int, Hashable] = {}
    for number, call in enumerate(model.calls):
        needed = reads(call) - done
        if id(call.layer) in before:
            needed.add(before[id(call.layer)])
        before[id(call.layer)] = call.key
        missing[number] = needed
        for key in needed:
            readers.setdefault(key, []).append(number)
        if not needed:
            ready.append(number)
    left = len(model.calls)
    while ready:
        call = model.calls[heapq.heappop(ready)]
        left -= 1
        yield call
        for number in readers.pop(call.key, ()):
            missing[number].discard(call.key)
            if not missing[number]:
                heapq.heappush(ready, number)
    if left:
        calls = enumerate(model.calls)
        waiting = {c.key: (c.layer.name, missing[n]) for n, c in calls if missing[n]}
        raise NoModelError(_why_no_order(waiting))


def _why_no_order(waiting: Mapping[Hashable, tuple[str, set[Hashable]]]) -> str:
    """Says why calls wait without end.

    Args:
      waiting: the key of each of these calls -> its layer, and the keys it waits for.
    """
    for name, needed in waiting.values():
        if not needed <= waiting.keys():
            return f"what the layer {name!r} reads is not in the model"
    key = next(iter(waiting))
    way: dict[Hashable, str] = {}
    while key not in way:
        way[key], needed = waiting[key]
        key = min(needed, key=str)
    circle = list(way.values())[list(way).index(key) :]
    if len(circle) == 1:
        return f"the layer {circle[0]!r} reads its own output"
    named = ", ".join(map(repr, circle[:MOST_NAMED]))
    rest = f" and {len(circle) - MOST_NAMED} more" if circle[MOST_NAMED:] else ""
    return f"the layers {named}{rest} read each other in a circle"
