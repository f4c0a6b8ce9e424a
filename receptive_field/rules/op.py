"""What a rule is, and what it gets to see.

For each op type there is one `Op`: how its outputs relate to its inputs, the shapes
and, where they can be told, the constant values of its outputs. Which op types there
are, and what their attributes are called, the tables of the frameworks say.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
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
from receptive_field.errors import GraphError, ReceptiveFieldError
from receptive_field.graph.graph import Graph, Node, Tensor
from receptive_field.relations.relation import ALL, ALL_BOUND, SAME, Relation

Shape = tuple[Size, ...] | None
"""The sizes of a tensor; None if not even its rank is known."""

StatedShape = tuple[int | None, ...] | None
"""A shape as the graph states it: None for sizes, or a rank, that are not known."""

Value: TypeAlias = "np.ndarray[Any, Any] | None"
"""A constant: numbers, or Python objects where some are symbolic sizes."""


T = TypeVar("T")


class Knowledge(Protocol):
    """Where a rule's knowledge of other tensors comes from."""

    def shape(self, tensor: Tensor) -> Shape:
        """The shape of a tensor, as far as it is known."""

    def value(self, tensor: Tensor) -> Value:
        """The constant value of a tensor, if it is known."""

    def integers(self, tensor: Tensor) -> list[Size] | None:
        """The constant value of a tensor as a flat list, if it is known."""

    def output_count(self, index: int) -> int | None:
        """How many outputs a node has; None if its op has no rule."""

    @property
    def trains_batch_norm(self) -> bool:
        """Whether a batch normalisation may look at the whole batch."""

    @property
    def worked_out(self) -> dict[int, Any]:
        """What a rule keeps for the next question about the same node, by index."""

    @property
    def disagreements(self) -> set[str]:
        """Names of nodes where sizes meet that are equal at some sizes only."""

    @property
    def exceeded(self) -> dict[int, dict[Symbolic, int]]:
        """Unknown sizes that the rules of nodes, by index, take to be larger than a
        number."""

    @property
    def is_strict(self) -> bool:
        """Whether sizes that differ by a known number are an error where they meet."""


class Sight(Protocol):
    """Which tensors depend on the input of the question, and how."""

    def carries(self, tensor: Tensor) -> bool:
        """Whether it depends on the input."""

    def is_alike(self, one: Tensor, two: Tensor) -> bool:
        """Whether two tensors see the same of the tensor where all their paths meet."""


