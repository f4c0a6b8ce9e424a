"""Tells the nodes that train a network from those that run it."""

from __future__ import annotations

import re

from receptive_field.graph.graph import Node

SCOPE = re.compile(r"(?:^|/)gradients(?:_\d+)?/")
"""The scopes in which ``tf.gradients`` and the optimizers of TensorFlow 1 put nodes."""

OPTIMIZER = re.compile(r"(?:Resource)?(?:Sparse)?Apply[A-Z]")
"""The op types that change weights by a gradient."""

GRADIENT = re.compile(r"Grad(?:V\d)?$")
"""The op types that compute gradients of other ops. Those of convolutions are left out,
because they are also the op types of transposed convolutions."""


def is_of_training(node: Node) -> bool:
    """Returns whether a node computes gradients, or changes weights with them."""
    found = SCOPE.search(node.name) or OPTIMIZER.match(node.op)
    return bool(found or GRADIENT.search(node.op))
