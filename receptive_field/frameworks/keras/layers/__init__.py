"""The rule of each layer class: which ops a call of the layer runs at inference.

Each module has the rules of a family of classes. A rule is registered when its module
is imported.
"""

from __future__ import annotations

from receptive_field.frameworks.keras.layers import (
    attention,
    cells,
    dense,
    elementwise,
    images,
    merging,
    normalisations,
    padding,
    preprocessing,
    recurrent,
    shapes,
    windows,
    wrappers,
)
from receptive_field.frameworks.keras.layers.call import (
    LAYERS,
    MASKS,
    WITH_ARGUMENTS,
    LayerCall,
)

FAMILIES = (
    attention,
    cells,
    dense,
    elementwise,
    images,
    merging,
    normalisations,
    padding,
    preprocessing,
    recurrent,
    shapes,
    windows,
    wrappers,
)
"""The modules that hold the rules."""

__all__ = ["FAMILIES", "LAYERS", "MASKS", "WITH_ARGUMENTS", "LayerCall"]