class Call:
    """One op as its rule sees it: attributes, and what is known of its inputs."""

    __slots__ = ("knowledge", "node", "sight")

    def __init__(
        self, node: Node, knowledge: Knowledge, sight: Sight | None = None
    ) -> None:
        self.node = node
        self.knowledge = knowledge
        self.sight = sight
        """None where it does not matter what the input of the question is."""

    def __len__(self) -> int:
        """The number of data inputs."""
        return len(self.node.inputs)

    def shape(self, number: int) -> Shape:
        """The shape of an input; None if its rank is unknown."""
        return self.knowledge.shape(self.input(number))

    def output_shape(self, number: int = 0) -> Shape:
        """The shape of an output."""
        return self.knowledge.shape((self.node.index, number))

    def known_shape(self, number: int, rank: int | None = None) -> tuple[Size, ...]:
        """The shape of an input whose rank must be known, and be ``rank``.

        Raises:
          GraphError: if it is not.
        """
        shape = self.shape(number)
        if shape is None:
            if rank is None:
                self.fail(
                    f"cannot be analysed: the rank of {self.name(number)} unknown"
                )
            return tuple(
                unknown(f"{self.name(number)}[{axis}]") for axis in range(rank)
            )
        if rank is not None and len(shape) != rank:
            self.fail(
                f"needs an input of rank {rank}, but {self.name(number)} has rank "
                f"{len(shape)}"
            )
        return shape

    def value(self, number: int) -> Value:
        """The constant value of an input, or None if it is not known."""
        return self.knowledge.value(self.input(number))

    def input(self, number: int) -> Tensor:
        """The tensor that is read as this input.

        Raises:
          GraphError: if there are fewer inputs.
        """
        try:
            return self.node.inputs[number]
        except IndexError:
            self.fail(f"has {len(self)} inputs, needs {number + 1}")

    def relations(self, op: Op, output: int) -> Relations:
        """The relations of an output to all inputs, by the node's rule.

        Raises:
          GraphError: if it is not analysed, or has more inputs than its rule knows.
        """
        if op.relations is None:
            return [None] * len(self)
        found = op.relations(self, output)
        if len(found) < len(self):
            self.fail(f"has {len(self)} inputs; its rule knows {len(found)}")
        return found

    def is_constant(self, number: int) -> bool:
        """Whether an input is known to depend on nothing, though perhaps not its value.

        As zeros are, in the shape of a batch of unknown size.
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
        """Whether an input depends on the input of the question, or may."""
        return self.sight is None or self.sight.carries(self.input(number))

    def is_alike(self, one: int, two: int) -> bool:
        """Whether two inputs are known to see the same of one tensor below."""
        if self.sight is None:
            return True
        known = self.once(dict[tuple[int, int], bool])
        if (one, two) not in known:
            known[one, two] = self.sight.is_alike(self.input(one), self.input(two))
        return known[one, two]

    def varies(self, condition: Tensor) -> bool:
        """Whether a condition may be any, as it depends on the input or on random
        numbers."""
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
        """The constant value of an input as a flat list, or None if not known.

        The list is the caller's own.
        """
        found = self.knowledge.integers(self.input(number))
        return None if found is None else list(found)

    def integer(self, number: int) -> int | None:
        """The constant value of a scalar input, or None if not known."""
        values = self.integers(number)
        if values is None or len(values) != 1 or not isinstance(values[0], int):
            return None
        return values[0]

    @property
    def trains_batch_norm(self) -> bool:
        """Whether a batch normalisation that is in training mode counts as such."""
        return self.knowledge.trains_batch_norm

    def attribute(self, name: str, default: Any = None) -> Any:
        """An attribute as a plain Python value; ``default`` if it is not there."""
        return self.node.attribute(name, default)

    def text(self, name: str, default: str = "") -> str:
        """An attribute that is a text."""
        value = self.node.attribute(name, default)
        if type(value) is not str:
            self.malformed(name, "a text")
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        """An attribute that is true or false."""
        value = self.node.attribute(name, default)
        if type(value) is not bool:
            self.malformed(name, "true or false")
        return value

    def number(self, name: str, default: int | None = None) -> int:
        """An attribute that is an integer, or a type by its number."""
        value = self.node.attribute(name, default)
        if type(value) is not int:
            self.malformed(name, "an integer")
        return value

    def numbers(self, name: str, default: list[int] | None = None) -> list[int] | None:
        """An attribute that is a list of integers."""
        value: list[int] | None = self.node.attribute(name, default)
        if value is not None and (
            type(value) is not list or (value and type(value[0]) is not int)
        ):
            self.malformed(name, "a list of integers")
        return value

    def malformed(self, name: str, what: str) -> NoReturn:
        """Raises the error of an attribute that is not what it should be.

        Raises:
          GraphError: always.
        """
        if self.attribute(name) is None:
            self.fail(f"has no {name}")
        self.fail(f"is malformed: its {name} is {self.attribute(name)!r}, not {what}")

    def axis(self, axis: Size, rank: int) -> int:
        """An axis of a tensor of this rank, counted from the front.

        Raises:
          GraphError: if the tensor has no such axis.
        """
        if not isinstance(axis, int) or not -rank <= axis < rank:
            self.fail(f"names axis {axis} of a tensor of rank {rank}")
        return axis % rank

    def name(self, number: int) -> str:
        """The name of an input tensor."""
        return self.node.graph.name_of(self.input(number))

    def once(self, work: Callable[[], T]) -> T:
        """What a rule works out for more than one question about its node."""
        kept = self.knowledge.worked_out
        if self.node.index not in kept:
            kept[self.node.index] = work()
        found: T = kept[self.node.index]
        return found

    def meet(self, sizes: Sequence[Size]) -> None:
        """Takes note of sizes that must be equal.

        Those that differ by a known number at every size are left to who asks at one
        size, so that a padding can be found that mends it.

        Raises:
          GraphError: if one grows faster, and they are equal at no size but 1.
        """
        for size in sizes[1:]:
            pair = sizes[0], size
            if 1 in pair or not any(isinstance(s, Symbolic) for s in pair):
                continue
            agree = can_agree(sizes[0], size)
            near = bounds(sizes[0] - size) is not None and not self.knowledge.is_strict
            if agree is None:
                self.knowledge.disagreements.add(self.node.name)
            elif not agree and not near:
                one, two = map(in_words, (sizes[0], size))
                self.fail(
                    f"does not fit: of an input of n positions, maps of {one} and of "
                    f"{two} positions meet, which are not equal at any large n"
                )

    def exceeds(self, size: Symbolic, number: int) -> None:
        """Takes note that what is said of an unknown size holds if it is larger."""
        known = self.knowledge.exceeded.setdefault(self.node.index, {})
        known[size] = max(known.get(size, 0), number)

    def unknown_size(self, axis: int, number: int = 0) -> Symbolic:
        """A size of an output of which nothing is known."""
        return unknown(f"{self.node.graph.name_of((self.node.index, number))}[{axis}]")

    def named_shape(self, sizes: StatedShape, number: int = 0) -> Shape:
        """A shape of an output with a name for every size that is not known."""
        if sizes is None:
            return None
        if None not in sizes:
            return tuple(sizes)  # type: ignore[arg-type]
        return tuple(
            self.unknown_size(axis, number) if size is None else size
            for axis, size in enumerate(sizes)
        )

    def unknown_offset(self, axis: int, number: int = 0) -> Hashable:
        """The name of an unknown number of positions by which an axis is moved."""
        return self.node.name, number, axis

    def all_of(self, number: int, exact: bool = True) -> Relation:
        """The relation to an input of which every element matters, of any rank."""
        self.input(number)  # Must be there.
        return ALL if exact else ALL_BOUND

    def fail(self, reason: str) -> NoReturn:
        """Raises the error of this node.

        Raises:
          GraphError: always.
        """
        raise GraphError(f"{self.node.op} node {self.node.name!r} {reason}.")


def exact(number: Any) -> Any:
    """A float that is an integer as one."""
    if isinstance(number, float) and number.is_integer():
        return int(number)
    return number


class Window(NamedTuple):
    """What a convolution or pooling does on one axis."""

    kernel: int
    stride: int
    padding: int | None
    """Before the first position; None if it depends on an unknown size."""
    total_padding: int | None
    """Before the first and after the last position together."""
    dilation: int = 1
    follows_size: bool = False
    """Whether it has as much padding as the size needs for ceil(size / stride)
    positions to come out."""

    @property
    def extent(self) -> int:
        """How many positions the dilated kernel spans."""
        return self.dilation * (self.kernel - 1) + 1


class Flops(NamedTuple):
    """The floating-point operations of a node; see `rules.flops`."""

    total: Size
    multiply_adds: Size = 0
    """How many multiply-adds are among them, each of which counts as two."""
    profiled: Size | Fraction | None = None
    """What TensorFlow's profiler counts; None where it has no formula."""

    @classmethod
    def alike(cls, total: Size, profiled: bool = True) -> Flops:
        """Operations that the profiler, if it knows the op, counts in the same way."""
        return cls(total, 0, total if profiled else None)

    def plus(self, operations: Size) -> Flops:
        """With more operations that the profiler does not count."""
        return self._replace(total=self.total + operations)


