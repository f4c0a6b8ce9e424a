"""Which part of the input does a feature of a convolutional network see?"""

from importlib import import_module
from types import FunctionType
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
    from receptive_field.budget import work_limit
    from receptive_field.errors import OutsideMapWarning, ReceptiveFieldError
    from receptive_field.many import Row, compute_many
    from receptive_field.original import (
        compute_receptive_field_from_graph_def,
        get_compute_order,
        get_layer_params,
    )
    from receptive_field.questions.compare import compare
    from receptive_field.questions.costs import compute_costs
    from receptive_field.questions.effective import measure_effective_receptive_field
    from receptive_field.questions.measure import measure_receptive_field
    from receptive_field.questions.pairs import compute_all_pairs
    from receptive_field.questions.proposals import proposals
    from receptive_field.questions.pyramid import pyramid_levels
    from receptive_field.questions.resolutions import resolutions
    from receptive_field.report.accuracy import plot_accuracy
    from receptive_field.report.explorer import explore
    from receptive_field.report.growth import plot_growth
    from receptive_field.report.plots import (
        plot_effective,
        plot_regions,
        plot_support,
    )
    from receptive_field.results.axes import FeatureAxis
    from receptive_field.results.comparison import (
        Compared,
        Comparison,
        LayerDifference,
    )
    from receptive_field.results.costs import Cost, Costs
    from receptive_field.results.effective import EffectiveReceptiveField
    from receptive_field.results.explanation import Explanation
    from receptive_field.results.field import ReceptiveField, ReceptiveFields
    from receptive_field.results.fields_in_units import FieldsInUnits
    from receptive_field.results.layer_window import LayerWindow
    from receptive_field.results.look_ahead import LookAhead
    from receptive_field.results.measured import MeasuredReceptiveField
    from receptive_field.results.padding import Unpadded
    from receptive_field.results.pairs import Pairs
    from receptive_field.results.proposals import Proposals, SizeProposal
    from receptive_field.results.pyramid import ObjectLevel, Pyramid, PyramidLevel
    from receptive_field.results.reasons import Reasons
    from receptive_field.results.resolutions import Resolutions
    from receptive_field.results.support import Support
    from receptive_field.results.tiling import ImageTile, Tiling
    from receptive_field.results.units import FieldInUnits
    from receptive_field.rules.stated import SlidingWindow

__version__ = "1.0.0"

__all__ = [
    "EXAMPLE_GRAPH",
    "Compared",
    "Comparison",
    "Cost",
    "Costs",
    "EffectiveReceptiveField",
    "Explanation",
    "FeatureAxis",
    "FieldInUnits",
    "FieldsInUnits",
    "ImageTile",
    "LayerDifference",
    "LayerWindow",
    "LookAhead",
    "MeasuredReceptiveField",
    "ObjectLevel",
    "OutsideMapWarning",
    "Pairs",
    "Proposals",
    "Pyramid",
    "PyramidLevel",
    "Reasons",
    "ReceptiveField",
    "ReceptiveFieldError",
    "ReceptiveFields",
    "Resolutions",
    "Row",
    "SizeProposal",
    "SlidingWindow",
    "Support",
    "Tiling",
    "Unpadded",
    "compare",
    "compute_all_pairs",
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
    "proposals",
    "pyramid_levels",
    "register_layer",
    "register_op",
    "resolutions",
    "unsupported_ops",
    "work_limit",
    "zoo",
]

_ROOMS = {
    "api": (
        "EXAMPLE_GRAPH compute_receptive_field compute_receptive_fields "
        "register_layer register_op unsupported_ops"
    ),
    "budget": "work_limit",
    "errors": "OutsideMapWarning ReceptiveFieldError",
    "many": "Row compute_many",
    "rules.stated": "SlidingWindow",
    "original": (
        "compute_receptive_field_from_graph_def get_compute_order get_layer_params"
    ),
    "questions.compare": "compare",
    "questions.costs": "compute_costs",
    "questions.effective": "measure_effective_receptive_field",
    "questions.measure": "measure_receptive_field",
    "questions.pairs": "compute_all_pairs",
    "questions.proposals": "proposals",
    "questions.pyramid": "pyramid_levels",
    "questions.resolutions": "resolutions",
    "report.explorer": "explore",
    "report.accuracy": "plot_accuracy",
    "report.growth": "plot_growth",
    "report.plots": "plot_effective plot_regions plot_support",
    "results.comparison": "Compared Comparison LayerDifference",
    "results.costs": "Cost Costs",
    "results.effective": "EffectiveReceptiveField",
    "results.explanation": "Explanation",
    "results.field": "FeatureAxis ReceptiveField ReceptiveFields",
    "results.fields_in_units": "FieldsInUnits",
    "results.layer_window": "LayerWindow",
    "results.look_ahead": "LookAhead",
    "results.measured": "MeasuredReceptiveField",
    "results.padding": "Unpadded",
    "results.pairs": "Pairs",
    "results.proposals": "Proposals SizeProposal",
    "results.pyramid": "ObjectLevel Pyramid PyramidLevel",
    "results.reasons": "Reasons",
    "results.resolutions": "Resolutions",
    "results.support": "Support",
    "results.tiling": "ImageTile Tiling",
    "results.units": "FieldInUnits",
}
"""Module -> its public names. Each name is imported on first use."""


def __getattr__(name: str) -> Any:
    if name == "zoo":
        return import_module("receptive_field.zoo")
    for room, names in _ROOMS.items():
        if name in names.split():
            value = getattr(import_module(f"receptive_field.{room}"), name)
            if isinstance(value, FunctionType):
                value = import_module("receptive_field.net").guarded(value)
                value.__module__ = __name__  # Where pickle finds it.
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
