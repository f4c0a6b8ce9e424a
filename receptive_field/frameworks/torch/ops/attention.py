"""Rules for attention.

Queries, keys and values have the axes (..., steps, channels). All axes before the steps
are batch axes and heads, which broadcast. A query sees all keys that no mask hides; see
`rules.attention`. A causal mask lets the first query see the first key.
"""

from __future__ import annotations

from collections.abc import Sequence

from receptive_field.algebra.axis_map import constant, quotient
from receptive_field.algebra.sizes import Size, divide, product
from receptive_field.frameworks.torch.ops.operands import related, shape_of
from receptive_field.frameworks.torch.ops.registry import place, register
from receptive_field.relations.relation import (
    FULL,
    Axis,
    Relation,
    follow,
)
from receptive_field.rules.attention import Keys, along_steps, exactly_seen
from receptive_field.rules.elementwise import broadcast, broadcast_axes
from receptive_field.rules.flops import multiply_adds
from receptive_field.rules.op import Call, Flops, Op, Relations, Shape

# --- Attention of queries, keys and values -------------------------------------------


class Attention:
    """The rules of scaled_dot_product_attention, and of the ops that it becomes.

    Args:
      masks: the names that the argument with the mask may have.
    """

    masks = ("attn_mask", "attn_bias")

    def mask(self, call: Call) -> int | None:
        """Returns the number of the input that is the mask, if there is one."""
        found = (place(call, name) for name in self.masks)
        return next((number for number in found if number is not None), None)

    def operands(self, call: Call) -> list[tuple[Size, ...]]:
        """Returns the shapes of the queries, keys and values."""
        shapes = [call.known_shape(number) for number in range(3)]
        if any(len(shape) < 2 for shape in shapes):
            call.fail("requires queries, keys and values with steps and channels")
        return shapes

    def keys(self, call: Call) -> Keys:
        """Returns which keys each query sees."""
        query, key, _ = self.operands(call)
        right = 0 if call.flag("is_causal") else None
        found = Keys(query[-2], key[-2], right=right)
        mask = self.mask(call)
        return found if mask is None else found.without(call.value(mask))

    def outer(self, call: Call) -> tuple[Size, ...]:
        """Returns the sizes of the axes before the steps, to which all broadcast."""
        query, *others = self.operands(call)
        if self._shares_heads(call):
            others = [(*shape[:-3], 1, *shape[-2:]) for shape in others]
        found = broadcast(call, query[:-2], *[shape[:-2] for shape in others])
        assert found is not None
        return found

    def _shares_heads(self, call: Call) -> bool:
        """Returns whether several heads of queries share a head of keys."""
        query, key, _ = self.operands(call)
        return call.flag("enable_gqa") and len(key) > 2 and query[-3] != key[-3]

    def relations(self, call: Call, output: int) -> Relations:
        """Returns the relations to queries, keys, values and the mask."""
        if any(call.shape(number) is None for number in range(3)):
            return [call.all_of(number, exact=False) for number in range(len(call))]
        if output:  # Numbers that only the gradients need, or all probabilities.
            return [call.all_of(number, exact=False) for number in range(len(call))]
        keys, outer = self.keys(call), self.outer(call)
        steps = len(outer)
        found: list[Relation] = []
        for number, shape in enumerate(self.operands(call)):
            axes = [*self._outer_axes(call, number, shape, outer), FULL]
            seen = along_steps(steps, keys.seen()) if number else follow(steps)
            axes.insert(-1, seen)
            relation = Relation(tuple(axes))
            if number < 2:
                place_of = len(shape) - 2
                relation = exactly_seen(
                    call, keys, number, 2, relation, place_of, number == 0
                )
            found.append(relation)
        query, key, value = found
        named = {"query": query, "key": key, "value": value}
        mask = self.mask(call)
        if mask is not None:
            relation = self._of_mask(call, mask, outer)
            named |= dict.fromkeys(self.masks, relation)
        return related(call, named)

    def _outer_axes(
        self,
        call: Call,
        number: int,
        shape: Sequence[Size],
        outer: Sequence[Size],
    ) -> list[Axis]:
        """Returns the axes of an operand before its steps."""
        found = list(broadcast_axes(shape[:-2], outer))
        if number and self._shares_heads(call):
            group = divide(outer[-1], shape[-3])
            if not isinstance(group, int):
                call.fail(f"has {outer[-1]} heads, which share {shape[-3]} heads")
            found[-1] = follow(len(outer) - 1, quotient(group))
        return found

    def _of_mask(self, call: Call, number: int, outer: Sequence[Size]) -> Relation:
        """Returns the relation to the mask, whose axes broadcast."""
        shape = call.shape(number)
        if shape is None or len(shape) > len(outer) + 2:
            return call.all_of(number, exact=False)
        axes: list[Axis] = [*map(follow, range(len(outer) + 1)), FULL]
        found = [
            follow(0, constant(0, 0)) if size == 1 and axis != FULL else axis
            for axis, size in zip(axes[len(axes) - len(shape) :], shape, strict=True)
        ]
        return Relation(tuple(found))

    def shapes(self, call: Call) -> Sequence[Shape]:
        """Returns the shape of the result; others are only recorded."""
        if any(call.shape(number) is None for number in range(3)):
            return [None]
        query, _, value = self.operands(call)
        result: Shape = (*self.outer(call), query[-2], value[-1])
        return [result, *[None] * (len(call.node.definition.kinds) - 1)]

    def flops(self, call: Call) -> Flops:
        """Counts a multiply-add for each product with a key or a value."""
        query, key, value = self.operands(call)
        pairs = product([*self.outer(call), query[-2], key[-2]])
        return multiply_adds(pairs * (query[-1] + value[-1]), False)

    def layout(self, call: Call) -> tuple[int, Sequence[int]]:
        """Returns the number of the data input, and the axis of its steps."""
        return 0, (len(call.known_shape(0)) - 2,)

    def op(self) -> Op:
        """Returns the rules."""
        return Op(
            self.relations,
            self.shapes,
            layout=self.layout,
            flops=self.flops,
            chooses=True,
        )


