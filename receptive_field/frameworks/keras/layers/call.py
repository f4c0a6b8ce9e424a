"""The rule of each layer class: which ops a call of the layer runs at inference."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

from receptive_field.frameworks.keras.activations import ACTIVATIONS
from receptive_field.frameworks.keras.calls import NoRuleError
from receptive_field.frameworks.keras.masks import added
from receptive_field.frameworks.keras.writer import FLOAT, Writer
from receptive_field.graph.graph import Tensor


class LayerCall(NamedTuple):
    """A call of a layer."""

    writer: Writer
    config: Mapping[str, Any]
    inputs: Sequence[Tensor]
    """The tensors that the layer is called with."""
    arguments: Sequence[Any]
    """All arguments, with those that are no tensors; and keyword arguments."""
    keywords: Mapping[str, Any]
    write: Callable[..., Sequence[Tensor]]
    """Writes a call of another layer; see `layer`."""
    in_training: bool = False
    """Whether the layer is called in training mode, also at inference."""

    @property
    def x(self) -> Tensor:
        """The only tensor that the layer is called with."""
        if len(self.inputs) != 1:
            self.fail("several inputs")
        return self.inputs[0]

    @property
    def is_channels_first(self) -> bool:
        """Whether the axis of channels comes before the spatial axes."""
        return bool(self.config.get("data_format") == "channels_first")

    def fail(self, reason: str) -> NoReturn:
        """Raises the error that the layer cannot be written for this reason."""
        raise NoRuleError(reason)

    def layer(
        self,
        saved: Mapping[str, Any],
        *arguments: Any,
        recorded: bool = True,
        **more: Any,
    ) -> Sequence[Tensor]:
        """Writes a call of a layer that is a part of this one.

        Args:
          saved: the entry of the layer in a config: its class and its own config.
          *arguments: what it is called with.
          recorded: whether the call has a name, like those of the model. Calls in a
            loop have none.
          **more: its keyword arguments.

        Returns:
          Its outputs.
        """
        return self.write(saved, arguments, more, recorded)

    def given(self, *names: str) -> dict[str, Any]:
        """Returns the arguments that are not None, by these names in their order."""
        found = {**dict(zip(names, self.arguments, strict=False)), **self.keywords}
        found = {name: value for name, value in found.items() if value is not None}
        if len(self.arguments) > len(names) or not found.keys() <= set(names):
            self.fail("it is called with other arguments")
        return found | added(names, found, self.masks, _is_tensor)

    def masks(self, given: Any) -> Any:
        """Returns the masks of the tensors in an argument, or None if it has none.

        They are in the same lists; what has no mask is None.
        """
        if isinstance(given, list):
            masks = [self.masks(part) for part in given]
            return masks if any(mask is not None for mask in masks) else None
        return self.writer.masks.of(given) if _is_tensor(given) else None

    def mask_of(self, given: Any) -> Any:
        """Returns the mask that the layer is given by name, or else the argument's."""
        mask = self.keywords.get("mask")
        return self.masks(given) if mask is None else mask

    def spatial(self, tensor: Tensor) -> list[int]:
        """Returns the spatial axes of a tensor."""
        first = 2 if self.is_channels_first else 1
        return list(range(first, first + self.writer.rank(tensor) - 2))

    def channels(self, tensor: Tensor) -> Any:
        """Returns the number of channels of a tensor."""
        return self.writer.shape(tensor)[1 if self.is_channels_first else -1]

    def along(self, tensor: Tensor, values: Sequence[Any], other: Any) -> list[Any]:
        """Returns a value for each axis: one of ``values`` for each spatial axis."""
        axes, found = self.spatial(tensor), [other] * self.writer.rank(tensor)
        if len(values) != len(axes):
            self.fail("does not fit the rank of its input")
        for axis, value in zip(axes, values, strict=True):
            found[axis] = value
        return found

    def numbers(self, name: str, tensor: Tensor, default: Any = 1) -> list[int]:
        """Returns an option that has one number for each spatial axis."""
        value = self.config.get(name)
        value = default if value is None else value
        if isinstance(value, int):
            return [value] * len(self.spatial(tensor))
        return list(value)

    def activated(self, tensor: Tensor, name: str = "activation") -> Tensor:
        """Returns the tensor after an activation function of the layer."""
        return activation(self, tensor, self.config.get(name))

    def biased(self, tensor: Tensor) -> Tensor:
        """Returns the tensor with a bias added to its channels, if there is one."""
        if not self.config.get("use_bias", True):
            return tensor
        w, count = self.writer, self.channels(tensor)
        if self.is_channels_first:
            shape = (count, *[1] * (w.rank(tensor) - 2))
            return w.op("AddV2", tensor, w.weight(1, *shape))
        return w.op("BiasAdd", tensor, w.weight(count), data_format="NHWC")


LayerRule = Callable[[LayerCall], Tensor | list[Tensor]]

MaskRule = Callable[[LayerCall], Any]

LAYERS: dict[str, LayerRule] = {}
"""Name of a layer class -> its rule."""

MASKS: dict[str, MaskRule] = {}
"""Name of a layer class -> a function that writes the masks of its outputs.

The outputs of other classes have no masks."""

