"""Rules for ops that choose between two tensors, depending on a mask."""

from __future__ import annotations

from receptive_field.frameworks.tensorflow.ops.registry import register
from receptive_field.rules.masks import SELECT, SELECT_ROWS

register("Select", SELECT_ROWS)
register("SelectV2", SELECT)
