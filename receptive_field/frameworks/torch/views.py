"""Which results of ops share their memory with an argument, and how to write to them.

A write to a view changes the tensor that it is a view of. For each op that makes views,
`INVERSES` has a function that puts new values of the view back into that tensor. Where
the op alone does not say whether it copies, recorded sizes and strides do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from receptive_field.frameworks.torch.program import Kind, Step, Value

LAST = (1 << 63) - 1
"""The end of a slice that reaches the end of its axis."""


class Add(Protocol):
    """Adds a step to a program, and returns its result."""

    def __call__(self, target: str, like: Kind | None, /, **arguments: Any) -> Value:
        """Adds a step.

        Args:
          target: the op, with its namespace and overload.
          like: what is known about the result.
          arguments: the arguments of the op.
        """


class View(NamedTuple):
    """A result of an op that is a view of an argument.

    Attributes:
      step: the op.
      number: the number of the result.
      base: what is known about the argument.
      kinds: what is known about each result.
    """

    step: Step
    number: int
    base: Kind
    kinds: Sequence[Kind]

    def argument(self, name: str, default: Any = None) -> Any:
        """Returns an argument of the op, or its default."""
        found = self.step.arguments.get(name)
        return default if found is None else found

    @property
    def rank(self) -> int | None:
        """The number of axes of the tensor below the view."""
        return None if self.base.sizes is None else len(self.base.sizes)

    @property
    def kind(self) -> Kind:
        """What is known about the view."""
        return self.kinds[self.number]


class Unknown(ValueError):  # noqa: N818
    """A view cannot be written to, for a reason that the message tells."""


Inverse = Callable[[View, Value, Value, Add], Value]
"""Returns the base of a view after the view, the third argument, has changed."""


def _same(view: View, base: Value, part: Value, add: Add) -> Value:
    return part


def _reshaped(view: View, base: Value, part: Value, add: Add) -> Value:
    """Gives a view that has the same elements the sizes of its base."""
    if "dtype" in view.step.arguments:
        raise Unknown("the view has another data type")
    if view.base.sizes is None:
        raise Unknown("its number of axes is not known")
    sizes = [
        size if isinstance(size, int) else _size(add, base, axis)
        for axis, size in enumerate(view.base.sizes)
    ]
    return add("aten.view.default", view.base, self=part, size=sizes)


def _scatter(op: str, *names: str) -> Inverse:
    """Returns the inverse of an op with an op that takes the same arguments."""

    def inverse(view: View, base: Value, part: Value, add: Add) -> Value:
        stated = {
            name: view.step.arguments[name]
            for name in names
            if name in view.step.arguments
        }
        return add(f"aten.{op}.default", view.base, self=base, src=part, **stated)

    return inverse


def _again(view: View, base: Value, part: Value, add: Add) -> Value:
    """Applies the op a second time: it swaps two axes."""
    stated = {k: v for k, v in view.step.arguments.items() if k != "self"}
    return add(view.step.target, view.base, self=part, **stated)


def _swapped(view: View, base: Value, part: Value, add: Add) -> Value:
    """Swaps the last two axes of a matrix, or of a batch of matrices."""
    if view.kind.dtype.startswith("complex") and "T" not in view.step.op:
        raise Unknown("its numbers are conjugated")
    if view.rank is not None and view.rank < 2:
        return part
    return add("aten.transpose.int", view.base, self=part, dim0=-2, dim1=-1)


def _reversed(view: View, base: Value, part: Value, add: Add) -> Value:
    if view.rank is None:
        raise Unknown("its number of axes is not known")
    dims = list(range(view.rank))[::-1]
    return add("aten.permute.default", view.base, self=part, dims=dims)


def _permuted(view: View, base: Value, part: Value, add: Add) -> Value:
    dims = [axis % max(len(view.argument("dims")), 1) for axis in view.argument("dims")]
    back = [dims.index(axis) for axis in range(len(dims))]
    return add("aten.permute.default", view.base, self=part, dims=back)


def _moved(view: View, base: Value, part: Value, add: Add) -> Value:
    return add(
        view.step.target,
        view.base,
        self=part,
        source=view.argument("destination"),
        destination=view.argument("source"),
    )


def _unsqueezed(view: View, base: Value, part: Value, add: Add) -> Value:
    return add("aten.squeeze.dim", view.base, self=part, dim=view.argument("dim"))


def _squeezed(view: View, base: Value, part: Value, add: Add) -> Value:
    sizes = view.base.sizes
    if sizes is None or view.kind.sizes is None:
        raise Unknown("its number of axes is not known")
    stated = view.argument("dim", list(range(len(sizes))))
    axes = stated if isinstance(stated, list) else [stated]
    found = part
    axes = sorted(axis % max(len(sizes), 1) for axis in axes)
    removed = [axis for axis in axes if len(sizes) > axis and sizes[axis] == 1]
    if len(removed) != len(sizes) - len(view.kind.sizes):
        raise Unknown("it is not known which axes it removes")
    for axis in removed:
        found = add("aten.unsqueeze.default", view.base, self=found, dim=axis)
    return found


def _expanded(view: View, base: Value, part: Value, add: Add) -> Value:
    if None in (view.base.sizes or (None,)) or view.base.sizes != view.kind.sizes:
        raise Unknown("several positions of it are one in memory")
    return part


def _sum(add: Add, left: Any, right: Any) -> Any:
    """Returns the sum of two integers, or the value of a step that adds them."""
    if isinstance(left, int) and isinstance(right, int):
        return left + right
    return add("operator.add", Kind((), "SymInt"), **{"0": left, "1": right})


def _between(
    view: View, base: Value, part: Value, add: Add, start: Any, end: Any
) -> Value:
    dim = view.argument("dim", 0)
    return add(
        "aten.slice_scatter.default",
        view.base,
        self=base,
        src=part,
        dim=dim,
        start=start,
        end=end,
    )


def _narrowed(view: View, base: Value, part: Value, add: Add) -> Value:
    start, length = view.argument("start"), view.argument("length")
    if isinstance(start, Value) and "SymInt" not in view.step.target:
        raise Unknown("a tensor says where it starts")
    end = _sum(add, start, length)
    return _between(view, base, part, add, start, LAST if end == 0 else end)


def _split(view: View, base: Value, part: Value, add: Add) -> Value:
    size = view.argument("split_size", view.argument("split_sizes"))
    if isinstance(size, list):
        start: Any = 0
        for other in size[: view.number]:
            start = _sum(add, start, other)
        return _between(
            view, base, part, add, start, _sum(add, start, size[view.number])
        )
    if isinstance(size, int):
        start = view.number * size
    else:
        start = add("operator.mul", Kind((), "SymInt"), **{"0": size, "1": view.number})
    return _between(view, base, part, add, start, _sum(add, start, size))


def _part(view: View, base: Value, part: Value, add: Add) -> Value:
    """Puts back one of several parts, whose sizes only the parts tell."""
    dim = view.argument("dim", 0)
    if view.step.op in ("hsplit", "vsplit", "dsplit"):
        dim = {"hsplit": 0 if view.rank == 1 else 1, "vsplit": 0, "dsplit": 2}[
            view.step.op
        ]
    start: Any = 0
    for output in view.step.outputs[: view.number]:
        start = _sum(add, start, _size(add, Value(str(output)), dim))
    end = _sum(add, start, _size(add, part, dim))
    return add(
        "aten.slice_scatter.default",
        view.base,
        self=base,
        src=part,
        dim=dim,
        start=start,
        end=end,
    )


def _size(add: Add, value: Value, dim: int) -> Value:
    return add("aten.sym_size.int", Kind((), "SymInt"), self=value, dim=dim)


def _unbound(view: View, base: Value, part: Value, add: Add) -> Value:
    return add(
        "aten.select_scatter.default",
        view.base,
        self=base,
        src=part,
        dim=view.argument("dim", 0),
        index=view.number,
    )


def _of_matrix(view: View, base: Value, part: Value, add: Add) -> Value:
    return add(
        "aten.diagonal_scatter.default",
        view.base,
        self=base,
        src=part,
        offset=view.argument("offset", 0),
        dim1=view.argument("dim1", -2),
        dim2=view.argument("dim2", -1),
    )


def _conjugate(view: View, base: Value, part: Value, add: Add) -> Value:
    if not view.kind.dtype.startswith("complex"):
        return part
    return add("aten._conj.default", view.base, self=part)


def _through(op: str) -> Inverse:
    """Returns the inverse of an op that another op undoes."""
    return lambda view, base, part, add: add(f"aten.{op}.default", view.base, self=part)


def _refused(reason: str) -> Inverse:
    def refuse(view: View, base: Value, part: Value, add: Add) -> Value:
        raise Unknown(reason)

    return refuse


def _real(view: View, base: Value, part: Value, add: Add) -> Value:
    if view.base.dtype != view.kind.dtype:
        raise Unknown("it is a part of complex numbers")
    return part


INVERSES: Mapping[str, Inverse] = {
    **dict.fromkeys(
        [
            "_autocast_to_full_precision",
            "_autocast_to_reduced_precision",
            "_fw_primal",
            "alias",
            "alpha_dropout",
            "conj_physical",
            "contiguous",
            "detach",
            "dropout",
            "feature_alpha_dropout",
            "feature_dropout",
            "lift_fresh",
            "positive",
            "resolve_conj",
            "resolve_neg",
            "to",
            "type_as",
        ],
        _same,
    ),
    **dict.fromkeys(
        [
            "_ncf_unsqueeze",
            "_ncf_view",
            "_reshape_alias",
            "_unsafe_view",
            "flatten",
            "ravel",
            "reshape",
            "reshape_as",
            "unflatten",
            "view",
            "view_as",
        ],
        _reshaped,
    ),
    **dict.fromkeys(["broadcast_to", "expand", "expand_as"], _expanded),
    **dict.fromkeys(["swapaxes", "swapdims", "transpose"], _again),
    **dict.fromkeys(["adjoint", "mH", "mT", "matrix_H", "t"], _swapped),
    **dict.fromkeys(["moveaxis", "movedim"], _moved),
    **dict.fromkeys(["_conj", "conj"], _conjugate),
    **dict.fromkeys(
        ["chunk", "dsplit", "hsplit", "tensor_split", "unsafe_chunk", "vsplit"], _part
    ),
    **dict.fromkeys(
        ["split", "split_with_sizes", "unsafe_split", "unsafe_split_with_sizes"], _split
    ),
    "_neg_view": _refused("its numbers are negated"),
    "diagonal": _scatter("diagonal_scatter", "offset", "dim1", "dim2"),
    "imag": _refused("it is a part of complex numbers"),
    "linalg_diagonal": _of_matrix,
    "narrow": _narrowed,
    "numpy_T": _reversed,
    "permute": _permuted,
    "real": _real,
    "select": _scatter("select_scatter", "dim", "index"),
    "slice": _scatter("slice_scatter", "dim", "start", "end", "step"),
    "squeeze": _squeezed,
    "unbind": _unbound,
    "unfold": _refused("its windows overlap"),
    "unsqueeze": _unsqueezed,
    "view_as_complex": _through("view_as_real"),
    "view_as_real": _through("view_as_complex"),
}
"""Op whose results may be views of an argument -> how to write to them."""

_PERHAPS = frozenset(
    [
        "_grad_sum_to_size",
        "_indices",
        "_make_dual",
        "_nested_get_values",
        "_nested_view_from_buffer",
        "_nested_view_from_jagged",
        "_sparse_broadcast_to",
        "_unpack_dual",
        "_values",
        "align_tensors",
        "as_strided",
        "atleast_1d",
        "atleast_2d",
        "atleast_3d",
        "broadcast_tensors",
        "ccol_indices",
        "coalesce",
        "col_indices",
        "cpu",
        "crow_indices",
        "cuda",
        "indices",
        "meshgrid",
        "pin_memory",
        "row_indices",
        "slice_inverse",
        "sum_to_size",
        "values",
    ]
)
"""Ops whose results may share memory with arguments in ways that are not followed."""


class Shared(NamedTuple):
    """That results of an op share memory with some of its arguments.

    Attributes:
      sources: the names of the arguments.
      is_certain: whether the results are views of the only source. If not, they may or
        may not be.
    """

    sources: Sequence[str]
    is_certain: bool


def shared(step: Step, kinds: Mapping[str, Kind]) -> Shared | None:
    """Returns with which arguments the results of an op share memory, if any.

    Args:
      step: the op.
      kinds: what is recorded about each value.
    """
    op = step.op
    if op in _PERHAPS or (op == "einsum" and len(list(step.reads())) == 1):
        return Shared([*step.reads()], False)
    if op not in INVERSES:
        return None
    first = step.arguments.get(source_of(step))
    if not isinstance(first, Value):
        return None
    base = kinds.get(first.name, Kind(None))
    part = kinds.get(step.outputs[0] or "", Kind(None)) if step.outputs else base
    is_view = _COPIES[op](step, base, part) if op in _COPIES else True
    if is_view is False:
        return None
    return Shared([first.name], is_view is True)


def _if_in_order(step: Step, base: Kind, part: Kind) -> bool | None:
    """Whether a tensor already has the order in memory that is asked for."""
    if None in (base.sizes, base.strides, part.strides):
        return None
    assert base.sizes is not None
    assert base.strides is not None
    assert part.strides is not None
    unlike = [
        (one, other)
        for size, one, other in zip(base.sizes, base.strides, part.strides, strict=True)
        if size != 1 and (one is None or one != other)
    ]
    if not unlike:
        return True
    return None if any(None in pair for pair in unlike) else False


def _if_converted(step: Step, base: Kind, part: Kind) -> bool | None:
    """Whether a conversion changes nothing."""
    if base.dtype != part.dtype or step.arguments.get("copy") is True:
        return False
    if "device" in step.arguments or "other" in step.arguments:
        return None if _if_in_order(step, base, part) is not False else False
    return _if_in_order(step, base, part)


def _if_not_dropped(step: Step, base: Kind, part: Kind) -> bool | None:
    """Whether a dropout does nothing."""
    is_used, share = step.arguments.get("train"), step.arguments.get("p")
    if is_used is False or share == 0:
        return True
    return False if is_used is True and isinstance(share, float) else None


def _if_viewable(step: Step, base: Kind, part: Kind) -> bool | None:
    """Whether a tensor can have other sizes without a copy."""
    if None in (base.sizes, base.strides, part.sizes):
        return None
    assert base.sizes is not None
    assert base.strides is not None
    assert part.sizes is not None
    old = [size for size in base.sizes if isinstance(size, int)]
    steps = [stride for stride in base.strides if isinstance(stride, int)]
    new = [size for size in part.sizes if isinstance(size, int)]
    if base.sizes == part.sizes:
        return True
    if (len(old), len(steps), len(new)) != (
        len(base.sizes),
        len(base.sizes),
        len(part.sizes),
    ):
        return None
    return viewable(old, steps, new)


def viewable(old: Sequence[int], strides: Sequence[int], new: Sequence[int]) -> bool:
    """Returns whether a tensor in memory can be seen with other sizes.

    >>> viewable([2, 3], [3, 1], [6]), viewable([2, 3], [1, 2], [6])
    (True, False)
    """
    if math.prod(old) == 0:
        return True
    blocks: list[int] = []  # Sizes of axes that lie in memory one after another.
    last = None
    for size, stride in zip(old, strides, strict=True):
        if size == 1:
            continue
        if blocks and last == size * stride:
            blocks[-1] *= size
        else:
            blocks.append(size)
        last = stride
    sizes = [size for size in new if size != 1]
    for block in blocks:
        while block > 1:
            if not sizes or block % sizes[0]:
                return False
            block //= sizes.pop(0)
    return not sizes


def _if_real(step: Step, base: Kind, part: Kind) -> bool | None:
    return None if part.dtype.startswith("complex") or not part.dtype else True


def _if_real_numbers(step: Step, base: Kind, part: Kind) -> bool | None:
    return not part.dtype.startswith("complex") if part.dtype else None


_COPIES: Mapping[str, Callable[[Step, Kind, Kind], bool | None]] = {
    **dict.fromkeys(
        [
            "_autocast_to_full_precision",
            "_autocast_to_reduced_precision",
            "to",
            "type_as",
        ],
        _if_converted,
    ),
    **dict.fromkeys(
        ["alpha_dropout", "dropout", "feature_alpha_dropout", "feature_dropout"],
        _if_not_dropped,
    ),
    **dict.fromkeys(["flatten", "ravel", "reshape", "reshape_as"], _if_viewable),
    **dict.fromkeys(["resolve_conj", "resolve_neg"], _if_real),
    "conj_physical": _if_real_numbers,
    "contiguous": _if_in_order,
}
"""Op that may copy -> whether its results are views; None if that is not known."""


def source_of(step: Step) -> str:
    """Returns the name of the argument that results of an op may be views of."""
    names = ("self", "input", "A", "primal")
    return next((name for name in names if name in step.arguments), "self")
