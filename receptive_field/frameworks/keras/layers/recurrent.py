"""The rules of recurrent layers, and of the cells that they run at each time step.

The call of a cell takes the input of one time step and the states. Its outputs are that
of the step, and the next states.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from receptive_field.frameworks.keras.layers.call import LAYERS, LayerCall, rule
from receptive_field.frameworks.keras.layers.windows import convolution
from receptive_field.frameworks.keras.writer import SHRINK, Writer
from receptive_field.graph.graph import Tensor

Saved = Mapping[str, Any]
"""The entry of a layer in a config."""

Step = Callable[..., list[Tensor]]
"""Writes a call of a cell, for the input of a time step and the states."""


def _split(w: Writer, x: Tensor, axis: int, count: int) -> list[Tensor]:
    """Adds a split of an axis into equal parts."""
    node, _ = w.op("Split", axis, x, num_split=count)
    return [(node, number) for number in range(count)]


def _product(call: LayerCall, x: Tensor, gates: int) -> Tensor:
    """Adds a product with the next weight of the cell."""
    w = call.writer
    return w.op("MatMul", x, w.weight(w.shape(x)[-1], gates * call.config["units"]))


def _with_bias(call: LayerCall, x: Tensor, gates: int) -> Tensor:
    """Returns the tensor with the next bias of the cell added, if the cell has one."""
    if not call.config.get("use_bias", True):
        return x
    w = call.writer
    return w.op(
        "BiasAdd", x, w.weight(gates * call.config["units"]), data_format="NHWC"
    )


@rule("SimpleRNNCell")
def _simple_cell(call: LayerCall) -> list[Tensor]:
    x, state = call.inputs
    read = _with_bias(call, _product(call, x, 1), 1)
    y = call.activated(call.writer.op("AddV2", read, _product(call, state, 1)))
    return [y, y]


def _remembered(
    call: LayerCall, read: Tensor, state: Tensor, carried: Tensor, axis: int
) -> list[Tensor]:
    """Adds the gates of an LSTM, to what it read and what its state becomes."""
    w = call.writer
    gates = _split(w, w.op("AddV2", read, state), axis, 4)
    inward, forget, output = (
        call.activated(gates[number], "recurrent_activation") for number in (0, 1, 3)
    )
    new = w.op("Mul", inward, call.activated(gates[2]))
    carry = w.op("AddV2", w.op("Mul", forget, carried), new)
    y = w.op("Mul", output, call.activated(carry))
    return [y, y, carry]


@rule("LSTMCell")
def _lstm_cell(call: LayerCall) -> list[Tensor]:
    x, state, carried = call.inputs
    read = _with_bias(call, _product(call, x, 4), 4)
    return _remembered(call, read, _product(call, state, 4), carried, 1)


@rule("ConvLSTMCell")
def _convolutional_cell(call: LayerCall) -> list[Tensor]:
    x, state, carried = call.inputs
    config = {**call.config, "filters": 4 * call.config["filters"], "activation": None}
    inner = {"padding": "same", "strides": 1, "dilation_rate": 1, "use_bias": False}
    read = convolution(call._replace(config=config, inputs=[x]))
    again = convolution(call._replace(config={**config, **inner}, inputs=[state]))
    axis = 1 if call.is_channels_first else call.writer.rank(x) - 1
    return _remembered(call, read, again, carried, axis)


@rule("GRUCell")
def _gru_cell(call: LayerCall) -> list[Tensor]:
    w, (x, state) = call.writer, call.inputs
    units, is_late = call.config["units"], call.config.get("reset_after", True)
    read = _split(w, _with_bias(call, _product(call, x, 3), 3), 1, 3)
    if is_late:
        inner = _split(w, _with_bias(call, _product(call, state, 3), 3), 1, 3)
    else:
        kernels = _split(w, w.weight(units, 3 * units), 1, 3)
        inner = [w.op("MatMul", state, kernel) for kernel in kernels[:2]]
    update, reset = (
        call.activated(w.op("AddV2", *pair), "recurrent_activation")
        for pair in zip(read[:2], inner[:2], strict=True)
    )
    if is_late:
        seen = w.op("Mul", reset, inner[2])
    else:
        seen = w.op("MatMul", w.op("Mul", reset, state), kernels[2])
    new = call.activated(w.op("AddV2", read[2], seen))
    kept = w.op("Mul", update, state)
    y = w.op("AddV2", kept, w.op("Mul", w.op("Sub", 1.0, update), new))
    return [y, y]


@rule("StackedRNNCells")
def _stacked_cells(call: LayerCall) -> list[Tensor]:
    y, *states = call.inputs
    after: list[Tensor] = []
    for cell in call.config["cells"]:
        count = len(_units(call, cell))
        mine, states = states[:count], states[count:]
        y, *new = call.write(cell, [y, *mine], {})
        after += new
    return [y, *after]


def _units(call: LayerCall, cell: Saved) -> list[int]:
    """Returns the number of channels of each state of a cell."""
    kind, config = cell["class_name"], cell["config"]
    if kind == "StackedRNNCells":
        if config.get("reverse_state_order", False):
            call.fail("the states are in reverse order")
        return [units for part in config["cells"] for units in _units(call, part)]
    counts = {"SimpleRNNCell": 1, "GRUCell": 1, "LSTMCell": 2}
    if kind not in counts:
        call.fail(f"the cell {kind}")
    return [config["units"]] * counts[kind]


def _is_backwards(call: LayerCall) -> bool:
    return bool(call.config.get("go_backwards", False))


def _looped(
    call: LayerCall, x: Tensor, states: Sequence[Tensor], step: Step, is_whole: bool
) -> tuple[Tensor, list[Tensor]]:
    """Adds a loop over the time steps, which are the first axis of ``x``.

    Keras also calls the cell once before the loop, for the shape of its output.

    Returns:
      The outputs of all steps, or only of the last one, and the last states.
    """
    w = call.writer
    count = w.size(x, 0)
    begin = w.op("StridedSlice", x, [0], [1], [1], **SHRINK)
    sizes = w.op("Shape", begin)
    if _is_backwards(call):
        x = w.op("ReverseV2", x, [0])
    items = w.op("TensorListFromTensor", x, sizes)
    made = w.op("Shape", step(begin, states, is_recorded=True)[0])
    reserved = w.op("TensorListReserve", made, count if is_whole else 1)

    def goes_on(time: Tensor, *_: Tensor) -> Tensor:
        return w.op("Less", time, count)

    def body(time: Tensor, outputs: Tensor, *before: Tensor) -> list[Tensor]:
        item = w.op("TensorListGetItem", items, time, sizes)
        y, *after = step(item, before)
        written = w.op("TensorListSetItem", outputs, time if is_whole else 0, y)
        return [w.op("AddV2", time, 1), written, *after]

    _, outputs, *after = w.loop([w.tensor(0), reserved, *states], goes_on, body)
    return w.op("TensorListStack", outputs, made), after


def _unrolled(
    call: LayerCall, x: Tensor, states: Sequence[Tensor], step: Step, is_whole: bool
) -> tuple[Tensor, list[Tensor]]:
    """Adds the time steps one after the other; otherwise like `_looped`."""
    w = call.writer
    count = w.shape(x)[0]
    if not isinstance(count, int):
        call.fail("the number of time steps is unknown")
    node, _ = w.op("Unpack", x, axis=0, num=count)
    numbers = list(range(count))
    outputs, after = [], list(states)
    for number in numbers[:: -1 if _is_backwards(call) else 1]:
        y, *after = step((node, number), after, is_recorded=True)
        outputs.append(y)
    return w.op("Pack", *outputs[0 if is_whole else -1 :], axis=0), after


def _over_time(
    call: LayerCall, cell: Saved, states_of: Callable[[Tensor], list[Tensor]]
) -> list[Tensor]:
    """Writes a recurrent layer.

    Args:
      call: the call of the layer.
      cell: the cell that it runs.
      states_of: returns the states at the start, if they are not given.
    """
    w, c, (x, *states) = call.writer, call.config, call.inputs

    def step(
        x: Tensor, states: Sequence[Tensor], is_recorded: bool = False
    ) -> list[Tensor]:
        return list(call.write(cell, [x, *states], {}, is_recorded))

    states = states or states_of(x)
    swapped = [1, 0, *range(2, w.rank(x))]
    steps, is_whole = w.op("Transpose", x, swapped), c.get("return_sequences", False)
    write = _unrolled if c.get("unroll", False) else _looped
    outputs, after = write(call, steps, states, step, is_whole)
    if is_whole:
        y = w.op("Transpose", outputs, [1, 0, *range(2, w.rank(outputs))])
    else:
        y = w.op("StridedSlice", outputs, [-1], [0], [1], **SHRINK | {"end_mask": 1})
    return [y, *after] if c.get("return_state", False) else [y]


def _recurrent(call: LayerCall, cell: Saved) -> list[Tensor]:
    """Writes a recurrent layer of which all states have one axis."""

    def zeros(x: Tensor) -> list[Tensor]:
        w = call.writer
        sizes = [w.sizes(w.size(x, 0), units) for units in _units(call, cell)]
        return [w.op("Fill", size, 0.0) for size in sizes]

    return _over_time(call, cell, zeros)


@rule("RNN")
def _with_given_cell(call: LayerCall) -> list[Tensor]:
    return _recurrent(call, call.config["cell"])


def _cell(call: LayerCall, kind: str, name: str) -> Saved:
    """Returns the entry of the cell that a layer makes from its own arguments."""
    config = {**call.config, "name": name}
    return {"class_name": kind, "module": "keras.layers", "config": config}


def _with_cell(kind: str, name: str) -> Callable[[LayerCall], list[Tensor]]:
    return lambda call: _recurrent(call, _cell(call, kind, name))


LAYERS |= {
    "SimpleRNN": _with_cell("SimpleRNNCell", "simple_rnn_cell"),
    "LSTM": _with_cell("LSTMCell", "lstm_cell"),
    "GRU": _with_cell("GRUCell", "gru_cell"),
}


@rule("ConvLSTM1D ConvLSTM2D ConvLSTM3D")
def _convolutional(call: LayerCall) -> list[Tensor]:
    def zeros(x: Tensor) -> list[Tensor]:
        w = call.writer
        item = w.op("StridedSlice", x, [0, 0], [0, 1], [1, 1], **FIRST_STEP)
        sizes = [
            _convolved_size(call, w.shape(item)[axis], *numbers)
            for axis, *numbers in zip(
                call.spatial(item),
                *(call.numbers(name, item) for name in WINDOW),
                strict=True,
            )
        ]
        shape = call.along(item, sizes, call.config["filters"])
        shape[0] = w.size(x, 0)
        return [w.op("Fill", w.sizes(*shape), 0.0)] * 2

    return _over_time(call, _cell(call, "ConvLSTMCell", "conv_lstm_cell"), zeros)


WINDOW = ("kernel_size", "strides", "dilation_rate")

FIRST_STEP = {**SHRINK, "shrink_axis_mask": 2, "begin_mask": 1, "end_mask": 1}
"""The attributes of a StridedSlice that takes the first position of the second axis."""


def _convolved_size(
    call: LayerCall, size: Any, kernel: int, stride: int, dilation: int
) -> int:
    """Returns the size of the output of a convolution on one axis."""
    if not isinstance(size, int):
        call.fail("the size of its images is unknown")
    lost = dilation * (kernel - 1) if call.config.get("padding") == "valid" else 0
    return -(-(size - lost) // stride)


MERGES = {"sum": "AddV2", "ave": "AddV2", "mul": "Mul"}


def _renamed(saved: Saved, prefix: str, **options: Any) -> Saved:
    """Returns the entry of a layer with a prefix to its name, and other options."""
    name = prefix + saved["config"]["name"].removeprefix(prefix)
    return {
        **saved,
        "name": name,
        "config": {**saved["config"], **options, "name": name},
    }


@rule("Bidirectional")
def _bidirectional(call: LayerCall) -> list[Tensor]:
    w, c = call.writer, call.config
    one = c["layer"]
    forward = _renamed(one, "forward_")
    backward = c.get("backward_layer") or _renamed(one, "backward_", go_backwards=True)
    x, *states = call.inputs
    half = len(states) // 2
    y, *after = call.write(forward, [x, *states[:half]], {})
    reverse, *more = call.write(backward, [x, *states[half:]], {})
    if one["config"].get("return_sequences", False):
        reverse = w.op("ReverseV2", reverse, [1])
    mode = c.get("merge_mode", "concat")
    if mode is None:
        return [y, reverse, *after, *more]
    if mode == "concat":
        merged = w.op("ConcatV2", y, reverse, -1)
    else:
        merged = w.op(MERGES[mode], y, reverse)
    if mode == "ave":
        merged = w.op("RealDiv", merged, 2.0)
    return [merged, *after, *more]
