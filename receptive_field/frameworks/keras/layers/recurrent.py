"""Recurrent layers, as loops over time steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from receptive_field.frameworks.keras.calls import leaves
from receptive_field.frameworks.keras.layers.call import LayerCall, LayerRule, rule
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


def _looped(
    call: LayerCall, cell: Config, x: Tensor, states: Any, whole: bool
) -> tuple[Tensor, list[Tensor]]:
    """Adds a loop over time steps, and returns the outputs and the last states.

    Args:
      call: the call of the recurrent layer.
      cell: the cell that computes a step.
      x: the input, with the time as its first axis.
      states: the states before the first step.
      whole: whether the outputs of all steps are kept, or of the last only.
    """
    w, count = call.writer, call.writer.size(x, 0)
    first = call.layer(cell, _first(w, x), states)[0]
    if call.config.get("go_backwards", False):
        x = w.op("ReverseV2", x, [0])
    items = w.op("TensorListFromTensor", x, -1)
    # The cost of the first step is not counted for its shape.
    known = enumerate(w.shape(first)[1:], 1)
    sizes = [n if isinstance(n, int) else w.size(first, axis) for axis, n in known]
    shape = w.sizes(w.size(x, 1), *sizes)
    starts: list[Tensor] = [
        w.tensor(0),
        w.op("TensorListReserve", shape, count if whole else 1),
        *leaves(states),
    ]
    carried = [w.op("Merge", start) for start in starts]
    time, outputs, *old = carried
    with w.body():
        item = w.op("TensorListGetItem", items, time, -1)
        y, *new = call.layer(cell, item, _like(states, iter(old)))
        outputs = w.op("TensorListSetItem", outputs, time if whole else 0, y)
        values = [w.op("AddV2", time, 1), outputs, *new]
    for start, merged, value in zip(starts, carried, values, strict=True):
        w.graph.nodes[merged[0]].read([start, w.op("NextIteration", value)])
    node, _ = w.op("While", w.op("Less", time, count), *carried)
    stacked = w.op("TensorListStack", (node, 1), shape)
    return stacked, [(node, number + 2) for number in range(len(new))]


def _unrolled(
    call: LayerCall, cell: Config, x: Tensor, states: Any
) -> tuple[Tensor, list[Tensor]]:
    """Adds all time steps, and returns their outputs and the last states."""
    w = call.writer
    count = w.shape(x)[0]
    if not isinstance(count, int):
        call.fail("an unknown number of steps to unroll")
    node, _ = w.op("Unpack", x, axis=0, num=count)
    steps = [(node, number) for number in range(count)]
    if call.config.get("go_backwards", False):
        steps.reverse()
    outputs = []
    for step in steps:
        y, *new = call.layer(cell, step, states)
        states = _like(states, iter(new))
        outputs.append(y)
    return w.op("Pack", *outputs, axis=0), list(leaves(states))


def _recurrent(kind: str | None = None, name: str = "") -> LayerRule:
    """Returns the rule of a layer with a cell of this class, or of its own config."""

    def written(call: LayerCall) -> list[Tensor]:
        w, c, given = call.writer, call.config, call.given("sequences", "initial_state")
        own = {"class_name": kind, "config": {**c, "name": name}, "module": "keras"}
        cell: Config = own if kind else c["cell"]
        x = _time_first(w, given["sequences"])
        first, whole = _first(w, x), c.get("return_sequences", False)
        states = _states(call, cell, first, given.get("initial_state"))
        if cell["class_name"] == "StackedRNNCells":
            # Keras calls these cells once more, for their dropout.
            for part, state in zip(cell["config"]["cells"], states, strict=True):
                first = call.layer(part, first, state)[0]
        if c.get("unroll", False):
            outputs, states = _unrolled(call, cell, x, states)
        else:
            outputs, states = _looped(call, cell, x, states, whole)
        y = _time_first(w, outputs) if whole else _last(w, outputs)
        return [y, *states] if c.get("return_state", False) else [y]

    return written


rule("RNN", arguments=True)(_recurrent())
rule("SimpleRNN", arguments=True)(_recurrent("SimpleRNNCell", "simple_rnn_cell"))
rule("GRU", arguments=True)(_recurrent("GRUCell", "gru_cell"))
rule("LSTM", arguments=True)(_recurrent("LSTMCell", "lstm_cell"))
rule("ConvLSTM1D ConvLSTM2D ConvLSTM3D", arguments=True)(
    _recurrent("ConvLSTMCell", "conv_lstm_cell")
)


def _renamed(saved: Config, prefix: str, **more: Any) -> Config:
    config = saved["config"]
    name = prefix + config["name"].removeprefix(prefix)
    return {**saved, "name": name, "config": {**config, "name": name, **more}}


_MERGED = {"sum": "AddV2", "ave": "AddV2", "mul": "Mul"}


@rule("Bidirectional", arguments=True)
def _bidirectional(call: LayerCall) -> list[Tensor]:
    w, c, given = call.writer, call.config, call.given("sequences", "initial_state")
    layer, x, mode = c["layer"], given["sequences"], c.get("merge_mode", "concat")
    back = c.get("backward_layer")
    back = back or _renamed(layer, "backward_", go_backwards=True)
    states = list(leaves(given.get("initial_state")))
    half = len(states) // 2
    one, *kept = call.layer(
        _renamed(layer, "forward_"), x, initial_state=states[:half] or None
    )
    two, *kept_back = call.layer(back, x, initial_state=states[half:] if half else None)
    if layer["config"].get("return_sequences", False):
        two = w.op("ReverseV2", two, [1])
    if mode is None:
        return [one, two, *kept, *kept_back]
    if mode == "concat":
        y = w.op("ConcatV2", one, two, -1)
    else:
        y = w.op(_MERGED[mode], one, two)
        y = w.op("RealDiv", y, 2.0) if mode == "ave" else y
    return [y, *kept, *kept_back]
