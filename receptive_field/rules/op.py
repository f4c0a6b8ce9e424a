"""The rules of an op type (`Op`), and a rule's view of a node (`Call`).

Each op type has one `Op`. It gives the relation between outputs and inputs, the shapes
of the outputs and, if they can be known, their constant values. Each framework has its
own table, which maps op types to rules that read the attributes of its ops.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from typing import Any, NamedTuple, NoReturn, Protocol, TypeAlias, TypeVar

from receptive_field.algebra.sizes import (
    Size,
    Symbolic,
    bounds,
    can_agree,
    in_words,
    unknown,
)
from receptive_field.arrays import np
from receptive_field.errors import GraphError, ReceptiveFieldError, quoted
from receptive_field.graph.graph import Graph, Node, Tensor
from receptive_field.relations.relation import ALL, ALL_BOUND, SAME, Relation

Shape = tuple[Size, ...] | None
"""The sizes of a tensor; None if not even its rank is known."""

StatedShape = tuple[int | None, ...] | None
"""A shape as recorded in the graph: an unknown size, or an unknown shape, is None."""

Value: TypeAlias = "np.ndarray[Any, Any] | None"
"""A constant array of numbers, or None if the value is unknown.

The array holds Python objects if some of the numbers are symbolic sizes."""


T = TypeVar("T")

MOST_AXES = 254
"""The most axes of a tensor, in the framework that allows the most (TensorFlow)."""


class Knowledge(Protocol):
    """The facts about the graph's tensors that a rule can look up."""

    def shape(self, tensor: Tensor) -> Shape:
        """Returns the shape of a tensor, as far as it is known."""

    def value(self, tensor: Tensor) -> Value:
        """Returns the constant value of a tensor, or None if it is not known."""

    def integers(self, tensor: Tensor) -> list[Size] | None:
        """Returns the constant value of a tensor as a flat list, or None if unknown."""

    def output_count(self, index: int) -> int | None:
        """Returns how many outputs a node has; None if its op has no rule."""

    @property
    def trains_batch_norm(self) -> bool:
        """Whether training-mode batch normalisation is analysed in training mode.

        Otherwise, it is analysed in inference mode.
        """

    @property
    def worked_out(self) -> dict[int, Any]:
        """Results that rules store for reuse, each under the index of its node."""

    @property
    def disagreements(self) -> set[str]:
        """Names of nodes where `Call.meet` found sizes that are only sometimes equal.

        Such sizes are equal for some input sizes and differ for others.
        """

    @property
    def exceeded(self) -> dict[int, dict[Symbolic, int]]:
        """For each node's index, the unknown sizes that its rule assumes to be large.

        Each size comes with a number that it must exceed.
        """

    @property
    def is_strict(self) -> bool:
        """Whether `Call.meet` also rejects unequal sizes with a bounded difference."""

    @property
    def given(self) -> Mapping[Tensor, Shape]:
        """The shapes that the question states, such as that of the input."""


class Sight(Protocol):
    """The facts that a rule can look up about the input of the question."""

    def carries(self, tensor: Tensor) -> bool:
        """Returns whether a tensor depends on the input of the question."""

    def is_alike(self, one: Tensor, two: Tensor) -> bool:
        """Returns whether two tensors see the same positions.

        The positions are those of the tensor where all paths from the two tensors meet.
        """


