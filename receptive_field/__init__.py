"""Which part of the input does a feature of a convolutional network see?"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from receptive_field import zoo
    from receptive_field.api import (
        EXAMPLE_GRAPH,
        compute_receptive_field,
        compute_receptive_fields,
        register_layer,
        register_op,
        unsupported_ops,
    )
    from receptive_field.errors import OutsideMapWarning, ReceptiveFieldError
    from receptive_field.many import Row, compute_many
    from receptive_field.original import (
        compute_receptive_field_from_graph_def,
        get_compute_order,
        get_layer_params,
    )
    from receptive_field.questions.costs import compute_costs
    from receptive_field.questions.effective import measure_effective_receptive_field
    from receptive_field.questions.measure import measure_receptive_field
    from receptive_field.questions.resolutions import resolutions
    from receptive_field.report.accuracy import plot_accuracy
    from receptive_field.report.explorer import explore
    from receptive_field.report.plots import (
        plot_effective,
        plot_growth,
        plot_regions,
        plot_support,
    )
    from receptive_field.results.axes import FeatureAxis
    from receptive_field.results.costs import Cost, Costs
    from receptive_field.results.effective import EffectiveReceptiveField
    from receptive_field.results.explanation import Explanation
    from receptive_field.results.field import ReceptiveField, ReceptiveFields
    from receptive_field.results.measured import MeasuredReceptiveField
    from receptive_field.results.reasons import Reasons
    from receptive_field.results.resolutions import Resolutions
    from receptive_field.results.support import Support
    from receptive_field.rules.stated import SlidingWindow

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
    "Reasons",
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
    "register_layer",
    "register_op",
    "resolutions",
    "unsupported_ops",
    "zoo",
]

_ROOMS = {
    "api": (
        "EXAMPLE_GRAPH compute_receptive_field compute_receptive_fields "
        "register_layer register_op unsupported_ops"
    ),
    "errors": "OutsideMapWarning ReceptiveFieldError",
    "many": "Row compute_many",
    "rules.stated": "SlidingWindow",
    "original": (
        "compute_receptive_field_from_graph_def get_compute_order get_layer_params"
    ),
    "questions.costs": "compute_costs",
    "questions.effective": "measure_effective_receptive_field",
    "questions.measure": "measure_receptive_field",
    "questions.resolutions": "resolutions",
    "report.explorer": "explore",
    "report.accuracy": "plot_accuracy",
    "report.plots": "plot_effective plot_growth plot_regions plot_support",
    "results.costs": "Cost Costs",
    "results.effective": "EffectiveReceptiveField",
    "results.explanation": "Explanation",
    "results.field": "FeatureAxis ReceptiveField ReceptiveFields",
    "results.measured": "MeasuredReceptiveField",
    "results.reasons": "Reasons",
    "results.resolutions": "Resolutions",
    "results.support": "Support",
}
"""Module -> its public names. Each name is imported on first use."""


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