register(
    "scaled_dot_product_attention _scaled_dot_product_attention_math "
    "_scaled_dot_product_cudnn_attention _scaled_dot_product_efficient_attention "
    "_scaled_dot_product_flash_attention "
    "_scaled_dot_product_flash_attention_for_cpu "
    "_scaled_dot_product_fused_attention_overrideable",
    Attention().op(),
)


class Flex(Attention):
    """The rules of attention whose scores a function changes, and whose mask is code.

    A query may see any key.
    """

    def keys(self, call: Call) -> Keys:
        """Returns which keys each query sees."""
        query, key, _ = self.operands(call)
        return Keys(query[-2], key[-2], is_known=False)

    def relations(self, call: Call, output: int) -> Relations:
        """Returns the relations to queries, keys and values; the rest are bounds."""
        if any(call.shape(number) is None for number in range(3)) or output:
            return [call.all_of(number, exact=False) for number in range(len(call))]
        keys, outer = self.keys(call), self.outer(call)
        found: list[Relation] = []
        for number, shape in enumerate(self.operands(call)):
            seen = (
                along_steps(len(outer), keys.seen()) if number else follow(len(outer))
            )
            axes = self._outer_axes(call, number, shape, outer)
            found.append(Relation((*axes, seen, FULL)))
        rest = [call.all_of(i, exact=False) for i in range(3, len(call))]
        return [*found, *rest]

    def _shares_heads(self, call: Call) -> bool:
        query, key, _ = self.operands(call)
        return len(key) > 2 and query[-3] != key[-3]


register("higher_order.flex_attention", Flex().op())

# --- Layers of attention that are one op ---------------------------------------------


def _hidden(call: Call, queries: Size, keys: Size) -> Keys:
    """Returns which keys a mask leaves. It is true where a key is hidden."""
    found, number = Keys(queries, keys), place(call, "mask")
    if number is None:
        return found
    value = call.value(number)
    if value is None or value.dtype == object:
        return found.without(None)
    if value.dtype.kind != "b":
        return found.without(value)
    is_of_keys = call.attribute("mask_type") == 1  # The axes are (batch, keys).
    shown = ~value[:, None, :] if is_of_keys else ~value
    return found.without(shown)


def _layered(call: Call, names: Sequence[str], output: int) -> Relations:
    """Relates a layer of attention to its sequences, with axes (batch, steps, ...)."""
    shapes = [shape_of(call, name) for name in names]
    if any(shape is None or len(shape) != 3 for shape in shapes):
        return [call.all_of(number, exact=False) for number in range(len(call))]
    if output:
        return [call.all_of(number, exact=False) for number in range(len(call))]
    known = [shape for shape in shapes if shape is not None]
    keys = _hidden(call, known[0][1], known[1 % len(known)][1])
    seen = keys.of_packed() if len(names) == 1 else keys.seen()
    found: dict[str, Relation | None] = {}
    for number, name in enumerate(names):
        is_query = number == 0 and len(names) > 1
        steps = follow(1) if is_query else along_steps(1, seen)
        relation = Relation((follow(0), steps, FULL))
        first, last = place(call, name), place(call, names[-1])
        if number < 2 and len(names) > 1 and first is not None and last is not None:
            relation = exactly_seen(call, keys, first, last, relation, 1, is_query)
        found[name] = relation
    mask = place(call, "mask")
    if mask is not None:
        found["mask"] = call.all_of(mask, exact=False)
    return related(call, found)


def _fast(call: Call, output: int) -> Relations:
    return _layered(call, ("query", "key", "value"), output)


def _fast_shapes(call: Call) -> Sequence[Shape]:
    return [shape_of(call, "query"), None]


def _fast_flops(call: Call) -> Flops:
    """Counts the projections, and the products with keys and values."""
    query, key = call.known_shape(0, 3), call.known_shape(1, 3)
    batch, steps, width = query
    projected = 2 * batch * (steps + key[1]) * width * width
    return multiply_adds(projected + 2 * product([*query, key[1]]), False)


register(
    "_native_multi_head_attention",
    Op(
        _fast,
        _fast_shapes,
        layout=lambda call: (0, (1,)),
        flops=_fast_flops,
        chooses=True,
    ),
)


def _encoded(call: Call, output: int) -> Relations:
    return _layered(call, ("src",), output)


def _encoded_shape(call: Call) -> Sequence[Shape]:
    return [shape_of(call, "src")]


def _encoded_flops(call: Call) -> Flops:
    """Counts the projections, the two products of attention, and two linear layers."""
    shape, hidden = call.known_shape(0, 3), shape_of(call, "ffn_weight_1")
    batch, steps, width = shape
    wide = 0 if hidden is None else hidden[0]
    linear = product([batch, steps, width]) * (4 * width + 2 * wide)
    return multiply_adds(linear + 2 * product([*shape, steps]), False)


register(
    "_transformer_encoder_layer_fwd",
    Op(
        _encoded,
        _encoded_shape,
        layout=lambda call: (0, (1,)),
        flops=_encoded_flops,
        chooses=True,
    ),
)
