"""Rules for products of matrices and tensors.

Rows of a product follow the first operand, and its columns follow the second one. The
axes that are summed over are needed whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from receptive_field.algebra.axis_map import (
    ANYWHERE,
    GLOBAL_BOUND,
    quotient,
    remainder,
    table,
)
from receptive_field.algebra.sizes import Size
from receptive_field.frameworks.torch.ops.operands import (
    list_of,
    related,
    shape_of,
)
from receptive_field.frameworks.torch.ops.registry import (
    place,
    register,
    sizes,
)
from receptive_field.relations.relation import (
    ALL,
    ALL_BOUND,
    FULL,
    Relation,
    follow,
    through,
    whole,
)
from receptive_field.rules.elementwise import broadcast, broadcast_relation
from receptive_field.rules.flops import multiply_adds, output_elements
from receptive_field.rules.op import (
    Call,
    Flops,
    Op,
    Relations,
    Shape,
    Taps,
    Zeros,
    first_shape,
)
from receptive_field.rules.products import (
    einsum,
    einsum_labels,
    label_sizes,
    matrix_product,
    summed_over,
)


class Labels(NamedTuple):
    """The labels of the axes of all operands and of the result, as for einsum."""

    operands: list[list[str]]
    result: list[str]


class Product:
    """The rules of a product of tensors.

    Args:
      names: the names of the operands.
      labels: returns the labels of all axes; None if a rank is unknown.
      added: the name of the first tensor, if it is added to the product, to which it
        broadcasts.
    """

    def __init__(
        self,
        names: Sequence[str],
        labels: Callable[[Call, Sequence[int]], Labels | None],
        added: str = "",
    ) -> None:
        self.names = names
        self._labels = labels
        self.added = added

    def numbers(self, call: Call) -> list[int]:
        """Returns the numbers of the inputs that hold the operands."""
        found = [place(call, name) for name in self.names]
        for name, number in zip(self.names, found, strict=True):
            if number is None:
                call.malformed(name, "a tensor")
        return [number for number in found if number is not None]

    def labels(self, call: Call) -> Labels | None:
        """Returns the labels of all axes."""
        return self._labels(call, self.numbers(call))

    def relations(self, call: Call, output: int) -> Relations:
        """Returns the relations to all inputs."""
        numbers, labels = self.numbers(call), self.labels(call)
        found: list[Relation | None] = [ALL] * len(call)
        if labels is None:
            for number in numbers:
                found[number] = call.all_of(number, exact=False)
            return found
        pair: Sequence[Relation]
        if [len(operand) for operand in labels.operands] == [2, 2] and (
            labels.result == ["i", "j"]
        ):
            swapped = labels.operands[0] == ["k", "i"], labels.operands[1] == ["j", "k"]
            pair = matrix_product(call, numbers, [(), ()], (), swapped)
        else:
            pair = einsum(call, *labels, numbers)
        for number, relation in zip(numbers, pair, strict=True):
            found[number] = relation
        added = place(call, self.added)
        if added is not None:
            (shape,) = self.shapes(call)
            found[added] = broadcast_relation(call.shape(added), shape)
        return found

    def sizes(self, call: Call) -> dict[str, Size]:
        """Returns the size of each label."""
        labels = self.labels(call)
        if labels is None:
            call.fail("has operands of unknown rank")
        return label_sizes(call, labels.operands, self.numbers(call))

    def shapes(self, call: Call) -> Sequence[Shape]:
        """Returns the shape of the product."""
        labels = self.labels(call)
        if labels is None:
            return [None]
        known = self.sizes(call)
        missing = [label for label in labels.result if label not in known]
        if missing:
            call.fail(f"has a result with the label {missing[0]!r}, which no input has")
        return [tuple(known[label] for label in labels.result)]

    def products(self, call: Call) -> Size:
        """Returns the number of products that are summed for each output element."""
        labels = self.labels(call)
        return summed_over(self.sizes(call), [] if labels is None else labels.result)

    def flops(self, call: Call) -> Flops:
        """Counts a multiply-add for each product."""
        number = self.products(call) * output_elements(call)
        if len(self.numbers(call)) == 1:
            return Flops(number - output_elements(call))
        return multiply_adds(number, False)

    def op(self) -> Op:
        """Returns the rules."""
        return Op(
            self.relations,
            self.shapes,
            products=self.products,
            added=0 if self.added else None,  # It is the first one in all ops.
            flops=self.flops,
            taps=Taps.WEIGHTS,
            zeros=None if self.added else Zeros.KEPT,
        )


def _stated(equation: str) -> Callable[[Call, Sequence[int]], Labels]:
    """Returns the labels that an equation states."""
    left, _, right = equation.partition("->")
    operands = [list(term) for term in left.split(",")]
    return lambda call, numbers: Labels(operands, list(right))


register("mm", Product(("self", "mat2"), _stated("ik,kj->ij")).op())
register("bmm", Product(("self", "mat2"), _stated("bik,bkj->bij")).op())
register("mv", Product(("self", "vec"), _stated("ik,k->i")).op())
register("dot", Product(("self", "tensor"), _stated("k,k->")).op())
register("vdot", Product(("self", "other"), _stated("k,k->")).op())
register("addmm", Product(("mat1", "mat2"), _stated("ik,kj->ij"), "self").op())
register(
    "_addmm_activation", Product(("mat1", "mat2"), _stated("ik,kj->ij"), "self").op()
)
register("addmv", Product(("mat", "vec"), _stated("ik,k->i"), "self").op())
register("addr", Product(("vec1", "vec2"), _stated("i,j->ij"), "self").op())
register("baddbmm", Product(("batch1", "batch2"), _stated("bik,bkj->bij"), "self").op())
register("addbmm", Product(("batch1", "batch2"), _stated("bik,bkj->ij"), "self").op())
register("outer ger", Product(("self", "vec2"), _stated("i,j->ij")).op())


def _outer(count: int) -> list[str]:
    return [f"...{i}" for i in range(-count, 0)]


def _matrices(call: Call, numbers: Sequence[int]) -> Labels | None:
    """Returns the labels of a product of two stacks of matrices, or of vectors."""
    left, right = (call.shape(number) for number in numbers)
    if left is None or right is None:
        return None
    if not left or not right:
        call.fail("multiplies a scalar, but requires at least one axis")
    batch = [_outer(max(len(shape) - 2, 0)) for shape in (left, right)]
    rows, columns = ["i"][: len(left) - 1], ["j"][: len(right) - 1]
    operands = [[*batch[0], *rows, "k"], [*batch[1], "k", *columns]]
    return Labels(operands, [*max(batch, key=len), *rows, *columns])


register("matmul linalg_matmul", Product(("self", "other"), _matrices).op())


def _rows(call: Call, numbers: Sequence[int]) -> Labels | None:
    """Returns the labels of a product of rows with a transposed matrix of weights."""
    rank, weight = call.shape(numbers[0]), call.shape(numbers[1])
    if rank is None or weight is None:
        return None
    columns = ["j"][: len(weight) - 1]
    if len(rank) == 2:
        return Labels([["i", "k"], [*columns, "k"]], ["i", *columns])
    outer = _outer(len(rank) - 1)
    return Labels([[*outer, "k"], [*columns, "k"]], [*outer, *columns])


register("linear", Product(("input", "weight"), _rows, "bias").op())


def _inner(call: Call, numbers: Sequence[int]) -> Labels | None:
    shapes = [call.shape(number) for number in numbers]
    if any(shape is None for shape in shapes):
        return None
    before = [f"a{i}" for i in range(len(shapes[0] or ()) - 1)]
    after = [f"b{i}" for i in range(len(shapes[1] or ()) - 1)]
    return Labels([[*before, "k"], [*after, "k"]], [*before, *after])


register("inner", Product(("self", "other"), _inner).op())


def _bilinear(call: Call, numbers: Sequence[int]) -> Labels | None:
    """Returns the labels of two stacks of vectors, and of the weights between them."""
    shape = call.shape(numbers[0])
    if shape is None:
        return None
    outer = _outer(len(shape) - 1)
    return Labels([[*outer, "k"], [*outer, "l"], ["j", "k", "l"]], [*outer, "j"])


register("bilinear", Product(("input1", "input2", "weight"), _bilinear, "bias").op())


def _contracted(call: Call, numbers: Sequence[int]) -> Labels | None:
    """Returns the labels of a product that sums over pairs of axes."""
    shapes = [call.shape(number) for number in numbers]
    if any(shape is None for shape in shapes):
        return None
    ranks = [len(shape or ()) for shape in shapes]
    operands = [
        [f"{letter}{axis}" for axis in range(rank)]
        for letter, rank in zip("ab", ranks, strict=True)
    ]
    stated = [sizes(call, name) or [] for name in ("dims_self", "dims_other")]
    for number, (one, two) in enumerate(zip(*stated, strict=True)):
        places = [call.axis(a or 0, r) for a, r in zip((one, two), ranks, strict=True)]
        for operand, axis in zip(operands, places, strict=True):
            operand[axis] = f"k{number}"
    result = [label for operand in operands for label in operand if label[0] != "k"]
    return Labels(operands, result)


register("tensordot", Product(("self", "other"), _contracted).op())

# --- Products of lists of tensors ----------------------------------------------------


class Einsum(Product):
    """The rules of a product that an equation describes."""

    def __init__(self) -> None:
        super().__init__((), lambda call, numbers: None)

    def numbers(self, call: Call) -> list[int]:
        """Returns the numbers of the inputs that hold the operands."""
        return list_of(call, "tensors")

    def labels(self, call: Call) -> Labels:
        """Returns the labels of all axes.

        If an equation does not state the result, the result has the axes of the
        ellipsis, and then all labels that occur once, in alphabetical order.
        """
        equation = call.text("equation").replace(" ", "")
        if "->" not in equation:
            letters = equation.replace(",", "").replace(".", "")
            once = sorted(label for label in letters if letters.count(label) == 1)
            dots = "..." if "..." in equation else ""
            equation = f"{equation}->{dots}{''.join(once)}"
        return Labels(*einsum_labels(call, equation))


register("einsum", Einsum().op())


class Chain(Product):
    """The rules of a product of several matrices; the ends may be vectors."""

    def __init__(self, name: str) -> None:
        super().__init__((), lambda call, numbers: None)
        self.name = name

    def numbers(self, call: Call) -> list[int]:
        """Returns the numbers of the inputs that hold the matrices."""
        return list_of(call, self.name)

    def labels(self, call: Call) -> Labels | None:
        """Returns the labels of all axes."""
        shapes = [call.shape(number) for number in self.numbers(call)]
        if any(shape is None for shape in shapes):
            return None
        operands = [[f"k{i}", f"k{i + 1}"] for i in range(len(shapes))]
        if len(shapes[0] or ()) == 1:
            operands[0] = ["k1"]
        if len(shapes[-1] or ()) == 1:
            operands[-1] = operands[-1][:1]
        ends = (f"k{0}", f"k{len(shapes)}")
        result = [label for o in operands for label in o if label in ends]
        return Labels(operands, result)


register("linalg_multi_dot", Chain("tensors").op())
register("chain_matmul", Chain("matrices").op())

# --- Products without sums -----------------------------------------------------------


def _kron(call: Call, output: int) -> Relations:
    """Relates blocks to the first tensor, and places in blocks to the second one."""
    one, two = call.known_shape(0), call.known_shape(1)
    if len(one) != len(two) or not all(isinstance(size, int) for size in two):
        return [call.all_of(number, exact=False) for number in range(2)]
    inner = [int(size) for size in two]  # type: ignore[arg-type]
    return [
        Relation(tuple(follow(a, quotient(s)) for a, s in enumerate(inner))),
        Relation(tuple(follow(a, remainder(s)) for a, s in enumerate(inner))),
    ]


def _kron_shape(call: Call) -> Sequence[Shape]:
    one, two = call.known_shape(0), call.known_shape(1)
    rank = max(len(one), len(two))
    sizes_of = [(1,) * (rank - len(shape)) + shape for shape in (one, two)]
    return [tuple(a * b for a, b in zip(*sizes_of, strict=True))]


register("kron", Op(_kron, _kron_shape, taps=Taps.FACTOR))


def _crossed(call: Call, output: int) -> Relations:
    """Relates products of vectors of three numbers to both vectors."""
    shapes = [shape_of(call, name) for name in ("self", "other")]
    shape = broadcast(call, *shapes)
    if shape is None:
        return [call.all_of(number, exact=False) for number in range(len(call))]
    axis = call.attribute("dim")
    if axis is None and call.node.op == "cross":
        axis = next((a for a, s in enumerate(shape) if s == 3), -1)
    above = call.axis(-1 if axis is None else axis, len(shape))
    vectors = Relation(
        tuple(whole([a]) if a == above else follow(a) for a in range(len(shape)))
    )
    found = [through(vectors, broadcast_relation(below, shape)) for below in shapes]
    return related(call, dict(zip(("self", "other"), found, strict=True)))


def _crossed_shape(call: Call) -> Sequence[Shape]:
    return [broadcast(call, *[shape_of(call, name) for name in ("self", "other")])]


register("cross linalg_cross", Op(_crossed, _crossed_shape))

# --- Matrices ------------------------------------------------------------------------


def _matrix(call: Call, output: int) -> Relations:
    """Relates functions of matrices, which need all of a matrix."""
    found: list[Relation | None] = []
    for number in range(len(call)):
        rank = len(call.known_shape(number))
        if rank < 2:
            found.append(call.all_of(number, exact=False))
            continue
        last = (whole([axis], GLOBAL_BOUND) for axis in range(rank - 2, rank))
        found.append(Relation((*map(follow, range(rank - 2)), *last)))
    return found


register(
    "inverse linalg_inv linalg_matrix_exp linalg_matrix_power linalg_pinv matrix_exp "
    "matrix_power pinverse cholesky linalg_cholesky cholesky_inverse",
    Op(_matrix, first_shape),
)


def _of_matrix(call: Call, output: int) -> Relations:
    """Relates numbers of each matrix to all of the matrix."""
    rank = len(call.known_shape(0))
    if rank < 2:
        call.fail(f"requires matrices, but its input has rank {rank}")
    both = (FULL, FULL)
    return [Relation((*map(follow, range(rank - 2)), *both))]


def _of_matrix_shape(call: Call) -> Sequence[Shape]:
    return [call.known_shape(0)[:-2]]


register("det linalg_det logdet", Op(_of_matrix, _of_matrix_shape))


def _trace(call: Call, output: int) -> Relations:
    return [ALL_BOUND]


register("trace", Op(_trace, lambda call: [()]))


def _decomposed(call: Call, output: int) -> Relations:
    """Relates parts of matrices to all of the inputs, as a bound."""
    found: list[Relation] = []
    for number in range(len(call)):
        shape = call.shape(number)
        if shape is None:
            found.append(call.all_of(number, exact=False))
        else:
            found.append(Relation((whole([], GLOBAL_BOUND),) * len(shape)))
    return found


register(
    "linalg_eig linalg_eigh linalg_eigvals linalg_eigvalsh linalg_lu linalg_lu_factor "
    "linalg_lstsq linalg_matrix_rank linalg_qr linalg_slogdet "
    "linalg_solve_triangular linalg_svd linalg_svdvals "
    "linalg_inv_ex linalg_cholesky_ex cholesky_solve linalg_cond linalg_ldl_factor "
    "linalg_tensorinv linalg_tensorsolve linalg_vander qr svd triangular_solve",
    Op(_decomposed, None),
)


def _solved(call: Call, output: int) -> Relations:
    """Relates solutions of stacks of equations to both sides, as a bound."""
    ranks = {len(call.known_shape(number)) for number in range(len(call))}
    is_stack = len(ranks) == 1 and not output
    return (_matrix if is_stack else _decomposed)(call, output)


def _solved_shapes(call: Call) -> Sequence[Shape]:
    return [call.shape(1), *[None] * (len(call.node.definition.kinds) - 1)]


register("linalg_solve linalg_solve_ex", Op(_solved, _solved_shapes))

# --- Distances -----------------------------------------------------------------------


def _distances(call: Call, output: int) -> Relations:
    """Relates distances between all pairs of two stacks of vectors."""
    labels = _pairs(call)
    if labels is None:
        return [call.all_of(number, exact=False) for number in range(len(call))]
    return einsum(call, *labels)


def _pairs(call: Call) -> Labels | None:
    one, two = call.shape(0), call.shape(1)
    if one is None or two is None:
        return None
    outer = [_outer(len(shape) - 2) for shape in (one, two)]
    operands = [[*outer[0], "i", "k"], [*outer[1], "j", "k"]]
    return Labels(operands, [*max(outer, key=len), "i", "j"])


def _distances_shape(call: Call) -> Sequence[Shape]:
    labels = _pairs(call)
    if labels is None:
        return [None]
    known = label_sizes(call, labels.operands)
    return [tuple(known[label] for label in labels.result)]


def _distances_flops(call: Call) -> Flops:
    labels = _pairs(call)
    if labels is None:
        call.fail("has operands of unknown rank")
    depth = label_sizes(call, labels.operands)["k"]
    return multiply_adds(depth * output_elements(call), False)


register(
    "cdist _cdist_forward _euclidean_dist",
    Op(_distances, _distances_shape, flops=_distances_flops),
)
register("dist", Op(lambda call, output: [ALL, ALL], lambda call: [()]))


def _self_distances(call: Call) -> Sequence[Shape]:
    rows = call.known_shape(0, 2)[0]
    return [(rows * (rows - 1) // 2,)]


register("pdist _pdist_forward", Op(_decomposed, _self_distances))

# --- Embeddings ----------------------------------------------------------------------


def _embedded(call: Call, output: int) -> Relations:
    """Relates vectors of words to the numbers of the words."""
    shape = shape_of(call, "indices")
    if shape is None:
        return [call.all_of(number, exact=False) for number in range(len(call))]
    return related(call, {"indices": Relation(tuple(map(follow, range(len(shape)))))})


def _embedded_shape(call: Call) -> Sequence[Shape]:
    shape, weight = shape_of(call, "indices"), shape_of(call, "weight")
    if shape is None or weight is None:
        return [None]
    return [(*shape, *weight[1:])]


register("embedding", Op(_embedded, _embedded_shape))


def _bagged(call: Call, output: int) -> Relations:
    """Relates the sum of each bag to its words, from one offset up to the next."""
    shape, offsets = shape_of(call, "indices"), _offsets(call)
    if shape is None or len(shape) != 1:
        return [call.all_of(number, exact=False) for number in range(len(call))]
    if output or offsets is None or not isinstance(shape[0], int):
        seen = whole([0], ANYWHERE)
    else:
        ends = [*offsets[1:], *([] if _has_end(call) else [shape[0]])]
        windows = [
            (first, end - 1) if end > first else None
            for first, end in zip(offsets, ends, strict=False)
        ]
        seen = follow(0, table(windows))
    words = Relation((seen,))
    return related(call, {"indices": words, "per_sample_weights": words})


def _has_end(call: Call) -> bool:
    return call.flag("include_last_offset")


def _offsets(call: Call) -> list[int] | None:
    number = place(call, "offsets")
    found = None if number is None else call.integers(number)
    if found is None:
        return None
    known = [offset for offset in found if isinstance(offset, int)]
    return known if len(known) == len(found) else None


def _bagged_shape(call: Call) -> Sequence[Shape]:
    offsets, weight = shape_of(call, "offsets"), shape_of(call, "weight")
    if offsets is None or weight is None:
        return [None]
    bags = offsets[0] - 1 if _has_end(call) else offsets[0]
    return [(bags, weight[1])]


register(
    "embedding_bag _embedding_bag _embedding_bag_forward_only",
    Op(_bagged, _bagged_shape),
)
