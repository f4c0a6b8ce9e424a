"""A small zoo of well-known convolutional networks, and a builder for their graphs.

>>> from receptive_field import zoo
>>> zoo.NETWORKS["vgg_16"].end_points[:3]
('vgg_16/conv1/conv1_1', 'vgg_16/pool1', 'vgg_16/conv2/conv2_1')

`build` turns a network into a TensorFlow graph. Only `build` and `table` need
TensorFlow.
"""

from __future__ import annotations

from collections.abc import Sequence

from receptive_field.errors import ReceptiveFieldError
from receptive_field.zoo.builder import BuiltNetwork, build_network
from receptive_field.zoo.layers import Network
from receptive_field.zoo.networks import NETWORKS, PUBLISHED
from receptive_field.zoo.table import EndPoint, Table, network_table

__all__ = [
    "NETWORKS",
    "PUBLISHED",
    "BuiltNetwork",
    "EndPoint",
    "Network",
    "Table",
    "build",
    "network",
    "table",
]


def build(
    name: str,
    input_resolution: Sequence[int] | None = None,
    *,
    resource_variables: bool = False,
) -> BuiltNetwork:
    """Builds the graph of a network in the zoo.

    Args:
      name: a key of `NETWORKS`.
      input_resolution: ``[height, width]`` of the input, in pixels. None leaves both
        sizes unknown in the graph.
      resource_variables: whether to create TensorFlow 2 variables (VarHandleOp) instead
        of TensorFlow 1 variables (VariableV2).

    Returns:
      The graph, and the names of its input and end-points.

    Raises:
      ReceptiveFieldError: if the network is unknown, the resolution is invalid or too
        small for the network, or TensorFlow is not installed.
    """
    return build_network(
        network(name), input_resolution, resource_variables=resource_variables
    )


def network(name: str) -> Network:
    """Returns the network with this name.

    Raises:
      ReceptiveFieldError: if there is no such network. The message lists all networks.
    """
    if not isinstance(name, str) or name not in NETWORKS:
        known = ", ".join(NETWORKS)
        raise ReceptiveFieldError(
            f"there is no network {name!r} in the zoo; the networks are {known}."
        )
    return NETWORKS[name]


def table(
    name: str,
    input_resolution: Sequence[int] | None = None,
    *,
    end_points: Sequence[str] | None = None,
) -> Table:
    """Computes the receptive fields and costs of end-points, as in the paper's table.

    This builds the graph once and analyses it in one pass.

    Args:
      name: a key of `NETWORKS`.
      input_resolution: ``[height, width]`` of the input, in pixels. None means unknown.
      end_points: some of ``NETWORKS[name].end_points``. None means all of them.

    Returns:
      One row for each end-point, and the seconds spent on building and analysing.

    Raises:
      ReceptiveFieldError: as for `build`, or if there is no such end-point.
    """
    return network_table(network(name), input_resolution, end_points)