class Taps(Enum):
    """What the positions of a window count, for the effective receptive field."""

    COPY = "copy"
    """Each is handed on as it is: by moving, adding, or one at a time."""
    FACTOR = "factor"
    """The same, if no more than one input depends on the features."""
    CHOICE = "choice"
    """One of several inputs is handed on as it is, another one at each position."""
    ACTIVATION = "activation"
    """The same, but for a derivative of either sign and of about one."""
    SUM = "sum"
    """They are added up."""
    MEAN = "mean"
    """The mean is taken of those inside of the map."""
    WEIGHTS = "weights"
    """Each has weights of its own, the same for every window."""
    WINNER = "winner"
    """One of them is taken; which one, the values decide."""


class Zeros(Enum):
    """What an op makes of zeros."""

    KEPT = "kept"
    """Its output is zero where all that it reads is."""
    SUM = "sum"
    """The same, but constants are added, which are not zero."""
    BESIDE = "beside"
    """What is not read from its inputs is not zero."""
    FILLED = "filled"
    """Its output is zero nowhere."""


Coefficients = Mapping[int, "np.ndarray[Any, np.dtype[np.float64]]"]
"""For axes of an input, what each position counts: an array [above, below]."""


Relations = Sequence[Relation | None]
"""One relation for each data input; None where it does not matter."""