class Call:
    """A node as seen by its rule: attributes, and known facts about its inputs."""

    __slots__ = ("knowledge", "node", "sight")

    def __init__(
        self, node: Node, knowledge: Knowledge, sight: Sight | None = None
    ) -> None:
        self.node = node
        self.knowledge = knowledge
        self.sight = sight
        """None if the result does not depend on which input the question is about."""

    def __len__(self) -> int:
        """Returns the number of data inputs."""
        return len(self.node.inputs)

    def shape(self, number: int) -> Shape:
        """Returns the shape of an input; None if its rank is unknown."""
        return self.knowledge.shape(self.input(number))

    def output_shape(self, number: int = 0) -> Shape:
        """Returns the shape of an output; None if its rank is unknown."""
        return self.knowledge.shape((self.node.index, number))

    def known_shape(self, number: int, rank: int | None = None) -> tuple[Size, ...]:
        """Returns the shape of an input, which must have rank ``rank`` if given.

        An input of unknown rank is assumed to have ``rank`` axes of unknown size.

        Raises:
          GraphError: if the rank is not ``rank``, or is unknown and ``rank`` is None.
        """
        shape = self.shape(number)
        if shape is None:
            if rank is None:
                self.fail(
                    f"cannot be analysed: the rank of {self.name(number)} is unknown"
                )
            return tuple(
                unknown(f"{self.name(number)}[{axis}]") for axis in range(rank)
            )
        if rank is not None and len(shape) != rank:
            self.fail(
                f"requires an input of rank {rank}, but {self.name(number)} has rank "
                f"{len(shape)}"
            )
        return shape

    def value(self, number: int) -> Value:
        """Returns the constant value of an input, or None if it is not known."""
        return self.knowledge.value(self.input(number))

    def input(self, number: int) -> Tensor:
        """Returns the tensor that is read as input ``number``.

        Raises:
          GraphError: if the node has no input with this number.
        """
        try:
            return self.node.inputs[number]
        except IndexError:
            self.fail(f"has {len(self)} inputs, but requires at least {number + 1}")

    def relations(self, op: Op, output: int) -> Relations:
        """Returns the relations of an output to all inputs, as given by ``op``.

        Raises:
          GraphError: if the rule fails, or covers fewer inputs than the node has.
        """
        if op.relations is None:
            return [None] * len(self)
        found = op.relations(self, output)
        if len(found) < len(self):
            self.fail(f"has {len(self)} inputs, but its rule covers only {len(found)}")
        return found

    def is_constant(self, number: int) -> bool:
        """Returns whether an input is known to be constant, even if its value is not.

        For example, a tensor of zeros is constant even if its batch size is unknown.
        """
        if self.value(number) is not None:
            return True
        index, output = self.input(number)
        below = Call(self.node.graph.nodes[index], self.knowledge)
        op = rule_of(below.node)
        if op is None or not len(below):
            return False
        try:
            relations = below.relations(op, output)
        except ReceptiveFieldError:
            return False
        return all(
            r is None or below.value(i) is not None for i, r in enumerate(relations)
        )

    def carries(self, number: int) -> bool:
        """Returns whether an input may depend on the input of the question."""
        return self.sight is None or self.sight.carries(self.input(number))

    def is_alike(self, one: int, two: int) -> bool:
        """Returns whether two inputs see the same positions.

        The positions are those of the tensor where all paths from the two inputs meet.
        Without a `Sight`, the answer is always True.
        """
        if self.sight is None:
            return True
        known = self.once(dict[tuple[int, int], bool])
        if (one, two) not in known:
            known[one, two] = self.sight.is_alike(self.input(one), self.input(two))
        return known[one, two]

    def varies(self, condition: Tensor) -> bool:
        """Returns whether a condition depends on the input, or on random numbers.

        Without a `Sight`, the answer is always True.
        """
        if self.sight is None or self.sight.carries(condition):
            return True
        graph = self.node.graph
        seen, waiting = set[int](), [condition[0]]
        while waiting:
            index = waiting.pop()
            op = rule_at(graph, index)
            if op is not None and op.is_random:
                return True
            if index not in seen and (op is None or op.relations is not None):
                waiting += [read for read, _ in graph.inputs[index]]
            seen.add(index)
        return False

    def integers(self, number: int) -> list[Size] | None:
        """Returns the constant value of an input as a flat list, or None if unknown.

        The list is a copy, which the caller may change.
        """
        found = self.knowledge.integers(self.input(number))
        return None if found is None else list(found)

    def integer(self, number: int) -> int | None:
        """Returns the constant value of an input with one element.

        Returns None if the value is unknown, or the input does not hold one integer.
        """
        values = self.integers(number)
        if values is None or len(values) != 1 or not isinstance(values[0], int):
            return None
        return values[0]

    @property
    def trains_batch_norm(self) -> bool:
        """Whether training-mode batch normalisation is analysed in training mode."""
        return self.knowledge.trains_batch_norm

    def attribute(self, name: str, default: Any = None) -> Any:
        """Returns an attribute as a plain Python value, or ``default`` if missing."""
        return self.node.attribute(name, default)

    def text(self, name: str, default: str = "") -> str:
        """Returns an attribute that must be a string."""
        value = self.node.attribute(name, default)
        if type(value) is not str:
            self.malformed(name, "a string")
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        """Returns an attribute that must be a boolean."""
        value = self.node.attribute(name, default)
        if type(value) is not bool:
            self.malformed(name, "true or false")
        return value

    def number(self, name: str, default: int | None = None) -> int:
        """Returns an attribute that must be an integer or the number of a data type."""
        value = self.node.attribute(name, default)
        if type(value) is not int:
            self.malformed(name, "an integer")
        return value

    def numbers(self, name: str, default: list[int] | None = None) -> list[int] | None:
        """Returns an attribute that must be a list of integers, if it is present."""
        value: list[int] | None = self.node.attribute(name, default)
        if value is not None and (
            type(value) is not list or (value and type(value[0]) is not int)
        ):
            self.malformed(name, "a list of integers")
        return value

    def malformed(self, name: str, what: str) -> NoReturn:
        """Raises an error about an attribute that is missing or has the wrong type.

        Raises:
          GraphError: always.
        """
        if self.attribute(name) is None:
            self.fail(f"has no attribute {name}")
        found = quoted(repr(self.attribute(name)))
        self.fail(f"is malformed: its {name} is {found}, not {what}")

    def axis(self, axis: Size, rank: int) -> int:
        """Returns an axis of a tensor of this rank, counted from the front.

        Raises:
          GraphError: if the tensor has no such axis.
        """
        if not isinstance(axis, int) or not -rank <= axis < rank:
            self.fail(
                f"refers to axis {axis}, which a tensor of rank {rank} does not have"
            )
        return axis % rank

    def name(self, number: int) -> str:
        """Returns the name of an input tensor."""
        return self.node.graph.name_of(self.input(number))

    def once(self, work: Callable[[], T]) -> T:
        """Returns the result of ``work``, which runs only once for each node.

        Later calls for the same node return the first result, whatever ``work`` they
        pass.
        """
        kept = self.knowledge.worked_out
        if self.node.index not in kept:
            kept[self.node.index] = work()
        found: T = kept[self.node.index]
        return found

    def meet(self, sizes: Sequence[Size]) -> None:
        """Checks that sizes can be equal; a size of 1 fits any other size.

        Unknown sizes that are only sometimes equal are recorded in `disagreements`.
        Unknown sizes that are never equal, but have a bounded difference, are an error
        only if `is_strict`. Otherwise, they are accepted, because a question with a
        known input size can look for a padding that makes them equal. Two known sizes
        are not compared.

        Raises:
          GraphError: if an unknown size can never be equal to the first size, or the
            first size is unknown and can never be equal to another.
        """
        for size in sizes[1:]:
            pair = sizes[0], size
            if 1 in pair or not any(isinstance(s, Symbolic) for s in pair):
                continue
            agree = can_agree(*pair)
            if agree is None:
                self.knowledge.disagreements.add(self.node.name)
            elif not agree and (self.knowledge.is_strict or not _is_near(*pair)):
                one, two = map(in_words, pair)
                self.fail(
                    f"does not fit: for an input of n positions, maps of {one} and "
                    f"{two} positions meet, and the two sizes differ for every large n"
                )

    def exceeds(self, size: Symbolic, number: int) -> None:
        """Records that the rule holds only if an unknown size exceeds a number.

        Nothing is recorded if it always does.
        """
        limits = bounds(size)
        if limits is not None and limits[0] > number:
            return
        known = self.knowledge.exceeded.setdefault(self.node.index, {})
        known[size] = max(known.get(size, 0), number)

    def unknown_size(self, axis: int, number: int = 0) -> Symbolic:
        """Returns a new symbol for the unknown size of an output's axis."""
        return unknown(f"{self.node.graph.name_of((self.node.index, number))}[{axis}]")

    def unknown_shape(self, listed: Shape) -> Shape:
        """Returns the shape of an output whose sizes a vector of unknown values lists.

        Args:
          listed: the shape of the vector.

        Raises:
          GraphError: if the vector is so long that no tensor has as many axes.
        """
        if not listed or not isinstance(listed[0], int):
            return None
        self.check_rank(listed[0])
        return tuple(self.unknown_size(axis) for axis in range(listed[0]))

    def check_rank(self, rank: int) -> None:
        """Raises an error if no tensor has as many axes."""
        if rank > MOST_AXES:
            self.fail(f"has a tensor of {rank} axes, which none can have")

    def named_shape(self, sizes: StatedShape, number: int = 0) -> Shape:
        """Returns the shape of an output, with a symbol for each unknown size."""
        if sizes is None:
            return None
        if None not in sizes:
            return tuple(sizes)  # type: ignore[arg-type]
        return tuple(
            self.unknown_size(axis, number) if size is None else size
            for axis, size in enumerate(sizes)
        )

    def unknown_offset(self, axis: int, number: int = 0) -> Hashable:
        """Returns a key that identifies the unknown distance by which an axis moves."""
        return self.node.name, number, axis

    def all_of(self, number: int, exact: bool = True) -> Relation:
        """Returns the relation to an input, of any rank, whose elements all matter."""
        self.input(number)  # Raises if there is no such input.
        return ALL if exact else ALL_BOUND

    def fail(self, reason: str) -> NoReturn:
        """Raises an error that names this node.

        Raises:
          GraphError: always.
        """
        raise GraphError(f"{self.node.op} node {self.node.name!r} {reason}.")


