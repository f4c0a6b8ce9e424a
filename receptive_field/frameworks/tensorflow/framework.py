"""The properties of a graph that depend on how TensorFlow represents it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from receptive_field.frameworks.tensorflow.attributes import (
    RESOURCE,
    attribute,
    attributes,
    recorded_shapes,
)
from receptive_field.frameworks.tensorflow.moments import batch_moments
from receptive_field.frameworks.tensorflow.signatures import data_inputs, resolve
from receptive_field.frameworks.tensorflow.training import is_of_training
from receptive_field.graph.graph import Graph, Node

if TYPE_CHECKING:
    from receptive_field.graph.runner import Runner


class TensorFlow:
    """The `Framework` of graphs made of NodeDef messages."""

    name = "tensorflow"

    attribute = staticmethod(attribute)

    attributes = staticmethod(attributes)

    inputs = staticmethod(data_inputs)

    resolve = staticmethod(resolve)

    recorded_shapes = staticmethod(recorded_shapes)

    def placeholders(self, graph: Graph) -> Iterator[Node]:
        """Yields the placeholders that a caller feeds with data."""
        for node in graph.of_ops("Placeholder", "PlaceholderV2"):
            if node.attribute("dtype") != RESOURCE:
                yield node

    is_of_training = staticmethod(is_of_training)

    def decoders(self, graph: Graph) -> Iterator[Node]:
        """Yields the nodes that decode sounds, or compute features of sounds."""
        yield from graph.of_ops("DecodeWav", "AudioSpectrogram", "Mfcc")

    batch_moments = staticmethod(batch_moments)

    def default_layout(self, rank: int) -> tuple[int, ...]:
        """Returns the spatial axes of a tensor for which no op determines them.

        The last axis is assumed to hold the channels.
        """
        return tuple(range(1, max(rank - 1, 2))) if rank > 1 else (0,)

    def runner(self) -> Runner:
        """Returns an object that runs networks with TensorFlow."""
        from receptive_field.frameworks.tensorflow.running import TensorFlowRunner

        return TensorFlowRunner()


TENSORFLOW = TensorFlow()
