"""Graphs of whole networks, made once in a run and kept for all its tests.

What is asked of an application or of a network of `tf_slim` or of the zoo is told by
its structure, and to build one takes far longer than to analyse it. So its graph is
kept in a folder of this run, from which every worker reads it.
"""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache, lru_cache
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import slim
from needed import needed

from receptive_field import zoo
from receptive_field.frameworks import load
from receptive_field.frameworks.tensorflow import load as tensorflow
from receptive_field.graph.model import Model
from receptive_field.whole_files import replace_file
from receptive_field.zoo.builder import build_network

keras, tf = needed("keras"), needed("tensorflow")


@cache
def _folder() -> Path:
    """That of the run, which `conftest.py` tells; else one of this process, which is
    removed when it ends."""
    told = os.environ.get("STORED_GRAPHS")
    return Path(told) if told else Path(_own_folder().name)


@cache
def _own_folder() -> TemporaryDirectory[str]:
    return TemporaryDirectory()


def kept(key: str, make: Callable[[], Any]) -> Any:
    """What was made of a key before in this run; else it is made and kept."""
    name = hashlib.sha256(key.encode()).hexdigest()
    path = _folder() / f"{name}.pickle"
    with suppress(FileNotFoundError):
        return pickle.loads(path.read_bytes())
    made = make()
    # Two workers may make it at the same time; what they make is the same.
    replace_file(path, pickle.dumps(made))
    return made


# --- Keras applications --------------------------------------------------------------

READ_AT_ONCE = ("mean", "variance", "count")
"""Variables of Normalization, which computes with them while it is built."""


def build(name: str, **options: Any) -> Any:
    """A Keras application whose weights have shapes and no values.

    Its structure is that of the real one; to fill the weights takes longer.
    """
    variable = import_module("keras.src.backend.tensorflow.core").Variable
    variables = import_module("tensorflow.python.ops.resource_variable_ops")
    initialise = variable._initialize_with_initializer

    def leave_empty(self: Any, initializer: Any) -> None:
        if self.name in READ_AT_ONCE:
            initialise(self, initializer)
            return
        self._initialize(
            variables.UninitializedVariable(
                shape=self._shape,
                dtype=self._dtype,
                trainable=self.trainable,
                name=self.name,
            )
        )

    with mock.patch.object(variable, "_initialize_with_initializer", leave_empty):
        return getattr(keras.applications, name)(weights=None, **options)


@lru_cache(maxsize=4)
def application(name: str, **options: Any) -> Model:
    """What a trace makes of a Keras application; layers go by their names.

    Args:
      name: of its function in `keras.applications`.
      options: more arguments of it.
    """

    def make() -> tuple[Any, ...]:
        model = tensorflow.model_of(build(name, **options))
        assert model is not None
        tensors = model.inputs, model.outputs, model.layers, model.layer_inputs
        return model.definition.SerializeToString(), *tensors

    content, *tensors = kept(f"application {name} {sorted(options.items())}", make)
    definition = tf.compat.v1.GraphDef.FromString(content)
    return Model(load(definition).graph, definition, *tensors)


# --- Networks of the zoo -------------------------------------------------------------


def zoo_definition(name: str) -> tuple[Any, str, dict[str, str]]:
    """The GraphDef of a network for any size, its input, its end-points' nodes."""

    def make() -> tuple[bytes, str, dict[str, str]]:
        built = build_network(zoo.network(name), None, resource_variables=False)
        content = built.graph.as_graph_def().SerializeToString()
        return content, built.input, dict(built.end_points)

    content, start, nodes = kept(f"zoo {name}", make)
    return tf.compat.v1.GraphDef.FromString(content), start, nodes


def at_size(definition: Any, resolution: Sequence[int]) -> Any:
    """The GraphDef of a network of the zoo, with another size of its input.

    `test_tables.py` checks that nothing else depends on the size.
    """
    again = type(definition)()
    again.CopyFrom(definition)
    (image,) = (node for node in again.node if node.name == "input_image")
    axes = image.attr["shape"].shape.dim[1:3]
    for axis, size in zip(axes, resolution, strict=True):
        axis.size = size
    return again


@lru_cache(maxsize=4)
def zoo_network(
    name: str, resolution: tuple[int, int] | None = None
) -> zoo.BuiltNetwork:
    """What `zoo.build` returns, for tests that only read it."""
    definition, start, nodes = zoo_definition(name)
    if resolution is not None:
        definition = at_size(definition, resolution)
    with tf.Graph().as_default() as graph:
        tf.graph_util.import_graph_def(definition, name="")
    return zoo.BuiltNetwork(name, graph, start, nodes)


# --- Networks of tf_slim -------------------------------------------------------------

SHAPES = {"NHWC": (1, None, None, 3), "NCHW": (1, 3, None, None)}


def slim_network(name: str) -> tuple[Any, dict[str, str]]:
    """The GraphDef of a network for inference, and the nodes of its end-points."""

    def make() -> tuple[bytes, dict[str, str]]:
        with tf.Graph().as_default() as graph:
            shape = SHAPES["NHWC"]
            images = tf.compat.v1.placeholder(tf.float32, shape, "input_image")
            tensors = slim.networks()[name](images)
        nodes = {end: tensor.op.name for end, tensor in tensors.items()}
        return graph.as_graph_def().SerializeToString(), nodes

    content, nodes = kept(f"slim {name}", make)
    return tf.compat.v1.GraphDef.FromString(content), nodes
