"""Kernels of TensorFlow Lite for quantised numbers, against its interpreter.

A model of the catalogue becomes one of 8-bit numbers: its image, its weights and its
result. The rules do not know of this, so they must hold for these kernels, too.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import tflite_catalogue as catalogue
from needed import needed
from random_search import seeds

import receptive_field as rf

tf = needed("tensorflow")

from tflite_models import TYPES, flatbuffers, schema  # noqa: E402

WEIGHTED = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "TRANSPOSE_CONV": 0}
"""Op -> the axis of its kernel whose channels have scales of their own."""

SCALES = {
    "ADD": (1.0, 2.0, 0),
    "SUB": (1.0, 2.0, 0),
    "MUL": (1.0, 127.0, 0),
    "LOGISTIC": (1 / 64, 1 / 256, -128),
    "SOFTMAX": (1 / 64, 1 / 256, -128),
    "TANH": (1 / 64, 1 / 128, 0),
    "L2_NORMALIZATION": (1.0, 1 / 128, 0),
    "LEAKY_RELU": (1.0, 1.0, 0),
}
"""Op -> the scale of its image, and the scale and the zero of its result."""

SAME_SCALE = (
    *("AVERAGE_POOL_2D", "MAX_POOL_2D", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"),
    *("PAD", "MIRROR_PAD", "SLICE", "STRIDED_SLICE", "RELU", "MAXIMUM", "MINIMUM"),
    *("SPACE_TO_DEPTH", "DEPTH_TO_SPACE", "CONCATENATION", "TRANSPOSE", "RESHAPE"),
    *("SPACE_TO_BATCH_ND", "MEAN"),
)

OPS = [*WEIGHTED, *SCALES, *SAME_SCALE]

KERNELS = ("BUILTIN_REF", "BUILTIN_WITHOUT_DEFAULT_DELEGATES", "BUILTIN")


def quantised(content: bytes, op: str, random: np.random.Generator) -> bytes:
    """The model with 8-bit numbers in place of all real numbers."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    (graph,) = model.subgraphs
    (operator,) = graph.operators
    scale, scale_of_result, zero = SCALES.get(op, (1.0, 1.0, 0))
    kernel = operator.inputs[1] if op in WEIGHTED else None
    for number, tensor in enumerate(graph.tensors):
        if tensor.type != TYPES["float32"]:
            continue
        tensor.type, made = TYPES["int8"], schema.QuantizationParametersT()
        made.scale, made.zeroPoint = [scale], [0]
        buffer = model.buffers[tensor.buffer]
        count = int(np.prod(tensor.shape))
        if number in operator.outputs:
            made.scale, made.zeroPoint = [scale_of_result], [zero]
        elif number == kernel:
            values = random.integers(1, 4, tensor.shape).astype(np.int8)
            channels, axis = tensor.shape[WEIGHTED[op]], WEIGHTED[op]
            made.scale, made.zeroPoint = [1.0] * channels, [0] * channels
            made.quantizedDimension = axis
            others = tuple(a for a in range(4) if a != axis)
            scale_of_result = float(values.sum(axis=others, dtype=int).max())
            buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        elif kernel is not None and tensor.buffer:  # The biases.
            tensor.type = TYPES["int32"]
            made.scale, made.zeroPoint = [1.0] * count, [0] * count
            buffer.data = np.zeros(4 * count, np.uint8)
        elif tensor.buffer:
            values = random.integers(1, 4, count).astype(np.int8)
            buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        tensor.quantization = made
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def changes(content: bytes, kernels: str, random: np.random.Generator) -> np.ndarray:
    """Whether an output position changes with an input position: [..., y, x]."""
    resolver = getattr(tf.lite.experimental.OpResolverType, kernels)
    interpreter = tf.lite.Interpreter(
        model_content=content, experimental_op_resolver_type=resolver, num_threads=1
    )
    interpreter.allocate_tensors()
    start, *others = interpreter.get_input_details()
    (end,) = interpreter.get_output_details()
    shape, found = start["shape"], None
    for other in others:
        image = random.integers(1, 127, other["shape"]).astype(np.int8)
        interpreter.set_tensor(other["index"], image)

    def run(image: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(start["index"], image)
        interpreter.invoke()
        return interpreter.get_tensor(end["index"]).copy()

    for low, high in ((-128, 127), (-128, -127), (0, 9), (-20, 20), (127, 128)):
        image = random.integers(low, high, shape).astype(np.int8)
        base = run(image)
        for y, x in np.ndindex(*shape[1:3]):
            for value, channels in product((-128, 127), (slice(1), slice(None))):
                changed = image.copy()
                changed[:, y, x, channels] = value
                differs = run(changed) != base
                if found is None:
                    found = np.zeros((*base.shape, *shape[1:3]), bool)
                found[..., y, x] |= differs
    assert found is not None
    return found


def hold(op: str, seed: int, kernels: str) -> None:
    random = np.random.default_rng(seed)
    content = quantised(catalogue.MODELS[op](random), op, random)
    field = rf.compute_receptive_field(content, input="input_0")
    truth = changes(content, kernels, random)
    outputs = [axis.output_axis for axis in field.feature_axes]
    kept = [axis for axis in outputs if axis is not None]
    free = tuple(a for a in range(truth.ndim - 2) if a not in kept)
    truth = truth.any(axis=free)
    order = np.argsort(np.argsort(kept))
    support = field.support()
    for place in np.ndindex(*truth.shape[: len(kept)]):
        told = iter(np.asarray(place)[order])
        feature = [0 if axis is None else int(next(told)) for axis in outputs]
        expected = support.mask(feature)
        where = f"{op}, seed {seed}, feature {feature}"
        assert (truth[place] <= expected).all(), where
        if support.exact:
            assert (truth[place] == expected).all(), where


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("op", OPS)
def test_op(op, kernels):
    for seed in range(3):
        hold(op, seed, kernels)


@pytest.mark.parametrize("seed", seeds("quantised ops", 15))
def test_random_ops(seed):
    hold(OPS[seed % len(OPS)], seed, KERNELS[seed // len(OPS) % 3])