def _is_near(one: Size, two: Size) -> bool:
    """Returns whether the difference between two sizes is bounded."""
    return bounds(one - two) is not None


def exact(number: Any) -> Any:
    """Returns a float with an integer value as an int, and other numbers unchanged."""
    if isinstance(number, float) and number.is_integer():
        return int(number)
    return number


class Window(NamedTuple):
    """The parameters of a convolution or pooling layer on one axis."""

    kernel: int
    stride: int
    padding: int | None
    """The padding before the axis; None if it depends on an unknown size."""
    total_padding: int | None
    """The padding before and after the axis; None if it depends on an unknown size."""
    dilation: int = 1
    follows_size: bool = False
    """Whether the padding is chosen to give ceil(size / stride) output positions."""
    extra_before: bool = False
    """Whether such a padding, if it is odd, has its extra position before the axis."""
    least: int | None = 0
    """The smallest total of such a padding; None if a stride longer than the kernel
    makes it negative."""
    undilated: bool = False
    """Whether such a padding is that of the kernel without its dilation."""
    rounds_up: bool = False
    """Whether a last window counts that reaches past the padding behind the axis."""
    rounded: int = 0
    """How many positions of ``total_padding`` stand for the end of this window."""

    @property
    def extent(self) -> int:
        """The number of positions that the dilated kernel spans."""
        return self.dilation * (self.kernel - 1) + 1

    @property
    def padded_extent(self) -> int:
        """The number of positions that SAME padding takes the kernel to span."""
        return self.kernel if self.undilated else self.extent

    @property
    def fewer(self) -> int:
        """How many positions SAME padding lacks because the kernel spans more."""
        beyond = self.extent - self.padded_extent
        return (beyond + (0 if self.rounds_up else self.stride - 1)) // self.stride


