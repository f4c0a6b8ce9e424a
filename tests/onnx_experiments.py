"""Which positions matter in an ONNX model, found by running it with onnxruntime.

As in `dependency.py`, one input position after another is disturbed. Models are run
without optimisations and on one thread, so an output that does not depend on a position
is computed in the same way, bit by bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from unittest import mock

import numpy as np
from dependency import (
    EXPERIMENTS,
    Channels,
    _check_regions,
    _differ,
    _features,
    _places,
    _positions,
    hold_lines,
    hold_support,
    windows_of,
)
from needed import needed

import receptive_field as rf
from receptive_field.network import layout

onnx = needed("onnx")
onnx_reference = needed("onnx.reference")
onnxruntime = needed("onnxruntime")

OPSET = 22
IR_VERSION = 10


def operation(
    op: str,
    shape: Sequence[int | str],
    *inputs: Any,
    output: int = 0,
    outputs: int = 1,
    opset: int = OPSET,
    domain: str = "",
    dtype: Any = "float32",
    **attributes: Any,
) -> Any:
    """A model of one node, from an input "x" of this shape to an output "y".

    Args:
      op: the op type.
      shape: the shape of the first input; texts are names of unknown sizes.
      inputs: constants for the other inputs; None for one that is not given.
      output: the number of the output that is called "y".
      outputs: how many outputs the node has.
      opset: the version of the operator set.
      domain: the domain of the op.
      dtype: the type of the first input.
      attributes: those of the node.
    """
    names, tensors = ["x"], []
    for number, constant in enumerate(inputs):
        names.append("" if constant is None else f"constant_{number}")
        if constant is not None:
            array = np.asarray(constant)
            tensors.append(onnx.numpy_helper.from_array(array, names[-1]))
    returned = ["y" if k == output else f"other_{k}" for k in range(outputs)]
    node = onnx.helper.make_node(op, names, returned, domain=domain, **attributes)
    return model_of([node], {"x": (dtype, shape)}, ["y"], tensors, opset)


def model_of(
    nodes: Sequence[Any],
    inputs: dict[str, tuple[Any, Sequence[int | str]]],
    outputs: Sequence[str],
    constants: Sequence[Any] = (),
    opset: int = OPSET,
    **fields: Any,
) -> Any:
    """A model of these nodes. The types of its outputs are inferred if possible."""
    kind = onnx.helper.np_dtype_to_tensor_dtype
    given = [
        onnx.helper.make_tensor_value_info(name, kind(np.dtype(dtype)), shape)
        for name, (dtype, shape) in inputs.items()
    ]
    returned = [onnx.helper.make_empty_tensor_value_info(name) for name in outputs]
    graph = onnx.helper.make_graph(nodes, "graph", given, returned, constants)
    opsets = [
        onnx.helper.make_opsetid("", opset),
        onnx.helper.make_opsetid("com.microsoft", 1),
        onnx.helper.make_opsetid("ai.onnx.ml", 3),
    ]
    return onnx.helper.make_model(
        graph, opset_imports=opsets, ir_version=IR_VERSION, **fields
    )


class Session:
    """Runs a model from one input to one output."""

    def __init__(self, model: Any, source: str = "x", result: str = "y") -> None:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = (
            onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        )
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self._source, self._result = source, result

    def __call__(self, image: Any) -> Any:
        (found,) = self._session.run([self._result], {self._source: image})
        return found


class Reference:
    """Runs a model with the standard's own implementation, which is slow."""

    def __init__(self, model: Any) -> None:
        self._evaluator = onnx_reference.ReferenceEvaluator(model)

    def __call__(self, image: Any) -> Any:
        (found,) = self._evaluator.run(["y"], {"x": image})
        return found


def can_run(model: Any, image: Any) -> bool:
    """Whether onnxruntime makes something of an image."""
    try:
        return bool(Session(model)(image).size)
    except Exception:
        return False


