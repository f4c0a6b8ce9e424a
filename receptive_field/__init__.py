"""Which part of the input does a feature of a convolutional network see?"""

from importlib import import_module
from types import ModuleType

from receptive_field.api import (
    EXAMPLE_GRAPH,
    compute_receptive_field,
    compute_receptive_fields,
    unsupported_ops,
)
from receptive_field.costs import Cost, Costs, compute_costs
from receptive_field.errors import ReceptiveFieldError
from receptive_field.explanation import Explanation
from receptive_field.measurement import (
    MeasuredReceptiveField,
    measure_receptive_field,
)
from receptive_field.ops.custom import SlidingWindow, register_op
from receptive_field.original import (
    compute_receptive_field_from_graph_def,
    get_compute_order,
    get_layer_params,
)
from receptive_field.result import ReceptiveField, ReceptiveFields
from receptive_field.support import Support

__version__ = "0.1.0"

__all__ = [
    "EXAMPLE_GRAPH",
    "Cost",
    "Costs",
    "Explanation",
    "MeasuredReceptiveField",
    "ReceptiveField",
    "ReceptiveFieldError",
    "ReceptiveFields",
    "SlidingWindow",
    "Support",
    "compute_costs",
    "compute_receptive_field",
    "compute_receptive_field_from_graph_def",
    "compute_receptive_fields",
    "get_compute_order",
    "get_layer_params",
    "measure_receptive_field",
    "register_op",
    "unsupported_ops",
]


def __getattr__(name: str) -> ModuleType:
    # The networks of the zoo are read when somebody asks for them.
    if name == "zoo":
        return import_module("receptive_field.zoo")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
