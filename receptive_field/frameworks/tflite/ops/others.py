"""Rules for custom ops: of detectors, of sounds, and of TensorFlow itself."""

from __future__ import annotations

from collections.abc import Sequence

from receptive_field.frameworks.tensorflow.ops import OPS
from receptive_field.frameworks.tflite.ops.registry import register
from receptive_field.rules.op import Call, Op, Relations, Shape


def _everything(call: Call, output: int) -> Relations:
    return [call.all_of(number) for number in range(len(call))]


def _detected(call: Call) -> Sequence[Shape]:
    """Returns the shapes of boxes, classes, scores and their number."""
    return [None] * 4


# Which boxes remain depends on all of them.
register("TFLite_Detection_PostProcess", Op(_everything, _detected))

# Each op of TensorFlow with a rule has it in a model that contains the op.
for _name, _op in OPS.items():
    register(f"Flex{_name}", _op)