class Op(NamedTuple):
    """The rules of one op type."""

    relations: Callable[[Call, int], Relations] | None
    """How an output (by its number) relates to each data input; None if no value of an
    input matters."""
    shapes: Callable[[Call], Sequence[Shape]]
    """The shapes of the outputs."""
    values: Callable[[Call], Sequence[Value]] | None = None
    """The constant values of the outputs, where they can be told."""
    numbers: Callable[[Call], Sequence[Any] | None] | None = None
    """The first of `values` as a flat list, where it is there without an array."""
    values_need_shapes: bool = False
    """Whether `values` asks for the shapes of inputs, not for their values."""
    layout: Callable[[Call], tuple[int, Sequence[int]]] | None = None
    """An input and the axes of it that are spatial: (y, x) of an image."""
    windows: Callable[[Call], Sequence[Window]] | None = None
    """Kernel, stride and padding per spatial axis (y, x), for what has them."""
    products: Callable[[Call], Size] | None = None
    """How many products with a weight each element of the output is the sum of."""
    flops: Callable[[Call], Flops] | None = None
    """The floating-point operations of all outputs together; None if it has none."""
    rounds: Callable[[Call], int | None] | None = None
    """Of a loop that is written out: how many rounds it runs, if the graph says so."""
    folded: Callable[[Call], tuple[Node, Size] | None] | None = None
    """Of an op that unfolds what was folded into the batch: the layer in between, and
    how many elements it has to compute without that."""
    weights: Callable[[Call], Size] | None = None
    """How many trained numbers come in here: by a variable or, in a frozen graph, a
    constant."""
    reads: Callable[[Call], Sequence[Tensor]] | None = None
    """Which inputs tell shapes and values, of an op that looks at no others."""
    shapes_by_first: bool = False
    """Whether the first input alone decides the shapes."""
    may_be_handle: bool = False
    """Whether an output may be the handle of a variable or a list, so that a recorded
    shape without axes says nothing of what it stands for."""
    condition: int | None = None
    """The input that decides which one of the outputs is computed."""
    chooses: bool = False
    """Whether its rule asks whether inputs are alike (`Call.is_alike`)."""
    is_random: bool = False
    """Whether the values are drawn at random."""
    starts_over: bool = False
    """Whether this is where a loop comes round to its beginning."""
    clamps: bool = False
    """Whether it reads the first or the last position of its first input in the place
    of what lies outside."""
    taps: Taps | None = None
    """What the positions of a window count; None if there is no rule for it."""
    coefficients: Callable[[Call], Coefficients] | None = None
    """The same for the first input, where positions count differently."""
    zeros: Zeros | Callable[[Call], Zeros | None] | None = None
    """What becomes of zeros; None if it is not known."""
    absorbing: Sequence[int] = ()
    """Which inputs make the output zero where they are, whatever the others are."""
    signs: Sequence[int] = ()
    """The signs of the inputs that are added up, where not all are positive."""


def rule_of(node: Node) -> Op | None:
    """The rules of a node: those stated for it by hand, or those of its op type."""
    return node.stated or node.graph.rules.get(node.op)


def rule_at(graph: Graph, index: int) -> Op | None:
    """The rules of the node of this index, which need not be made for it."""
    node = graph.nodes.get(index)  # A rule can only be stated for one that is made.
    if node is None:
        return graph.rules.get(graph.nodes.definitions[index].op)
    return node.stated or graph.rules.get(node.op)


def same(call: Call, output: int) -> Relations:
    """Every position follows itself, in every input."""
    return [SAME] * len(call)


def first_shape(call: Call) -> Sequence[Shape]:
    """The output has the shape of the first input."""
    return [call.shape(0)]


def scalar(call: Call) -> Sequence[Shape]:
    """The output has no axes."""
    return [()]


def unknown_shape(call: Call) -> Sequence[Shape]:
    """Nothing is known of the output's shape."""
    return [None]