class Flops(NamedTuple):
    """The number of floating-point operations of a node; see `rules.flops`."""

    total: Size
    multiply_adds: Size = 0
    """The number of multiply-adds in ``total``; each counts as two operations."""
    profiled: Size | Fraction | None = None
    """The count of TensorFlow's profiler; None if the profiler has no formula."""

    @classmethod
    def alike(cls, total: Size, profiled: bool = True) -> Flops:
        """Returns a count of operations that are not multiply-adds.

        ``profiled`` says whether the profiler has a formula for the op. If so, the
        profiler's count is the same.
        """
        return cls(total, 0, total if profiled else None)

    def plus(self, operations: Size) -> Flops:
        """Returns a copy with further operations that the profiler does not count."""
        return self._replace(total=self.total + operations)


class Taps(Enum):
    """How an op weights the positions of a window (for effective receptive fields)."""

    COPY = "copy"
    """Positions are passed on unchanged: moved, added, or picked one by one."""
    FACTOR = "factor"
    """Like `COPY`, unless several inputs depend on the input of the question."""
    CHOICE = "choice"
    """At each position, one of several inputs is passed on unchanged."""
    ACTIVATION = "activation"
    """Like `COPY`, times a derivative with either sign and a magnitude of about one."""
    SUM = "sum"
    """Positions are added up."""
    MEAN = "mean"
    """The positions inside the feature map are averaged."""
    WEIGHTS = "weights"
    """Each position has its own weights, which are the same in every window."""
    WINNER = "winner"
    """One position is passed on; the values decide which one."""


class Zeros(Enum):
    """How zeros in the inputs of an op affect its output."""

    KEPT = "kept"
    """An output position is zero if everything that it reads is zero."""
    SUM = "sum"
    """Like `KEPT`, but constants that are added are taken to be nonzero."""
    BESIDE = "beside"
    """Like `KEPT`, but an output position is assumed to be nonzero unless it is read
    from an input that depends on the input of the question."""
    FILLED = "filled"
    """The output is nonzero everywhere."""


Coefficients = Mapping[int, "np.ndarray[Any, np.dtype[np.float64]]"]
"""The weight of each position on some axes of an input.

Each array is indexed [output position, input position].
"""


Relations = Sequence[Relation | None]
"""One relation per data input; None for an input whose values do not matter."""


