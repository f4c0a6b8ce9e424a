"""The cells of recurrent layers: one step from inputs and states to new states."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from receptive_field.frameworks.keras.layers.call import LayerCall, matmul, rule
from receptive_field.frameworks.keras.layers.windows import convolved
from receptive_field.frameworks.keras.writer import Writer
from receptive_field.graph.graph import Tensor

Config = Mapping[str, Any]


def state_sizes(saved: Config) -> list[Any]:
    """Returns the number of channels of each state of a cell.

    Cells on top of each other have a list for each cell.

    Raises:
      LookupError: if the class of the cell is unknown.
    """
    kind, config = saved["class_name"], saved["config"]
    if kind == "StackedRNNCells":
        return [state_sizes(cell) for cell in config["cells"]]
    counts = {"SimpleRNNCell": 1, "GRUCell": 1, "LSTMCell": 2}
    return [config["units"]] * counts[kind]


def _given(call: LayerCall) -> tuple[Tensor, list[Any]]:
    """Returns the input and the states with which a cell is called."""
    given = call.given("inputs", "states")
    states = given["states"]
    return given["inputs"], states if isinstance(states, list) else [states]


def _split(w: Writer, x: Tensor, count: int) -> list[Tensor]:
    """Adds a split of the last axis into equal parts."""
    node, _ = w.op("Split", w.rank(x) - 1, x, num_split=count)
    return [(node, number) for number in range(count)]


def _product(call: LayerCall, x: Tensor, units: int, biased: bool = True) -> Tensor:
    """Adds a dense layer of a cell."""
    w = call.writer
    y = matmul(w, x, w.weight(w.shape(x)[-1], units))
    if biased and call.config.get("use_bias", True):
        y = w.op("BiasAdd", y, w.weight(units), data_format="NHWC")
    return y


@rule("SimpleRNNCell", arguments=True)
def _simple(call: LayerCall) -> list[Tensor]:
    w, units = call.writer, call.config["units"]
    x, (state,) = _given(call)
    x = _product(call, x, units)
    y = call.activated(w.op("AddV2", x, _product(call, state, units, biased=False)))
    return [y, y]


@rule("GRUCell", arguments=True)
def _gated(call: LayerCall) -> list[Tensor]:
    w, c = call.writer, call.config
    x, (state,) = _given(call)
    units, after = c["units"], c.get("reset_after", True)
    update, reset, new = _split(w, _product(call, x, 3 * units), 3)
    if after:
        old = _split(w, _product(call, state, 3 * units), 3)
    else:
        old = _split(w, _product(call, state, 2 * units, biased=False), 2)
    update, reset = (
        call.activated(w.op("AddV2", one, two), "recurrent_activation")
        for one, two in zip((update, reset), old, strict=False)
    )
    if after:
        kept = w.op("Mul", reset, old[2])
    else:
        kept = _product(call, w.op("Mul", reset, state), units, biased=False)
    new = call.activated(w.op("AddV2", new, kept))
    rest = w.op("Mul", w.op("Sub", 1.0, update), new)
    y = w.op("AddV2", w.op("Mul", update, state), rest)
    return [y, y]


def _remembered(call: LayerCall, gates: list[Tensor], carry: Tensor) -> list[Tensor]:
    """Adds the end of a cell with long memory: its output and its states."""
    w = call.writer
    taken, kept, shown = (
        call.activated(gates[number], "recurrent_activation") for number in (0, 1, 3)
    )
    new = w.op("Mul", taken, call.activated(gates[2]))
    carry = w.op("AddV2", w.op("Mul", kept, carry), new)
    y = w.op("Mul", shown, call.activated(carry))
    return [y, y, carry]


@rule("LSTMCell", arguments=True)
def _long_memory(call: LayerCall) -> list[Tensor]:
    w, units = call.writer, call.config["units"]
    x, (state, carry) = _given(call)
    x = _product(call, x, 4 * units)
    gates = w.op("AddV2", x, _product(call, state, 4 * units, biased=False))
    return _remembered(call, _split(w, gates, 4), carry)


@rule("ConvLSTMCell", arguments=True)
def _convolutional(call: LayerCall) -> list[Tensor]:
    w, filters = call.writer, call.config["filters"]
    x, (state, carry) = _given(call)
    plain = {"strides": 1, "dilation_rate": 1, "padding": "same"}
    again = call._replace(config={**call.config, **plain})
    gates = [
        w.op(
            "AddV2",
            call.biased(convolved(call, x, filters)),
            convolved(again, state, filters),
        )
        for _ in range(4)
    ]
    return _remembered(call, gates, carry)


@rule("StackedRNNCells", arguments=True)
def _stacked(call: LayerCall) -> list[Tensor]:
    x, states = _given(call)
    found: list[Tensor] = []
    for cell, own in zip(call.config["cells"], states, strict=True):
        x, *new = call.layer(cell, x, own)
        found += new
    return [x, *found]
