"""The networks of the `tf_slim` package, made to work under today's TensorFlow."""

from __future__ import annotations

import importlib
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any
from unittest import mock

import random_search
from needed import needed

Network = Callable[..., dict[str, Any]]
"""A function of the input, and options; gives the end-points' tensors by name."""

MODULES = ["alexnet", "vgg", "overfeat", "inception", "resnet_v1", "resnet_v2"]
"""The modules of `tf_slim.nets`."""

DEEP = [f"resnet_v{v}_{depth}" for v in (1, 2) for depth in (101, 152, 200)]
"""Networks that take long to build, and repeat the units of those with 50 layers."""


def drawn_deep() -> str:
    """The one of them that a run builds; the seed of the run decides."""
    return random.Random(random_search.SEED).choice(DEEP)


LAYERS = ["conv2d", "separable_conv2d", "max_pool2d", "avg_pool2d", "batch_norm"]
"""The layers of the networks that take a data format."""


@cache
def import_slim() -> Any:
    """`tf_slim`, whose Keras layers now live in the package `tf_keras`."""
    layers = needed("tf_keras.src.legacy_tf_layers")
    sys.modules.setdefault("tf_keras.legacy_tf_layers", layers)
    for part in ("base", "convolutional", "core", "normalization", "pooling"):
        module = importlib.import_module(f"{layers.__name__}.{part}")
        sys.modules.setdefault(f"tf_keras.legacy_tf_layers.{part}", module)
    return needed("tf_slim")


@cache
def networks() -> dict[str, Network]:
    """The networks by name; options are those of `tf_slim`, and a data format.

    ``inception_v*`` are the bases, with biases and without batch normalisation;
    ``inception_v*_classifier`` have batch normalisation, dropout and logits.
    ``resnet_v*_small`` have two blocks of two units, and so all that the others have.
    ``inception_v*_small`` end with their first modules, batch normalisation included.
    """
    slim = import_slim()
    nets = {part: importlib.import_module(f"tf_slim.nets.{part}") for part in MODULES}

    def network(
        module: str, function: str, arguments: str = "", /, **options: Any
    ) -> Network:
        def call(
            images: Any, data_format: str = "NHWC", **changes: Any
        ) -> dict[str, Any]:
            with ExitStack() as stack:
                stack.enter_context(_variables_as_objects())
                if arguments:
                    shared = getattr(nets[module], arguments)()
                    stack.enter_context(slim.arg_scope(shared))
                if data_format == "NCHW":
                    layers = [getattr(slim.layers, layer) for layer in LAYERS]
                    formatted = slim.arg_scope(layers, data_format=data_format)
                    stack.enter_context(formatted)
                    stack.enter_context(_channels_first())
                build = getattr(nets[module], function)
                _, end_points = build(images, **{**options, **changes})
            return dict(end_points)

        return call

    def inception_small(version: int, last: str) -> Network:
        base = getattr(nets["inception"], f"inception_v{version}_base")
        arguments = getattr(nets["inception"], f"inception_v{version}_arg_scope")

        def call(
            images: Any, data_format: str = "NHWC", is_training: Any = False
        ) -> dict[str, Any]:
            with (
                _variables_as_objects(),
                slim.arg_scope(arguments()),
                slim.arg_scope([slim.batch_norm], is_training=is_training),
            ):
                _, end_points = base(images, final_endpoint=last)
            return dict(end_points)

        return call

    inference = {"is_training": False, "spatial_squeeze": False}
    return {
        **{
            name: network(name.split("_")[0], name, f"{scope}_arg_scope", **inference)
            for name, scope in {
                "alexnet_v2": "alexnet_v2",
                "vgg_a": "vgg",
                "vgg_16": "vgg",
                "vgg_19": "vgg",
                "overfeat": "overfeat",
            }.items()
        },
        **{
            f"inception_v{version}": network("inception", f"inception_v{version}_base")
            for version in (1, 2, 3)
        },
        **{
            f"inception_v{version}_classifier": network(
                "inception",
                f"inception_v{version}",
                f"inception_v{version}_arg_scope",
                **inference,
            )
            for version in (1, 2, 3)
        },
        **{
            f"resnet_v{version}_{depth}": network(
                f"resnet_v{version}",
                f"resnet_v{version}_{depth}",
                "resnet_arg_scope",
                is_training=False,
            )
            for version in (1, 2)
            for depth in (50, 101, 152, 200)
        },
        **{
            f"resnet_v{version}_small": network(
                f"resnet_v{version}",
                f"resnet_v{version}",
                "resnet_arg_scope",
                blocks=[
                    getattr(nets[f"resnet_v{version}"], f"resnet_v{version}_block")(
                        f"block{number}", base_depth=16, num_units=2, stride=2
                    )
                    for number in (1, 2)
                ],
                scope=f"resnet_v{version}_small",
                is_training=False,
            )
            for version in (1, 2)
        },
        "inception_v1_small": inception_small(1, "Mixed_3c"),
        "inception_v2_small": inception_small(2, "Mixed_4a"),
    }


@contextmanager
def _variables_as_objects() -> Iterator[None]:
    """Has variables hashed and compared as any object, as TensorFlow does in graphs.

    Each layer looks for variables in sets and lists, and each look first finds out
    whether TensorFlow is eager: more than a third of the time that a deep network
    takes.
    """
    variable = importlib.import_module("tensorflow.python.ops.variables").Variable
    with (
        mock.patch.object(variable, "__hash__", object.__hash__),
        mock.patch.object(variable, "__eq__", object.__eq__),
    ):
        yield


@contextmanager
def _channels_first() -> Iterator[None]:
    """Has `tf_slim` pad, concatenate and count channels as NCHW needs it.

    It does so with the axes of NHWC whatever the data format is.
    """
    array_ops = importlib.import_module("tensorflow.python.ops.array_ops")
    utils = importlib.import_module("tf_slim.layers.utils")
    pad, concat = array_ops.pad, array_ops.concat

    def pad_first(tensor: Any, paddings: Any, **options: Any) -> Any:
        batch, height, width, channels = paddings
        return pad(tensor, [batch, channels, height, width], **options)

    def concat_first(values: Any, axis: int, **options: Any) -> Any:
        return concat(values, 1 if axis == 3 else axis, **options)

    def channels(shape: Any, min_rank: int) -> int:
        return shape.as_list()[1]

    with (
        mock.patch.object(array_ops, "pad", pad_first),
        mock.patch.object(array_ops, "concat", concat_first),
        mock.patch.object(utils, "last_dimension", channels),
    ):
        yield
