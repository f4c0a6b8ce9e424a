"""Models of KerasHub, read layer by layer and held against their traces.

KerasHub is no dependency of the tests. In an environment that has it, beside
TensorFlow, this command prints a row for each model:

    python tests/keras_hub_models.py [NAME ...]

Only the code of the architectures is used; nothing is downloaded.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import keras
import keras_hub
from keras_answers import said

import receptive_field as rf
from receptive_field.frameworks.keras import objects
from receptive_field.frameworks.keras.write import write
from receptive_field.frameworks.tensorflow import load as tensorflow

models = keras_hub.models

SIDE = 64
IMAGE = (SIDE, SIDE, 3)


def _resnet() -> Any:
    return models.ResNetBackbone(
        input_conv_filters=[8],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 128, 256, 512],
        stackwise_num_blocks=[2, 1, 1, 1],
        stackwise_num_strides=[1, 2, 2, 2],
        block_type="bottleneck_block",
    )


def _mit() -> Any:
    return models.MiTBackbone(
        image_shape=IMAGE,
        num_layers=2,
        hidden_dims=[8, 16],
        layerwise_depths=[1, 1],
        layerwise_num_heads=[1, 2],
        layerwise_sr_ratios=[4, 1],
        layerwise_patch_sizes=[7, 3],
        layerwise_strides=[4, 2],
        max_drop_path_rate=0.1,
    )


def _hgnet() -> Any:
    return models.HGNetV2Backbone(
        depths=[1, 1],
        embedding_size=8,
        hidden_sizes=[16, 16],
        stem_channels=[3, 8, 8],
        hidden_act="relu",
        use_learnable_affine_block=True,
        stackwise_stage_filters=[(8, 8, 16, 1, 1, 3), (16, 8, 16, 2, 1, 3)],
        apply_downsample=[False, True],
        use_lightweight_conv_block=[False, True],
        image_shape=(None, None, 3),
    )


def _dino(kind: str, **options: Any) -> Any:
    return getattr(models, kind)(
        patch_size=8,
        num_layers=2,
        hidden_dim=16,
        num_heads=2,
        intermediate_dim=16,
        image_shape=IMAGE,
        **options,
    )


def _vit(kind: str, **options: Any) -> Any:
    return getattr(models, kind)(
        image_shape=IMAGE,
        patch_size=8,
        num_layers=2,
        num_heads=2,
        hidden_dim=16,
        **options,
    )


def _efficientnet() -> Any:
    return models.EfficientNetBackbone(
        stackwise_kernel_sizes=[3, 5],
        stackwise_num_repeats=[1, 2],
        stackwise_input_filters=[8, 8],
        stackwise_output_filters=[8, 16],
        stackwise_expansion_ratios=[1, 4],
        stackwise_squeeze_and_excite_ratios=[0.25, 0.25],
        stackwise_strides=[1, 2],
        stackwise_block_types=["v1", "v1"],
        stackwise_width_coefficients=[1.0, 1.0],
        stackwise_depth_coefficients=[1.0, 1.0],
        stackwise_force_input_filters=[0, 0],
        stackwise_nores_option=[False, False],
        input_shape=(None, None, 3),
    )


def _mobilenet() -> Any:
    return models.MobileNetBackbone(
        stackwise_expansion=[[16, 24], [24, 32]],
        stackwise_num_blocks=[2, 2],
        stackwise_num_filters=[[8, 8], [16, 16]],
        stackwise_kernel_size=[[3, 3], [5, 5]],
        stackwise_num_strides=[[2, 1], [2, 1]],
        stackwise_se_ratio=[[None, None], [0.25, 0.25]],
        stackwise_activation=[["relu", "relu"], ["hard_swish", "hard_swish"]],
        stackwise_padding=[[1, 1], [2, 2]],
        output_num_filters=32,
        depthwise_filters=8,
        depthwise_stride=1,
        depthwise_residual=False,
        last_layer_filter=16,
        squeeze_and_excite=0.5,
    )


MODELS: dict[str, Callable[[], Any]] = {
    "ResNet": _resnet,
    "VGG": lambda: models.VGGBackbone([1, 2], [8, 8], image_shape=(None, None, 3)),
    "DenseNet": lambda: models.DenseNetBackbone([2, 3], growth_rate=4),
    "MobileNet": _mobilenet,
    "EfficientNet": _efficientnet,
    "CSPNet": lambda: models.CSPNetBackbone(
        8, 3, 1, [1, 2], [1, 2], [8, 16], "dark_block", stage_type="dark"
    ),
    "Xception": lambda: models.XceptionBackbone([[8, 8], [16, 16]], [True, False]),
    "MiT": _mit,
    "SegFormer": lambda: models.SegFormerBackbone(_mit(), projection_filters=8),
    "HGNetV2": _hgnet,
    "ViT": lambda: _vit("ViTBackbone", mlp_dim=16),
    "DeiT": lambda: _vit("DeiTBackbone", intermediate_dim=16),
    "ViTDet": lambda: models.ViTDetBackbone(
        hidden_size=8,
        num_layers=2,
        intermediate_dim=8,
        num_heads=2,
        global_attention_layer_indices=[1],
        image_shape=IMAGE,
        patch_size=8,
        num_output_channels=4,
        window_size=4,
    ),
    "DINOV2": lambda: _dino("DINOV2Backbone", position_embedding_shape=IMAGE),
    "DINOV3": lambda: _dino("DINOV3Backbone"),
    "SwinTransformer": lambda: models.SwinTransformerBackbone(
        IMAGE, embed_dim=8, depths=(2, 2), num_heads=(1, 2), window_size=4
    ),
    "DeepLabV3": lambda: models.DeepLabV3Backbone(
        _resnet(), "P5", upsampling_size=8, dilation_rates=[2, 3]
    ),
    "RetinaNet": lambda: models.RetinaNetBackbone(_resnet(), 3, 5, use_p5=True),
}
"""Name -> the function that makes a small model of this architecture."""


def row(name: str) -> list[str]:
    """The numbers of layers, of those opened and traced, and the names that differ."""
    keras.backend.clear_session()
    model = MODELS[name]()
    found = write(objects.called_model(model), name)
    source = found.writer.graph.source
    one, two = (
        rf.compute_receptive_fields(made, input_resolution=[SIDE, SIDE])
        for made in (model, tensorflow.model_of(model))
    )
    differ = [
        layer
        for layer in [*one, *(set(two) - set(one))]
        if layer not in one or layer not in two or said(one[layer]) != said(two[layer])
    ]
    ways = (str(len(part)) for part in (source.opened, source.traced))
    return [name, str(len(one)), *ways, ", ".join(differ) or "-"]


def main() -> None:
    """Prints the table."""
    print("| model | layers | opened | traced | differ |\n|---|---|---|---|---|")
    for name in sys.argv[1:] or MODELS:
        try:
            print(f"| {' | '.join(row(name))} |", flush=True)
        except Exception as error:  # The next model may work.
            print(
                f"| {name} | {type(error).__name__}: {str(error)[:200]} |", flush=True
            )


if __name__ == "__main__":
    main()
