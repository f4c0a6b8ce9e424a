"""Recurrent layers, as loops over time steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from receptive_field.frameworks.keras.calls import leaves
from receptive_field.frameworks.keras.layers.call import (
    LayerCall,
    LayerRule,
    as_bool,
    rule,
)
from receptive_field.frameworks.keras.layers.cells import state_sizes
from receptive_field.frameworks.keras.writer import SHRINK, Writer
from receptive_field.graph.graph import Tensor

Config = Mapping[str, Any]


def _time_first(w: Writer, x: Tensor) -> Tensor:
    """Adds a swap of the first two axes."""
    return w.op("Transpose", x, [1, 0, *range(2, w.rank(x))])


def _first(w: Writer, x: Tensor) -> Tensor:
    return w.op("StridedSlice", x, [0], [1], [1], **SHRINK)


def _last(w: Writer, x: Tensor) -> Tensor:
    return w.op("StridedSlice", x, [-1], [0], [1], **{**SHRINK, "end_mask": 1})


def _like(states: Any, parts: Iterator[Any]) -> Any:
    """Returns lists like those of the states, with other parts in them."""
    if isinstance(states, list):
        return [_like(state, parts) for state in states]
    return next(parts)


def _shapes(call: LayerCall, cell: Config, x: Tensor) -> Any:
    """Returns the sizes of the axes of each state, for the input of a step."""
    w, c = call.writer, cell["config"]
    if "filters" not in c:
        units, batch = state_sizes(cell), w.size(x, 0)
        return _like(units, iter([w.sizes(batch, size) for size in leaves(units)]))
    sizes = []
    numbers = (call.numbers(n, x) for n in ("kernel_size", "strides", "dilation_rate"))
    for axis, kernel, stride, dilation in zip(call.spatial(x), *numbers, strict=True):
        extent = (kernel - 1) * dilation + 1 if c.get("padding") != "same" else 1
        size = w.op("AddV2", w.size(x, axis), stride - extent)
        sizes.append(w.op("FloorDiv", size, stride) if stride > 1 else size)
    shape = call.along(x, sizes, c["filters"])
    shape[0] = w.size(x, 0)
    return [w.sizes(*shape), w.sizes(*shape)]


def _states(call: LayerCall, cell: Config, x: Tensor, given: Any) -> Any:
    """Returns the states before the first step.

    They are zeros unless the caller gives them. The states that are left from the call
    before do not depend on the input, either.
    """
    shapes = _shapes(call, cell, x)
    if given is None:
        zeros = [call.writer.op("Fill", shape, 0.0) for shape in leaves(shapes)]
        return _like(shapes, iter(zeros))
    return _like(shapes, leaves(given))


def _of_steps(w: Writer, given: Any, x: Tensor) -> Tensor:
    """Adds the mask of the steps of a tensor, with the time as its first axis.

    It has at least as many axes as the outputs of all steps, one of which is ``x``.
    """
    mask = as_bool(w, next(iter(leaves(given))))
    for _ in range(w.rank(x) + 1 - w.rank(mask)):
        mask = w.op("ExpandDims", mask, -1)
    return _time_first(w, mask)


def _looped(
    call: LayerCall, cell: Config, x: Tensor, states: Any, given: Any, whole: bool
) -> tuple[Tensor, list[Tensor]]:
    """Adds a loop over time steps, and returns the outputs and the last states.

    Args:
      call: the call of the recurrent layer.
      cell: the cell that computes a step.
      x: the input, with the time as its first axis.
      states: the states before the first step.
      given: the mask of the input, or None. A step that is masked repeats the output
        and the states of the step before it.
      whole: whether the outputs of all steps are kept, or of the last only.
    """
    w, count = call.writer, call.writer.size(x, 0)
    first = call.layer(cell, _first(w, x), states)[0]
    mask = None if given is None else _of_steps(w, given, first)
    if call.config.get("go_backwards", False):
        x = w.op("ReverseV2", x, [0])
        mask = None if mask is None else w.op("ReverseV2", mask, [0])
    items = w.op("TensorListFromTensor", x, -1)
    shown = None if mask is None else w.op("TensorListFromTensor", mask, -1)
    # The cost of the first step is not counted for its shape.
    known = enumerate(w.shape(first)[1:], 1)
    sizes = [n if isinstance(n, int) else w.size(first, axis) for axis, n in known]
    shape = w.sizes(w.size(x, 1), *sizes)
    starts: list[Tensor] = [
        w.tensor(0),
        w.op("TensorListReserve", shape, count if whole else 1),
        *leaves(states),
    ]
    if shown is not None:
        starts.append(w.op("ZerosLike", first))
    carried = [w.op("Merge", start) for start in starts]
    time, outputs, *old = carried
    with w.body():
        item = w.op("TensorListGetItem", items, time, -1)
        last = [] if shown is None else [old.pop()]
        y, *new = call.layer(cell, item, _like(states, iter(old)))
        if shown is not None:
            real = w.op("TensorListGetItem", shown, time, -1)
            zeroed = call.config.get("zero_output_for_mask", False)
            y = w.op("SelectV2", real, y, starts[-1] if zeroed else last[0])
            new = [w.op("SelectV2", real, *pair) for pair in zip(new, old, strict=True)]
            last = [y]
        outputs = w.op("TensorListSetItem", outputs, time if whole else 0, y)
        values = [w.op("AddV2", time, 1), outputs, *new, *last]
    for start, merged, value in zip(starts, carried, values, strict=True):
        w.graph.nodes[merged[0]].read([start, w.op("NextIteration", value)])
    node, _ = w.op("While", w.op("Less", time, count), *carried)
    stacked = w.op("TensorListStack", (node, 1), shape)
    return stacked, [(node, number + 2) for number in range(len(new))]


def _unrolled(
    call: LayerCall, cell: Config, x: Tensor, states: Any, given: Any, whole: bool
) -> tuple[Tensor, list[Tensor]]:
    """Adds all time steps, and returns their outputs and the last states.

    The arguments are those of `_looped`.
    """
    w = call.writer
    count = w.shape(x)[0]
    if not isinstance(count, int):
        call.fail("an unknown number of steps to unroll")
    steps = _parts(call, x, count)
    outputs: list[Tensor] = []
    mask, shown = None, []
    for number, step in enumerate(steps):
        y, *new = call.layer(cell, step, states)
        if given is not None:
            if mask is None:
                mask = _of_steps(w, given, y)
                shown = _parts(call, mask, count)
            real, old = shown[number], leaves(states)
            y = w.op("SelectV2", real, y, (outputs or [w.op("ZerosLike", y)])[-1])
            new = [w.op("SelectV2", real, *pair) for pair in zip(new, old, strict=True)]
        states = _like(states, iter(new))
        outputs.append(y)
    zeroed = mask is not None and call.config.get("zero_output_for_mask", False)
    if zeroed and not whole:
        outputs[-1] = w.op("SelectV2", shown[-1], outputs[-1], 0.0)
    y = w.op("Pack", *outputs, axis=0)
    if zeroed and whole:
        # Keras does not reverse this mask if the layer goes backwards.
        y = w.op("SelectV2", mask, y, 0.0)
    return y, list(leaves(states))


def _parts(call: LayerCall, x: Tensor, count: int) -> list[Tensor]:
    """Adds a split into time steps, in the order in which the layer reads them."""
    node, _ = call.writer.op("Unpack", x, axis=0, num=count)
    steps = [(node, number) for number in range(count)]
    return steps[::-1] if call.config.get("go_backwards", False) else steps


_ARGUMENTS = "sequences", "initial_state", "mask"


def _of_outputs(call: LayerCall) -> list[Tensor | None]:
    """Returns the masks of the outputs; those of single steps and states have none."""
    c = call.config
    masks = leaves(call.mask_of(call.given(*_ARGUMENTS)["sequences"]))
    if not c.get("layer", {"config": c})["config"].get("return_sequences", False):
        return []
    return [next(masks)] * (2 if c.get("merge_mode", "concat") is None else 1)


def _recurrent(kind: str | None = None, name: str = "") -> LayerRule:
    """Returns the rule of a layer with a cell of this class, or of its own config."""

    def written(call: LayerCall) -> list[Tensor]:
        w, c, given = call.writer, call.config, call.given(*_ARGUMENTS)
        own = {"class_name": kind, "config": {**c, "name": name}, "module": "keras"}
        cell: Config = own if kind else c["cell"]
        x = _time_first(w, given["sequences"])
        first, whole = _first(w, x), c.get("return_sequences", False)
        states = _states(call, cell, first, given.get("initial_state"))
        if cell["class_name"] == "StackedRNNCells":
            # Keras calls these cells once more, for their dropout.
            for part, state in zip(cell["config"]["cells"], states, strict=True):
                first = call.layer(part, first, state)[0]
        all_steps = _unrolled if c.get("unroll", False) else _looped
        outputs, states = all_steps(call, cell, x, states, given.get("mask"), whole)
        y = _time_first(w, outputs) if whole else _last(w, outputs)
        return [y, *states] if c.get("return_state", False) else [y]

    return written


for _names, _cell in {
    "RNN": (),
    "SimpleRNN": ("SimpleRNNCell", "simple_rnn_cell"),
    "GRU": ("GRUCell", "gru_cell"),
    "LSTM": ("LSTMCell", "lstm_cell"),
    "ConvLSTM1D ConvLSTM2D ConvLSTM3D": ("ConvLSTMCell", "conv_lstm_cell"),
}.items():
    rule(_names, arguments=True, masks=_of_outputs)(_recurrent(*_cell))


def _renamed(saved: Config, prefix: str, **more: Any) -> Config:
    config = saved["config"]
    name = prefix + config["name"].removeprefix(prefix)
    return {**saved, "name": name, "config": {**config, "name": name, **more}}


_MERGED = {"sum": "AddV2", "ave": "AddV2", "mul": "Mul"}


@rule("Bidirectional", arguments=True, masks=_of_outputs)
def _bidirectional(call: LayerCall) -> list[Tensor]:
    w, c, given = call.writer, call.config, call.given(*_ARGUMENTS)
    layer, x, mode = c["layer"], given["sequences"], c.get("merge_mode", "concat")
    whole = layer["config"].get("return_sequences", False)
    back = c.get("backward_layer")
    back = back or _renamed(layer, "backward_", go_backwards=True)
    states = list(leaves(given.get("initial_state", [])))
    half, mask = len(states) // 2, given.get("mask")
    (one, *kept), (two, *kept_back) = (
        call.layer(
            _renamed(part, prefix, zero_output_for_mask=whole),
            x,
            initial_state=own or None,
            mask=mask,
        )
        for part, prefix, own in (
            (layer, "forward_", states[:half]),
            (back, "", states[half:]),
        )
    )
    if whole:
        two = w.op("ReverseV2", two, [1])
    if mode is None:
        return [one, two, *kept, *kept_back]
    if mode == "concat":
        y = w.op("ConcatV2", one, two, -1)
    else:
        y = w.op(_MERGED[mode], one, two)
        y = w.op("RealDiv", y, 2.0) if mode == "ave" else y
    return [y, *kept, *kept_back]