MOST_CHANNELS = 1 << 16
"""The most channels of which a constant is written."""


WITH_ARGUMENTS: set[str] = set()
"""The classes whose rules read `LayerCall.arguments`, not only the tensors in them."""


def passed_on(call: LayerCall) -> Any:
    """Returns the mask of the first argument of a call."""
    return call.mask_of([*call.arguments, *call.keywords.values()][0])


def rule(
    names: str, arguments: bool = False, masks: MaskRule | None = None
) -> Callable[[LayerRule], LayerRule]:
    """Returns a decorator that makes a function the rule of some layer classes.

    Args:
      names: the classes, with spaces between them.
      arguments: whether the function reads the arguments of a call.
      masks: a function that writes the masks of the outputs, if they have any.
    """

    def register(function: LayerRule) -> LayerRule:
        if arguments:
            WITH_ARGUMENTS.update(names.split())
        if masks is not None:
            MASKS.update(dict.fromkeys(names.split(), masks))
        LAYERS.update(dict.fromkeys(names.split(), function))
        return function

    return register


def activation(call: LayerCall, tensor: Tensor, given: Any) -> Tensor:
    """Returns the tensor after an activation function, as a config states it."""
    if given is None:
        return tensor
    if isinstance(given, Mapping):
        if given.get("class_name") == "function" and not given.get("registered_name"):
            given = given["config"]
        elif given.get("class_name") in LAYERS:
            return call.layer(given, tensor)[0]
    if given not in ACTIVATIONS:
        call.fail(f"the activation {given!r}")
    return ACTIVATIONS[given](call.writer, tensor)


def axes_of(call: LayerCall, x: Tensor | None = None) -> list[int]:
    """Returns the option ``axis`` as a list of axes of a tensor, counted from 0."""
    axis = call.config.get("axis", -1)
    axes = axis if isinstance(axis, (list, tuple)) else [axis]
    rank = call.writer.rank(call.x if x is None else x)
    if not all(-rank <= number < rank for number in axes):
        call.fail(f"axis is {axis}, and its input has {rank} axes")
    return [number % rank for number in axes]


def softmax(w: Writer, x: Tensor, axes: Sequence[int]) -> Tensor:
    """Adds a softmax over some axes."""
    rank = w.rank(x)
    if len(axes) > 1:
        top = w.op("Max", x, list(axes), keep_dims=True)
        total = w.op(
            "Sum", w.op("Exp", w.op("Sub", x, top)), list(axes), keep_dims=True
        )
        return w.op("Exp", w.op("Sub", x, w.op("AddV2", w.op("Log", total), top)))
    order = [*range(rank)]
    order[axes[0]], order[-1] = rank - 1, axes[0]
    if order[-1] == rank - 1:
        return w.op("Softmax", x)
    return w.op("Transpose", w.op("Softmax", w.op("Transpose", x, order)), order)


def _is_tensor(thing: Any) -> bool:
    return isinstance(thing, tuple)


def as_bool(w: Writer, mask: Any) -> Tensor:
    """Adds whether the values of a mask are true."""
    return w.op("Greater", w.op("Cast", mask, DstT=FLOAT), 0.5)


def moments(w: Writer, x: Tensor, axes: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Adds the mean and the variance over some axes, which are kept."""
    mean = w.op("Mean", x, list(axes), keep_dims=True)
    squares = w.op("SquaredDifference", x, w.op("StopGradient", mean))
    return mean, w.op("Mean", squares, list(axes), keep_dims=True)


def sliced(w: Writer, x: Tensor, starts: Sequence[Any], ends: Sequence[Any]) -> Tensor:
    """Adds a slice of a tensor; an end of 0 is the end of the axis."""
    whole = sum(1 << axis for axis, end in enumerate(ends) if end == 0)
    return w.op(
        "StridedSlice",
        x,
        w.sizes(*starts),
        w.sizes(*ends),
        [1] * len(ends),
        begin_mask=0,
        end_mask=whole,
        ellipsis_mask=0,
        new_axis_mask=0,
        shrink_axis_mask=0,
    )


def normalized(w: Writer, x: Tensor, axes: Sequence[int], least: float) -> Tensor:
    """Adds a division by the length of the vectors along some axes."""
    squares = w.op("Sum", w.op("Square", x), list(axes), keep_dims=True)
    return w.op("Mul", x, w.op("Minimum", w.op("Rsqrt", squares), 1 / least))


def matmul(w: Writer, one: Tensor, two: Tensor, **options: bool) -> Tensor:
    """Adds a product of matrices."""
    if w.rank(one) == w.rank(two) == 2 and not options:
        return w.op("MatMul", one, two)
    return w.op("BatchMatMulV2", one, two, **options)


def number_of(value: Any) -> Any:
    """Returns a number of a config, which may be written as an array."""
    if isinstance(value, Mapping) and value.get("class_name") == "__numpy__":
        value = value["config"]["value"]
    return value


def padded(call: LayerCall, tensor: Tensor, pads: Sequence[Sequence[int]]) -> Tensor:
    """Returns the tensor, with zeros before and after its spatial axes."""
    zeros = call.along(tensor, [list(pair) for pair in pads], [0, 0])
    return call.writer.op("Pad", tensor, zeros)
