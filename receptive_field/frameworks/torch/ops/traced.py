"""What a trace wrote as numbers, at sizes other than those of the trace.

A trace for inputs of known sizes writes every size as a number: ``view(x, [1, 784])``.
Whether such a number is a size of the input, or was written by the author, is not
recorded. At other sizes, a rule may use a number only if no guess is needed, or if it
is the same in a second trace, for inputs of twice the sizes (`definitions.Trace`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from receptive_field.algebra.sizes import Size, divides, product
from receptive_field.arrays import np
from receptive_field.frameworks.torch.definitions import BUFFER, INPUT
from receptive_field.graph.graph import Graph, Tensor
from receptive_field.rules.op import Call, Knowledge, Shape

Recorded = tuple[int | str | None, ...] | None
"""The sizes that a trace recorded: numbers, names of unknown sizes, or None."""


def recorded(call: Call, number: int) -> Recorded:
    """Returns the sizes that the trace recorded for an input."""
    index, output = call.input(number)
    return _recorded(call.node.graph.nodes[index].definition, output)


def recorded_result(call: Call, number: int = 0) -> Recorded:
    """Returns the sizes that the trace recorded for a result."""
    return _recorded(call.node.definition, number)


def _recorded(definition: Any, output: int) -> Recorded:
    kinds = definition.kinds
    kind = kinds[output] if output < len(kinds) else None
    return None if kind is None else kind.sizes


def changed_axes(call: Call, number: int) -> set[int]:
    """Returns the axes of an input whose size is not the number of the trace.

    An axis whose size was unknown in the trace, too, is not changed.
    """
    return _changed(call.node.graph, call.input(number), call.shape(number))


def _changed(graph: Graph, tensor: Tensor, shape: Sequence[Size] | None) -> set[int]:
    definition = graph.nodes[tensor[0]].definition
    sizes = _recorded(definition, tensor[1])
    if shape is None or sizes is None or len(shape) != len(sizes):
        return set()
    forgotten = definition.op == INPUT and definition.trace.is_of_one_size
    pairs = enumerate(zip(shape, sizes, strict=True))
    return {
        axis
        for axis, (now, then) in pairs
        if (then != now if isinstance(then, int) else forgotten)
    }


def is_resized(call: Call) -> bool:
    """Returns whether a question is about sizes other than those of the trace."""
    graph, known = call.node.graph, call.knowledge
    return any(
        _changed(graph, tensor, shape) for tensor, shape in _asked(graph, known).items()
    )


def _asked(graph: Graph, known: Knowledge) -> dict[Tensor, Shape]:
    """Returns the shapes that a question is about: of inputs, and given ones."""
    first = itertools.takewhile(lambda i: graph.op(i) == INPUT, range(len(graph)))
    inputs = [(index, 0) for index in first]
    return {**{tensor: known.shape(tensor) for tensor in inputs}, **known.given}


def _is_written(call: Call, numbers: Sequence[int]) -> bool:
    """Returns whether the numbers of an op are the same in a trace at other sizes.

    Sizes that follow those of the input, and parts of them, are other numbers there.
    """
    graph = call.node.graph
    if not _is_traced_again(call) or not _is_same(call.node.definition):
        return False
    todo = {call.input(number)[0] for number in numbers}
    seen: set[int] = set()
    while todo:
        index = todo.pop()
        if not _is_same(graph.nodes[index].definition):
            return False
        seen.add(index)
        todo |= {read for read, _ in graph.inputs[index]} - seen
    return True


def _is_traced_again(call: Call) -> bool:
    """Returns whether there is a trace in which all sizes of a question differ."""
    graph = call.node.graph
    return bool(call.node.definition.trace.elsewhere) and all(
        _changed(graph, tensor, shape) <= _differing(graph, tensor)
        for tensor, shape in _asked(graph, call.knowledge).items()
    )


def _differing(graph: Graph, tensor: Tensor) -> set[int]:
    """Returns the axes of a tensor whose size in a trace at other sizes differs."""
    here = graph.nodes[tensor[0]].definition
    sizes = _recorded(here, tensor[1])
    others = _recorded(here.trace.elsewhere[here.name], tensor[1])
    if sizes is None or others is None or len(sizes) != len(others):
        return set()
    pairs = enumerate(zip(sizes, others, strict=True))
    return {axis for axis, (one, other) in pairs if one != other}


def _is_same(here: Any) -> bool:
    """Returns whether an op has the same arguments, or a constant the same values.

    An op with another number of results is not the same: it splits an axis.
    """
    there = here.trace.elsewhere[here.name]
    if here.op == BUFFER:
        one, other = here.arguments["values"](), there.arguments["values"]()
        return one is not None and np.array_equal(one, other)
    results = len(here.kinds), len(there.kinds)
    is_equal = here.arguments == there.arguments and results[0] == results[1]
    return here.op != INPUT and is_equal


def refuse(call: Call, what: str) -> NoReturn:
    """Raises an error about numbers that may be sizes of the traced input.

    Args:
      call: the op.
      what: the numbers, such as "its sizes [1, 784]".

    Raises:
      GraphError: always.
    """
    call.fail(
        f"cannot be analysed at this size: {what} were written for one size of the "
        "input. Give input_resolution (the model is then exported for it)"
    )


def check_written(call: Call, what: str, *numbers: int) -> None:
    """Refuses numbers unless they are the same in a trace at other sizes.

    Args:
      call: the op.
      what: the numbers, as for `refuse`.
      *numbers: the inputs that hold them, if they are not arguments of the op.
    """
    if not _is_written(call, numbers):
        refuse(call, what)


def is_offset(number: int, size: int) -> bool:
    """Returns whether a number counts one position, or none, from an end of an axis.

    Such numbers are taken as the author's. A number that reaches further may be a part
    of the size of the traced input.

    Args:
      number: a position; a negative one counts from the end.
      size: the size of the axis in the trace.
    """
    return abs(number) <= (size >= 4)


def check_offset(
    call: Call, number: int, axis: int, value: Size | None, *numbers: int
) -> None:
    """Refuses a number that may be a size of the axis that it refers to.

    Args:
      call: the op.
      number: the number of an input.
      axis: the axis of the input.
      value: the number.
      *numbers: the inputs that hold it, if it is not an argument of the op.
    """
    sizes = recorded(call, number)
    if axis not in changed_axes(call, number) or not isinstance(value, int):
        return
    size = sizes[axis] if sizes is not None else None
    if not is_offset(value, size if isinstance(size, int) else 4):
        check_written(call, f"numbers such as {value}, on axis {axis},", *numbers)


def matched(
    call: Call,
    number: int,
    stated: Sequence[Size | None],
    hole: int | None,
) -> tuple[Size, ...]:
    """Returns the sizes that a view has at sizes other than those of the trace.

    Both shapes of the trace are split into the smallest groups of axes with equal
    products. In a group where the input has other sizes now, one axis of the output is
    their product. If there are more, the numbers could mean several things, unless all
    but one are the same in a trace at other sizes.

    Args:
      call: the op.
      number: the number of the input.
      stated: the sizes as they were written, for error messages.
      hole: the axis of the output that was written as -1, if any.

    Raises:
      GraphError: if the sizes cannot be matched without a guess.
    """
    now, before, after = (
        call.known_shape(number),
        recorded(call, number),
        recorded_result(call),
    )
    changed = changed_axes(call, number)
    texts = ", ".join("?" if size is None else str(size) for size in stated)
    what = f"its sizes [{texts}]"
    if before is None or after is None:
        refuse(call, what)
    before = _completed(before, after)
    if before == after:
        return tuple(
            now[axis] if axis in changed else size  # type: ignore[misc]
            for axis, size in enumerate(after)
        )
    olds = [size for size in before if isinstance(size, int)]
    news = [size for size in after if isinstance(size, int)]
    if len(olds) < len(before) or len(news) < len(after) or 0 in olds:
        refuse(call, what)
    found: list[Size] = list(news)
    for ins, outs in _groups(olds, news):
        if not changed.intersection(ins):
            continue
        longer = [axis for axis in outs if news[axis] != 1]

        is_copy = len([axis for axis in ins if olds[axis] != 1]) == 1
        of_one = any(axis in changed and olds[axis] == 1 for axis in ins)
        if len(longer) == 1 and not of_one and (is_copy or hole in (None, longer[0])):
            found[longer[0]] = product(now[axis] for axis in ins)
            continue
        varying = _varying(call, number, ins, outs)
        rest = math.prod(news[axis] for axis in outs if axis != varying)
        size = divides(rest, product(now[axis] for axis in ins)) if rest else None
        if varying is None or size is None:
            refuse(call, what)
        found[varying] = size
    return tuple(found)


def _varying(
    call: Call, number: int, ins: Sequence[int], outs: Sequence[int]
) -> int | None:
    """Returns the only axis of these of a view whose size is not always the same.

    Args:
      call: the op.
      number: the number of the input.
      ins: axes of the input.
      outs: the axes of the output with as many positions.

    Returns:
      an axis of the output, or None if no trace at other sizes shows it.
    """
    if not _is_traced_again(call):
        return None
    graph = call.node.graph
    index, output = call.input(number)
    elsewhere = call.node.definition.trace.elsewhere
    before = _recorded(elsewhere[graph.nodes[index].definition.name], output)
    after = _recorded(elsewhere[call.node.definition.name], 0)
    assert before is not None
    assert after is not None
    inside = math.prod(before[axis] for axis in ins)  # type: ignore[misc]
    outside = math.prod(after[axis] for axis in outs)  # type: ignore[misc]
    differing = _differing(graph, (call.node.index, 0)).intersection(outs)
    return differing.pop() if inside == outside and len(differing) == 1 else None


def _completed(
    before: tuple[int | str | None, ...], after: Sequence[Any]
) -> tuple[int | str | None, ...]:
    """Returns the sizes of a trace, of which an unknown one follows from a view."""
    names = [axis for axis, size in enumerate(before) if not isinstance(size, int)]
    if len(names) != 1 or not all(isinstance(size, int) for size in after):
        return before
    found = list(before)
    rest = math.prod(size for size in before if isinstance(size, int))
    found[names[0]] = math.prod(after) // max(rest, 1)
    return tuple(found)


def _groups(
    before: Sequence[int], after: Sequence[int]
) -> Iterator[tuple[range, range]]:
    """Yields the smallest groups of axes on both sides with equal products."""
    i = j = 0
    while i < len(before) or j < len(after):
        first, start = i, j
        i, j = min(i + 1, len(before)), min(j + 1, len(after))
        while True:
            one, two = math.prod(before[first:i]), math.prod(after[start:j])
            if one < two and i < len(before):
                i += 1
            elif one > two and j < len(after):
                j += 1
            else:
                break
        yield range(first, i), range(start, j)