def measured(
    model: Any,
    shape: Sequence[int],
    axes: Sequence[int] = (2, 3),
    channels: Channels = (1,),
    dtype: Any = "float32",
    values: tuple[float, float] = (0.5, 1.5),
    runner: Callable[[Any], Callable[[Any], Any]] = Session,
) -> tuple[Any, list[int]]:
    """Which input positions change which output positions; and the output's shape."""
    run = runner(model)
    sizes = [shape[axis] for axis in axes]
    found = None
    output_shape: list[int] = []
    for seed, scale, disturbance in EXPERIMENTS:
        random = np.random.default_rng(seed)
        image = (scale * random.uniform(*values, shape)).astype(dtype)
        undisturbed = run(image)
        if found is None:
            output_shape = list(undisturbed.shape)
            found = np.zeros((*_positions(output_shape, channels), *sizes), dtype=bool)
        for position in np.ndindex(*sizes):
            index: list[Any] = [slice(None)] * len(shape)
            for axis, coordinate in zip(axes, position, strict=True):
                index[axis] = coordinate
            disturbed = image.copy()
            by = random.uniform(0.5, 1.5, disturbed[tuple(index)].shape)
            disturbed[tuple(index)] += (disturbance * by).astype(dtype)
            changed = _differ(run(disturbed), undisturbed)
            found[(..., *position)] |= changed.any(axis=tuple(channels))
    return found, output_shape


usual_layout = mock.patch.object(layout, "_weighted", mock.Mock(return_value=None))
"""Positions on the usual axes, also where weights are multiplied along them."""


@usual_layout
def check(
    model: Any,
    shape: Sequence[int],
    axes: Sequence[int] = (2, 3),
    channels: Channels = (1,),
    exact: bool | None = None,
    **experiment: Any,
) -> rf.ReceptiveField:
    """Holds the receptive field of a model against the experiment.

    No feature may depend on anything outside of its window or its support. Where the
    result claims to be exact, all of it must matter.

    Args:
      model: a ModelProto from "x" to "y", in which all sizes are known, or are given
        by ``shape``.
      shape: the shape of the input.
      axes: the spatial axes of the input.
      channels: the axes of the output that hold no positions, but for the batch.
      exact: whether the result must claim to be exact; None if it does not matter.
      experiment: more arguments of `measured`.
    """
    truth, output_shape = measured(model, shape, axes, channels, **experiment)
    field = rf.compute_receptive_field(
        model, input="x", output="y", input_resolution=[shape[axis] for axis in axes]
    )
    channels, truth = _without_free_axes(field, truth, output_shape, channels)
    windows = windows_of(field, shape, output_shape, channels)
    assert sorted(w.axis for w in windows) == sorted(axes)
    _check_regions(field, windows, output_shape, channels)
    positions = truth.ndim - len(axes)
    lines = []
    for w in windows:
        number = positions + list(axes).index(w.axis)
        others = tuple(i for i in range(positions, truth.ndim) if i != number)
        lines.append(truth.any(axis=others))
    hold_lines(field, windows, lines, windows)
    hold_support(field, truth, _features(field, output_shape, channels))
    if exact is not None:
        assert field.exact is exact
    return field


def _without_free_axes(
    field: rf.ReceptiveField, truth: Any, output_shape: list[int], channels: Channels
) -> tuple[Channels, Any]:
    """A feature is all of an axis along which all features see the same.

    Returns:
      All axes of which a feature is all, and the truth without them.
    """
    held = {axis.output_axis for axis in field.feature_axes}
    places = _places(output_shape, channels)
    free = [a for a in places if a and a not in held and output_shape[a] > 1]
    if not free:
        return channels, truth
    numbers = tuple(map(places.index, free))
    alike = (truth == truth.any(numbers, keepdims=True)).all()
    unknown = any(a.map.is_everything and not a.map.exact for a in field.axes)
    assert alike or unknown
    return (*channels, *free), truth.any(numbers)