class Op(NamedTuple):
    """The rules of one op type."""

    relations: Callable[[Call, int], Relations] | None
    """The relations of the output with the given number to each data input; None if the
    values of the inputs do not matter."""
    shapes: Callable[[Call], Sequence[Shape]] | None
    """The shapes of the outputs; None if they are unknown."""
    values: Callable[[Call], Sequence[Value]] | None = None
    """The constant values of the outputs, as far as they can be known."""
    numbers: Callable[[Call], Sequence[Any] | None] | None = None
    """The value of the first output as a flat list, if it can be read without NumPy."""
    values_need_shapes: bool = False
    """Whether `values` needs the shapes of the inputs instead of their values."""
    layout: Callable[[Call], tuple[int, Sequence[int]]] | None = None
    """The number of the data input, and its spatial axes: (y, x) for an image."""
    windows: Callable[[Call], Sequence[Window]] | None = None
    """Kernel, stride and padding per spatial axis (y, x); None for ops without them. A
    call that has none, although others of its op type do, has an empty list."""
    stretched: Callable[[Call], Sequence[Window]] | None = None
    """For a transposed convolution: the windows of the convolution that it reverses,
    which slide over its output. None for other ops."""
    products: Callable[[Call], Size] | None = None
    """The number of products with a weight that each element of the output sums up."""
    added: int | None = None
    """The number of an optional input that is added to the sums of products."""
    flops: Callable[[Call], Flops] | None = None
    """The floating-point operations of all outputs together; None if there are none."""
    rounds: Callable[[Call], int | None] | None = None
    """For a loop: the number of its iterations, if that is known."""
    folded: Callable[[Call], tuple[Node, Size] | None] | None = None
    """For an op that moves positions from the batch back to their axes: the layer whose
    input was folded into the batch, and the number of elements that this layer would
    compute without the folding."""
    weights: Callable[[Call], Size] | None = None
    """The number of trained parameters that the node reads, from a variable or, in a
    frozen graph, from a constant."""
    reads: Callable[[Call], Sequence[Tensor]] | None = None
    """The inputs that the node reads, which decide the shapes and values; None if it
    reads all of them."""
    shapes_by_first: bool = False
    """Whether the first input alone decides the shapes."""
    may_be_handle: bool = False
    """Whether an output may be the handle of a variable or a list. A recorded shape
    without axes may then be that of the handle instead of the value behind it."""
    is_pointwise: bool = False
    """Whether each output element depends only on elements at the same position."""
    condition: int | None = None
    """The number of the input that decides which of the outputs is computed."""
    chooses: bool = False
    """Whether the rule asks whether inputs are alike (`Call.is_alike`)."""
    is_random: bool = False
    """Whether the values are drawn at random."""
    places: Sequence[int] = ()
    """The numbers of the outputs whose values are places in an input. In a part of this
    input, the same things have other places."""
    uses_batch: Callable[[Call], bool] | None = None
    """Whether the node normalises with the statistics of its own input, over the batch
    and all positions, although the analysis treats them as constants."""
    reshapes: bool = False
    """Whether the node only gives its first input the shape that another input says."""
    starts_over: bool = False
    """Whether the node takes a loop back to its beginning for the next iteration."""
    clamps: bool = False
    """Whether the op reads the nearest border position of its first input instead of
    any position outside that input."""
    taps: Taps | None = None
    """How the positions of a window are weighted; None if this is unknown."""
    coefficients: Callable[[Call], Coefficients] | None = None
    """The weights of individual positions of the first input, if they differ."""
    zeros: Zeros | Callable[[Call], Zeros | None] | None = None
    """How zeros in the inputs affect the output; None if this is unknown."""
    absorbing: Sequence[int] = ()
    """The inputs that make the output zero where they are zero, whatever the other
    inputs are."""
    signs: Sequence[int] = ()
    """The signs of inputs that are added up, if some are negative."""


def rule_of(node: Node) -> Op | None:
    """Returns the rules that the caller stated for a node, or those of its op type."""
    return node.stated or node.graph.rules.get(node.op)


def rule_at(graph: Graph, index: int) -> Op | None:
    """Returns the rules of the node with this index, without creating its object."""
    node = graph.nodes.get(index)  # Only a node with an object can have stated rules.
    if node is None:
        return graph.rules.get(graph.nodes.definitions[index].op)
    return node.stated or graph.rules.get(node.op)


def same(call: Call, output: int) -> Relations:
    """Returns relations in which each position follows itself in every input."""
    return [SAME] * len(call)


@dataclass(frozen=True, slots=True)
class LikeInput:
    """The rule that the only output has the shape of one of the inputs."""

    number: int

    def __call__(self, call: Call) -> Sequence[Shape]:
        """Returns the shape of the output."""
        return [call.shape(self.number)]


first_shape = LikeInput(0)
"""The rule that the only output has the shape of the first input."""


def scalar(call: Call) -> Sequence[Shape]:
    """Returns the shape of an output without axes."""
    return [()]
