"""Which part of the input does a feature of a convolutional network see?"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from receptive_field import zoo
    from receptive_field.api import (
        EXAMPLE_GRAPH,
        compute_receptive_field,
        compute_receptive_fields,
        register_op,
        unsupported_ops,
    )
    from receptive_field.costs import Cost, Costs, compute_costs
    from receptive_field.effective import (
        EffectiveReceptiveField,
        measure_effective_receptive_field,
    )
    from receptive_field.errors import OutsideMapWarning, ReceptiveFieldError
    from receptive_field.explanation import Explanation
    from receptive_field.input_sizes import Resolutions, resolutions
    from receptive_field.many import Row, compute_many
    from receptive_field.measurement import (
        MeasuredReceptiveField,
        measure_receptive_field,
    )
    from receptive_field.original import (
        compute_receptive_field_from_graph_def,
        get_compute_order,
        get_layer_params,
    )
    from receptive_field.report.accuracy import plot_accuracy
    from receptive_field.report.explorer import explore
    from receptive_field.report.plots import (
        plot_effective,
        plot_growth,
        plot_regions,
        plot_support,
    )
    from receptive_field.result import FeatureAxis, ReceptiveField, ReceptiveFields
    from receptive_field.rules.stated import SlidingWindow
    from receptive_field.support import Support

__version__ = "0.1.0"

__all__ = [
    "EXAMPLE_GRAPH",
    "Cost",
    "Costs",
    "EffectiveReceptiveField",
    "Explanation",
    "FeatureAxis",
    "MeasuredReceptiveField",
    "OutsideMapWarning",
    "ReceptiveField",
    "ReceptiveFieldError",
    "ReceptiveFields",
    "Resolutions",
    "Row",
    "SlidingWindow",
    "Support",
    "compute_costs",
    "compute_many",
    "compute_receptive_field",
    "compute_receptive_field_from_graph_def",
    "compute_receptive_fields",
    "explore",
    "get_compute_order",
    "get_layer_params",
    "measure_effective_receptive_field",
    "measure_receptive_field",
    "plot_accuracy",
    "plot_effective",
    "plot_growth",
    "plot_regions",
    "plot_support",
    "register_op",
    "resolutions",
    "unsupported_ops",
    "zoo",
]

_ROOMS = {
    "api": (
        "EXAMPLE_GRAPH compute_receptive_field compute_receptive_fields register_op "
        "unsupported_ops"
    ),
    "costs": "Cost Costs compute_costs",
    "effective": "EffectiveReceptiveField measure_effective_receptive_field",
    "errors": "OutsideMapWarning ReceptiveFieldError",
    "explanation": "Explanation",
    "many": "Row compute_many",
    "measurement": "MeasuredReceptiveField measure_receptive_field",
    "rules.stated": "SlidingWindow",
    "original": (
        "compute_receptive_field_from_graph_def get_compute_order get_layer_params"
    ),
    "input_sizes": "Resolutions resolutions",
    "report.explorer": "explore",
    "report.accuracy": "plot_accuracy",
    "report.plots": "plot_effective plot_growth plot_regions plot_support",
    "result": "FeatureAxis ReceptiveField ReceptiveFields",
    "support": "Support",
}
"""Where the public names are. What is not asked for, is not imported."""


def __getattr__(name: str) -> Any:
    if name == "zoo":
        return import_module("receptive_field.zoo")
    for room, names in _ROOMS.items():
        if name in names.split():
            value = getattr(import_module(f"receptive_field.{room}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
