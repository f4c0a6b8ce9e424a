"""Rules for attention.

A query sees all keys, unless a mask hides some of them. A causal mask hides the keys
after the query, and a window those that are far from it. Other masks hide keys exactly
if their values are known. The values of a mask may depend on the data, and then each
query may see any key that no other mask hides, as an upper bound.

The keys lie on one axis: first those of the steps before, if there are any, and then
those of this step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from receptive_field.algebra.axis_map import (
    ANYWHERE,
    GLOBAL,
    IDENTITY,
    constant,
    one_sided,
    quotient,
)
from receptive_field.algebra.sizes import Size, divide, product
from receptive_field.frameworks.onnx.ops.registry import is_given, register
from receptive_field.relations.relation import (
    ALL,
    FULL,
    Axis,
    Factor,
    Piece,
    Relation,
    Slot,
    follow,
    merge,
    moved,
    part,
    whole,
)
from receptive_field.rules.attention import (
    Keys,
    along_steps,
    exactly_seen,
)
from receptive_field.rules.elementwise import ELEMENTWISE
from receptive_field.rules.flops import multiply_adds
from receptive_field.rules.op import (
    Call,
    Flops,
    Op,
    Relations,
    Shape,
    first_shape,
)

# --- Axes of queries, keys and values ------------------------------------------------


def _steps(rank: int) -> int:
    """Returns the axis of the steps: (batch, heads, steps, channels) if the rank is 4,
    otherwise (batch, steps, ...)."""
    return 2 if rank == 4 else 1


def _operand(rank: int, steps: Axis, heads: Axis, batch: int = 0) -> Relation:
    """Returns the relation to an operand, given the axes of its steps and its heads."""
    axes = [FULL] * rank
    axes[0], axes[_steps(rank)] = follow(batch), steps
    if rank == 4:
        axes[1] = heads
    return Relation(tuple(axes))


def _shared_heads(above: Size, below: Size) -> Axis:
    """Returns the axis of heads of keys, which several heads of queries may share."""
    group = divide(above, below)
    if group == 1:
        return follow(1)
    return (
        follow(1, quotient(group)) if isinstance(group, int) else whole([1], ANYWHERE)
    )


def _mask(call: Call, number: int, rank: int, steps: Axis, keys: Axis) -> Relation:
    """Returns the relation of an op with a result of this rank to its mask."""
    shape = call.shape(number)
    if shape is None or len(shape) > 4:
        return call.all_of(number, exact=False)
    axes = (follow(0), follow(1) if rank == 4 else FULL, steps, keys)
    found = [
        follow(0, constant(0, 0)) if size == 1 else axis
        for axis, size in zip(axes[4 - len(shape) :], shape, strict=True)
    ]
    return Relation(tuple(found))


def _appended(
    call: Call, keys: Keys, number: int, past: int | None, heads: Size | None
) -> dict[int, Relation]:
    """Returns the relations of all keys to the keys of this step and those before.

    All keys have the axes (batch, heads, steps, channels).
    """
    rank = len(call.known_shape(number))
    place = moved(IDENTITY, -1 * keys.past)
    if rank == 4:
        new = Relation((follow(0), follow(1), follow(2, place), follow(3)))
    else:
        channels: Axis = FULL
        width = call.known_shape(number)[-1]
        size = None if heads is None else divide(width, heads)
        if rank == 3 and size is not None:
            channels = merge(
                Factor(heads, Slot(1), IDENTITY), Factor(size, Slot(3), IDENTITY)
            )
        new = Relation((follow(0), follow(2, place), channels, *[FULL] * (rank - 3)))
    if past is None:
        return {number: new}
    old = Relation(tuple(map(follow, range(4))))
    if not call.is_constant(past) and not call.is_constant(number):
        lengths = keys.past, keys.total
        pieces: list[Piece | None] = [None, None]
        if all(isinstance(length, int) for length in lengths):
            first, last = map(int, lengths)  # type: ignore[arg-type]
            ranges = range(first), range(first, last)
            pieces = [Piece(2, (places,), last) for places in ranges]
        old, new = (part(r, 2, p) for r, p in zip((old, new), pieces, strict=True))
    return {past: old, number: new}


def _attention_flops(
    batch: Size, heads: Size, keys: Keys, widths: Sequence[Size]
) -> Flops:
    """Counts a multiply-add for each product with a key or a value."""
    products = product([batch, heads, keys.queries, keys.total, sum(widths, start=0)])
    return multiply_adds(products, False)


# --- The attention of the standard ---------------------------------------------------


class Attention:
    """The rules of Attention, whose inputs are queries, keys and values.

    The other inputs are a mask, the keys and values of the steps before, and the
    number of keys that are not padding.
    """

    past_key, past_value = 4, 5

    def _heads(self, call: Call, number: int) -> Size | None:
        """Returns the number of heads of an operand."""
        shape = call.known_shape(number)
        if len(shape) == 4:
            return shape[1]
        name = "q_num_heads" if number == 0 else "kv_num_heads"
        return call.number(name) if call.attribute(name) else None

    def _past(self, call: Call) -> Size:
        if not is_given(call, self.past_key):
            return 0
        return call.known_shape(self.past_key, 4)[2]

    def _length(self, call: Call, number: int) -> Size:
        shape = call.known_shape(number)
        if len(shape) not in (3, 4):
            call.fail(f"has {call.name(number)} of rank {len(shape)}, not 3 or 4")
        return shape[_steps(len(shape))]

    def keys(self, call: Call) -> Keys:
        """Returns which keys each query sees."""
        past = self._past(call)
        queries, new = (self._length(call, number) for number in (0, 1))
        left, right = (
            call.number(f"{side}_window_size", -1) for side in ("left", "right")
        )
        bounds: list[int | None] = [None if b < 0 else b for b in (left, right)]
        if call.number("is_causal", 0):
            bounds[1] = 0
        found = Keys(queries, new, past, past, bounds[0], bounds[1])
        if past != 0 and found.right == 0 and queries != new:
            # onnxruntime masks nothing if there is a single query.
            if queries == 1:
                found = found._replace(right=None)
            elif not isinstance(queries, int):
                found = found._replace(right=None, is_known=False)
        if is_given(call, 6):
            valid = call.integers(6)
            if not valid or len(set(valid)) > 1:
                found = found._replace(offset=None, is_known=False)
            elif valid[0] != new:
                found = found._replace(offset=valid[0] - queries, is_known=False)
            else:
                found = found._replace(offset=new - queries)
        return found.without(call.value(3)) if is_given(call, 3) else found

    def relations(self, call: Call, output: int) -> Relations:
        """Returns the relations of the result, of all keys or values, or of the scores
        to all inputs."""
        if any(call.shape(number) is None for number in range(3)):
            return [call.all_of(number, exact=False) for number in range(len(call))]
        keys = self.keys(call)
        found: list[Relation | None] = [None] * len(call)
        if output in (1, 2):
            past = self.past_key if output == 1 else self.past_value
            parts = _appended(
                call,
                keys,
                output,
                past if is_given(call, past) else None,
                self._heads(call, output),
            )
        elif output == 3:
            parts = self._scores(call, keys)
        else:
            parts = self._result(call, keys)
        for number, relation in parts.items():
            found[number] = relation
        return found

    def _result(self, call: Call, keys: Keys) -> dict[int, Relation]:
        rank = len(call.known_shape(0))
        steps = _steps(rank)
        heads = FULL
        if rank == 4:
            heads = _shared_heads(call.known_shape(0)[1], call.known_shape(1, 4)[1])
        found = {0: _operand(rank, follow(steps), follow(1))}
        for number in (1, 2):
            seen = along_steps(steps, keys.seen(keys.past))
            found[number] = _operand(len(call.known_shape(number)), seen, heads)
        values = {0: 2, 1: 2}
        if is_given(call, self.past_key):
            values[self.past_key] = self.past_value
            for number in (self.past_key, self.past_value):
                found[number] = _operand(4, along_steps(steps, keys.seen()), heads)
        for number, value in values.items():
            axis = _steps(len(found[number].axes))
            found[number] = exactly_seen(
                call, keys, number, value, found[number], axis, number == 0
            )
        if is_given(call, 3):
            found[3] = _mask(call, 3, rank, follow(steps), FULL)
        if is_given(call, 6):
            found[6] = ALL
        return found

    def _scores(self, call: Call, keys: Keys) -> dict[int, Relation]:
        """Returns the relations of the scores, or of the probabilities."""
        rank, mode = len(call.known_shape(0)), call.number("qk_matmul_output_mode", 0)
        heads: Axis = follow(1)
        if rank == 4:
            heads = _shared_heads(call.known_shape(0)[1], call.known_shape(1, 4)[1])
        found = {0: _operand(rank, follow(2), follow(1))}
        is_normalised = mode == 3
        own = follow(3, moved(IDENTITY, -1 * keys.past))
        below = whole([3], GLOBAL if keys.is_known else GLOBAL.as_bound())
        found[1] = _operand(
            len(call.known_shape(1)), below if is_normalised else own, heads
        )
        if is_given(call, self.past_key):
            found[self.past_key] = _operand(
                4, below if is_normalised else follow(3), heads
            )
        if mode and is_given(call, 3):
            found[3] = _mask(
                call, 3, 4, follow(2), FULL if is_normalised else follow(3)
            )
        if mode and is_given(call, 6):
            found[6] = ALL
        if is_normalised and (keys.left, keys.right, keys.hidden) != (None, None, None):
            return {number: _as_bound(relation) for number, relation in found.items()}
        return found

    def shapes(self, call: Call) -> Sequence[Shape]:
        """Returns the shapes of the result, of keys and values, and of the scores."""
        query, value = call.shape(0), call.shape(2)
        if query is None or value is None or call.shape(1) is None:
            return [None] * 4
        keys = self.keys(call)
        heads, shared = self._heads(call, 0), self._heads(call, 1)
        batch = query[0]
        if len(query) == 4:
            result: Shape = (*query[:3], value[-1])
        else:
            groups = None if heads is None or shared is None else divide(heads, shared)
            width = call.unknown_size(2) if groups is None else value[-1] * groups
            result = (*query[:2], width)
        stored: list[Shape] = []
        for number in (1, 2):
            shape = call.known_shape(number)
            count = self._heads(call, number)
            size: Size | None = shape[-1] if len(shape) == 4 else None
            if size is None and count is not None:
                size = divide(shape[-1], count)
            stored.append(
                (
                    batch,
                    call.unknown_size(1, number) if count is None else count,
                    keys.total,
                    call.unknown_size(3, number) if size is None else size,
                )
            )
        count = call.unknown_size(1, 3) if heads is None else heads
        return [result, *stored, (batch, count, keys.queries, keys.total)]

    def flops(self, call: Call) -> Flops:
        """Counts a multiply-add for each product with a key or a value."""
        query = call.known_shape(0)
        keys, heads = self.keys(call), self._heads(call, 0)
        if heads is None:
            call.fail("has no attribute q_num_heads")
        width = query[-1] if len(query) == 4 else divide(query[-1], heads)
        (result, *_) = self.shapes(call)
        assert result is not None
        wide = result[-1] if len(query) == 4 else divide(result[-1], heads)
        if width is None or wide is None:
            call.fail(f"has {heads} heads, which do not divide its channels")
        return _attention_flops(query[0], heads, keys, (width, wide))

    def layout(self, call: Call) -> tuple[int, Sequence[int]]:
        """Returns the number of the data input, and the axis of its steps."""
        return 0, (_steps(len(call.known_shape(0))),)

    def op(self) -> Op:
        """Returns the rules."""
        return Op(
            self.relations,
            self.shapes,
            layout=self.layout,
            flops=self.flops,
            chooses=True,
        )


def _as_bound(relation: Relation) -> Relation:
    """Returns a relation of which only the axes that are needed whole are bounds."""
    axes = (
        tuple(
            thread._replace(
                factors=tuple(
                    factor._replace(map=factor.map.as_bound())
                    if factor.map.is_everything
                    else factor
                    for factor in thread.factors
                )
            )
            for thread in axis
        )
        for axis in relation.axes
    )
    return relation._replace(axes=tuple(axes))


register("Attention", Attention().op())


class FlexAttention(Attention):
    """Attention whose scores and probabilities a subgraph may change."""

    def keys(self, call: Call) -> Keys:
        """Returns which keys each query sees: any of them, if a subgraph chooses."""
        queries, new = (self._length(call, number) for number in (0, 1))
        changes = any(call.node.has(name) for name in ("score_mod", "prob_mod"))
        return Keys(queries, new, is_known=not changes)

    def _past(self, call: Call) -> Size:
        return 0


register("ai.onnx.preview.FlexAttention", FlexAttention().op())


# --- The attention of other exporters ------------------------------------------------


class Projected(NamedTuple):
    """The rules of an op that computes queries, keys and values from one tensor.

    The fields are numbers of inputs.
    """

    mask: int = 3
    past: int = 4
    bias: int | None = 5

    def _past(self, call: Call) -> Size:
        return call.known_shape(self.past, 5)[3] if is_given(call, self.past) else 0

    def keys(self, call: Call) -> Keys:
        """Returns which keys each query sees."""
        steps, past = call.known_shape(0, 3)[1], self._past(call)
        right = 0 if call.number("unidirectional", 0) else None
        keys = Keys(steps, steps, past, past, None, right)
        if call.number("past_present_share_buffer", 0):
            keys = keys._replace(offset=None, is_known=False)
        return _masked(call, keys, self.mask, self.bias)

    def relations(self, call: Call, output: int) -> Relations:
        """Returns the relations of the result, or of all keys and values."""
        keys = self.keys(call)
        found: list[Relation | None] = [call.all_of(i) for i in range(len(call))]
        if output:
            place = moved(IDENTITY, -1 * keys.past)
            new = Relation((follow(1), follow(3, place), FULL))
            found[0] = new
            if is_given(call, self.past):
                old = Relation(tuple(map(follow, range(5))))
                if not call.is_constant(self.past):
                    new, old = part(new, 3), part(old, 3)
                found[0], found[self.past] = new, old
            return found
        found[0] = Relation((follow(0), along_steps(1, keys.of_packed()), FULL))
        if is_given(call, self.past):
            stored = (FULL, follow(0), FULL, along_steps(1, keys.seen()), FULL)
            found[self.past] = Relation(stored)
        return found

    def shapes(self, call: Call) -> Sequence[Shape]:
        """Returns the shapes of the result, and of all keys and values."""
        shape, weights = call.known_shape(0, 3), call.known_shape(1, 2)
        stated, keys = call.numbers("qkv_hidden_sizes"), self.keys(call)
        width = stated[-1] if stated else divide(weights[1], 3)
        if width is None:
            call.fail(
                f"has {weights[1]} columns of weights, which are not a multiple of 3"
            )
        heads = call.number("num_heads")
        size = divide(width, heads)
        stored = (
            2,
            shape[0],
            heads,
            keys.total,
            call.unknown_size(4, 1) if size is None else size,
        )
        return [(*shape[:2], width), stored]

    def flops(self, call: Call) -> Flops:
        """Counts the products of the projections, and those with keys and values."""
        shape, weights = call.known_shape(0, 3), call.known_shape(1, 2)
        (result, _) = self.shapes(call)
        assert result is not None
        products = product([*shape, weights[1]])
        mixed = product([shape[0], shape[1], self.keys(call).total, 2 * result[-1]])
        return multiply_adds(products + mixed, False)

    def layout(self, call: Call) -> tuple[int, Sequence[int]]:
        """Returns the number of the data input, and the axis of its steps."""
        return 0, (1,)

    def op(self) -> Op:
        """Returns the rules."""
        return Op(self.relations, self.shapes, layout=self.layout, flops=self.flops)


def _masked(call: Call, keys: Keys, mask: int, bias: int | None) -> Keys:
    """Returns the keys that two masks leave.

    The first one has a row of ones and zeros for each sample, or for each query of a
    sample. Masks of other forms are not known. The second one is added to the scores.
    """
    if is_given(call, mask):
        value = call.value(mask)
        if value is not None:
            rows = value.ndim in (2, 3)
            value = value.reshape(len(value), 1, -1, value.shape[-1]) if rows else None
        keys = keys.without(value, are_kept=True)
    if bias is not None and is_given(call, bias):
        keys = keys.without(call.value(bias))
    return keys


register("com.microsoft.Attention", Projected().op())
register("com.microsoft.QAttention", Projected(5, 8, None).op())


class MultiHead(NamedTuple):
    """The rules of an op that attends to projected queries, keys and values.

    Queries, keys and values may be packed into the first input. A key or value of rank
    4 has the axes (batch, heads, steps, channels), and all other operands have the axes
    (batch, steps, ...). The fields are numbers of inputs; a mask is None if the op has
    no such input.
    """

    past: int
    mask: int | None
    bias: int
    lengths: int | None = None
    """The input with the place of the last key of each sample."""

    def _past(self, call: Call) -> Size:
        return call.known_shape(self.past, 4)[2] if is_given(call, self.past) else 0

    def keys(self, call: Call) -> Keys:
        """Returns which keys each query sees."""
        steps, past = call.known_shape(0)[1], self._past(call)
        new = steps
        if is_given(call, 1):
            shape = call.known_shape(1)
            new = shape[_steps(len(shape))]
        left: int | None = None
        right: int | None = None
        if self.lengths is not None:
            right = 0 if call.number("causal", 1) else None
            length = call.number("local_window_size", -1)
            left = None if length < 0 else length - 1
        elif call.number("unidirectional", 0):
            right = 0
        keys = Keys(steps, new, past, past, left, right)
        if self.lengths is None and right == 0 and steps != new:
            keys = keys.with_last_query_free()
        if self.lengths is not None:
            lengths = call.integers(self.lengths)
            if lengths is None or set(lengths) != {past + new - 1}:
                # Keys may be padding, or may be stored in a buffer that is not full.
                keys = keys._replace(is_known=False, offset=None if past else 0)
        elif is_given(call, 8):
            keys = keys._replace(offset=None, is_known=False)
        if self.mask is not None:
            return _masked(call, keys, self.mask, self.bias)
        return (
            keys.without(call.value(self.bias)) if is_given(call, self.bias) else keys
        )

    def relations(self, call: Call, output: int) -> Relations:
        """Returns the relations of the result, of keys or values, or of the scores."""
        found: list[Relation | None] = [call.all_of(i) for i in range(len(call))]
        if call.shape(0) is None or (is_given(call, 1) and call.shape(1) is None):
            return [call.all_of(number, exact=False) for number in range(len(call))]
        keys = self.keys(call)
        is_packed = not is_given(call, 1)
        if output:
            return self._stored(call, keys, output)
        own = keys.of_packed() if is_packed else IDENTITY
        rank = len(call.known_shape(0))
        found[0] = _operand(rank, along_steps(1, own), FULL)
        for number in (1, 2):
            if is_given(call, number):
                below = len(call.known_shape(number))
                seen = along_steps(1, keys.seen(keys.past))
                found[number] = _operand(below, seen, FULL)
        values = {} if is_packed else {0: 2, 1: 2}
        if is_given(call, self.past):
            values[self.past] = self.past + 1
            for number in (self.past, self.past + 1):
                found[number] = _operand(4, along_steps(1, keys.seen()), FULL)
        for number, value in values.items():
            relation = found[number]
            if relation is not None and is_given(call, value):
                steps = _steps(len(relation.axes))
                found[number] = exactly_seen(
                    call, keys, number, value, relation, steps, number == 0
                )
        for mask in (self.mask, self.bias):
            if mask is not None and is_given(call, mask):
                found[mask] = call.all_of(mask, exact=False)
        return found

    def _stored(self, call: Call, keys: Keys, output: int) -> Relations:
        """Returns the relations of all keys, of all values, or of the scores."""
        found: list[Relation | None] = [call.all_of(i) for i in range(len(call))]
        if output > 2:
            for number in range(len(call)):
                found[number] = call.all_of(number, exact=False)
            return found
        number = output if is_given(call, 1) else 0
        shape = call.shape(number)
        if shape is None or keys.offset is None:
            return [call.all_of(number, exact=False) for number in range(len(call))]
        place = follow(2, moved(IDENTITY, -1 * keys.past))
        heads = follow(1) if len(shape) == 4 else FULL
        new, old = (
            _operand(len(shape), place, heads),
            Relation(tuple(map(follow, range(4)))),
        )
        for other in range(3):
            found[other] = None
        found[number] = new
        past = self.past + output - 1
        if is_given(call, self.past):
            found[self.past], found[self.past + 1] = None, None
            if not call.is_constant(past) and not call.is_constant(number):
                new, old = part(new, 2), part(old, 2)
            found[number], found[past] = new, old
        return found

    def shapes(self, call: Call) -> Sequence[Shape]:
        """Returns the shapes of the result, and of all keys and values."""
        shape, heads = call.shape(0), call.number("num_heads")
        if shape is None:
            return [None] * 4
        keys = self.keys(call)
        shared = call.number("kv_num_heads", heads)
        if len(shape) == 5:
            size: Size | None = shape[4]
        elif is_given(call, 1) or self.lengths is None:
            size = divide(shape[-1], heads)
        else:
            size = divide(shape[-1], heads + 2 * shared)
        size = call.unknown_size(2) if size is None else size
        wide = size
        value = call.shape(2) if is_given(call, 2) else None
        if value is not None and len(value) == 3:
            wide = divide(value[-1], shared) or size
        elif value is not None:
            wide = value[-1]
        total = keys.total if keys.offset is not None else call.unknown_size(2, 1)
        stored = [(shape[0], shared, total, width) for width in (size, wide)]
        scores = (shape[0], heads, shape[1], total)
        return [(*shape[:2], heads * wide), *stored, scores]

    def flops(self, call: Call) -> Flops:
        """Counts a multiply-add for each product with a key or a value."""
        (result, *_) = self.shapes(call)
        assert result is not None
        return multiply_adds(2 * product(result) * self.keys(call).total, False)

    def layout(self, call: Call) -> tuple[int, Sequence[int]]:
        """Returns the number of the data input, and the axis of its steps."""
        return 0, (1,)

    def op(self) -> Op:
        """Returns the rules."""
        return Op(
            self.relations,
            self.shapes,
            layout=self.layout,
            flops=self.flops,
            chooses=True,
        )


register("com.microsoft.MultiHeadAttention", MultiHead(past=6, mask=4, bias=5).op())
register(
    "com.microsoft.GroupQueryAttention",
    MultiHead(past=3, mask=None, bias=10, lengths=5).op(),
)


# --- Rotations of queries and keys ---------------------------------------------------


def _rotated(caches: tuple[int, int], positions: int) -> Op:
    """Returns the rules of an op that rotates the channels of each step."""

    def relations(call: Call, output: int) -> Relations:
        shape = call.shape(0)
        if shape is None:
            return [call.all_of(number, exact=False) for number in range(len(call))]
        rank = len(shape)
        found: list[Relation | None] = [ALL] * len(call)
        found[0] = Relation((*map(follow, range(rank - 1)), FULL))
        place = follow(_steps(rank))
        if is_given(call, positions):
            places = call.shape(positions)
            if places is not None and len(places) == 2:
                found[positions] = Relation((follow(0), place))
            return found
        for number in caches:
            found[number] = Relation((follow(0), place, FULL))
        return found

    def layout(call: Call) -> tuple[int, Sequence[int]]:
        return 0, (_steps(len(call.known_shape(0))),)

    return Op(relations, first_shape, layout=layout)


register("RotaryEmbedding", _rotated((1, 2), 3))
register("com.microsoft.RotaryEmbedding", _rotated((2, 3), 1))


# --- Attention without softmax -------------------------------------------------------


def _linear(call: Call, output: int) -> Relations:
    """Relates a result to all steps up to its own, and the state to all steps.

    Without a state of the steps before, the first step has nothing to let decay.
    """
    found: list[Relation | None] = [None] * len(call)
    starts_empty = not is_given(call, 3)
    if output:
        for number in (1, 2, 4, 5):
            if is_given(call, number):
                found[number] = Relation((follow(0), FULL, FULL))
        if not starts_empty:
            found[3] = Relation((follow(0), follow(1), FULL, FULL))
    else:
        found[0] = Relation((follow(0), follow(1), FULL))
        for number in (1, 2, 4, 5):
            if is_given(call, number):
                seen = one_sided(last=0)
                found[number] = Relation((follow(0), follow(1, seen), FULL))
        if not starts_empty:
            found[3] = Relation((follow(0), FULL, FULL, FULL))
    if starts_empty and is_given(call, 4):
        seen = GLOBAL.as_bound() if output else one_sided(last=0).as_bound()
        axis = whole([], seen) if output else follow(1, seen)
        found[4] = Relation((follow(0), axis, FULL))
    return found


def _linear_shapes(call: Call) -> Sequence[Shape]:
    query, key, value = (call.known_shape(number, 3) for number in range(3))
    heads, shared = call.number("q_num_heads"), call.number("kv_num_heads")
    width, wide = divide(key[-1], shared), divide(value[-1], shared)
    if width is None or wide is None:
        call.fail(f"has {shared} heads of keys, which do not divide the channels")
    return [(*query[:2], heads * wide), (query[0], shared, width, wide)]


def _linear_flops(call: Call) -> Flops:
    """Counts the products with the state, and those that add to it."""
    (result, state) = _linear_shapes(call)
    assert result is not None
    assert state is not None
    places = product([*result[:2], state[2], state[3]])
    return multiply_adds((call.number("q_num_heads") + state[1]) * places, False)


def _linear_layout(call: Call) -> tuple[int, Sequence[int]]:
    return 0, (1,)


register(
    "LinearAttention com.microsoft.LinearAttention",
    Op(_linear, _linear_shapes, layout=_linear_layout, flops=_linear_flops),
)


# --- Activations between products ----------------------------------------------------


def _gated(call: Call, output: int) -> Relations:
    """Relates a product of two tensors, or of the two halves of one tensor."""
    if is_given(call, 1):
        return ELEMENTWISE.relations(call, output)  # type: ignore[misc]
    rank = len(call.known_shape(0))
    rest = [None] * (len(call) - 1)
    return [Relation((*map(follow, range(rank - 1)), FULL)), *rest]


def _gated_shape(call: Call) -> Sequence[Shape]:
    shape = call.known_shape(0)
    if is_given(call, 1):
        return [shape]
    half = divide(shape[-1], 2)
    if half is None:
        call.fail(f"has {shape[-1]} channels, which cannot be halved")
    return [(*shape[:-1], half)]


register("com.microsoft.SwiGLU", Op(_gated, _gated_shape))


def _split(call: Call, output: int) -> Relations:
    rank = len(call.known_shape(0))
    return [Relation((*map(follow, range(rank - 1)), FULL)), call.all_of(1)]


def _split_shape(call: Call) -> Sequence[Shape]:
    *outer, last = call.known_shape(0)
    half = divide(last, 2)
    if half is None:
        call.fail(f"has {last} channels, which cannot be halved")
    return [(*outer, half)]


register("com.microsoft.BiasSplitGelu", Op(_split, _split_shape))
