"""The zoo's tables: every network as data, without repetition.

The rows of AlexNet and the Inception networks use the notation of
`receptive_field.zoo.notation`. The other networks are regular enough to be generated in
loops. Scopes and node names are those of the TF-Slim model library, because the
published table uses TF-Slim's end-points.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from types import MappingProxyType

from receptive_field.zoo.layers import (
    Block,
    Convolution,
    Depthwise,
    Label,
    Layer,
    NamedLayer,
    Network,
    Normalisation,
    Padding,
    Pool,
    Residual,
    Separable,
)
from receptive_field.zoo.notation import branches, rows

_YEARS = {
    "alexnet_v2": 2014,
    "vgg_16": 2014,
    "inception_v2": 2015,
    "inception_v3": 2015,
    "inception_v4": 2016,
    "inception_resnet_v2": 2016,
    "mobilenet_v1": 2017,
    "mobilenet_v1_075": 2017,
    "resnet_v1_50": 2015,
    "resnet_v1_101": 2015,
    "resnet_v1_152": 2015,
    "resnet_v1_200": 2015,
}
"""Network -> year, as in "Computing Receptive Fields of Convolutional Neural
Networks"."""


def _network(
    name: str,
    scope: str,
    layers: Iterable[NamedLayer],
    paper: str,
    *,
    prefix: str = "",
    unpublished: Sequence[str] = (),
) -> Network:
    """Returns a network whose end-points are the rows that do not match any pattern in
    `unpublished`."""
    table = tuple(layers)
    end_points = tuple(
        prefix + layer.name
        for layer in table
        if not any(fnmatchcase(layer.name, pattern) for pattern in unpublished)
    )
    return Network(name, scope, table, end_points, _YEARS.get(name), paper)


def _alexnet_v2() -> Network:
    """The one-column AlexNet: Krizhevsky (2014), without fully connected layers."""
    table = """
        conv1: 64 11x11/4 V
        pool1: max 3x3/2 V
        conv2: 192 5x5
        pool2: max 3x3/2 V
        conv3: 384 3x3
        conv4: 384 3x3
        conv5: 256 3x3
        pool5: max 3x3/2 V
    """
    return _network(
        "alexnet_v2",
        "alexnet_v2",
        rows(table),
        "Krizhevsky (2014), arXiv:1404.5997",
        prefix="alexnet_v2/",
        unpublished=["pool2"],
    )


def _vgg(name: str, depths: Sequence[int]) -> Network:
    """VGG: Simonyan and Zisserman (2014). `depths` is the number of convolutions in
    each stage."""
    layers: list[NamedLayer] = []
    for stage, (filters, depth) in enumerate(
        zip((64, 128, 256, 512, 512), depths, strict=True), start=1
    ):
        layers += (
            Convolution(f"conv{stage}/conv{stage}_{index + 1}", filters, (3, 3))
            for index in range(depth)
        )
        layers.append(Pool(f"pool{stage}", "max", (2, 2), 2, "VALID"))
    return _network(
        name,
        name,
        layers,
        "Simonyan and Zisserman (2014), arXiv:1409.1556",
        prefix=f"{name}/",
        unpublished=["conv[12]/*_2", "*_3"],
    )


def _inception_v2(name: str, first: NamedLayer) -> Network:
    """BN-Inception: Ioffe and Szegedy (2015), with the given first layer."""
    table = """
        MaxPool_2a_3x3: max 3x3/2
        Conv2d_2b_1x1: 64 1x1
        Conv2d_2c_3x3: 192 3x3
        MaxPool_3a_3x3: max 3x3/2
        Mixed_3b: [64 1x1 | 64 1x1 -> 64 3x3 | 64 1x1 -> 96 3x3 -> 96 3x3
            | avg 3x3 -> 32 1x1]
        Mixed_3c: [64 1x1 | 64 1x1 -> 96 3x3 | 64 1x1 -> 96 3x3 -> 96 3x3
            | avg 3x3 -> 64 1x1]
        Mixed_4a: [128 1x1 -> 160 3x3/2 | 64 1x1 -> 96 3x3 -> 96 3x3/2 | max 3x3/2]
        Mixed_4b: [224 1x1 | 64 1x1 -> 96 3x3 | 96 1x1 -> 128 3x3 -> 128 3x3
            | avg 3x3 -> 128 1x1]
        Mixed_4c: [192 1x1 | 96 1x1 -> 128 3x3 | 96 1x1 -> 128 3x3 -> 128 3x3
            | avg 3x3 -> 128 1x1]
        Mixed_4d: [160 1x1 | 128 1x1 -> 160 3x3 | 128 1x1 -> 160 3x3 -> 160 3x3
            | avg 3x3 -> 96 1x1]
        Mixed_4e: [96 1x1 | 128 1x1 -> 192 3x3 | 160 1x1 -> 192 3x3 -> 192 3x3
            | avg 3x3 -> 96 1x1]
        Mixed_5a: [128 1x1 -> 192 3x3/2 | 192 1x1 -> 256 3x3 -> 256 3x3/2 | max 3x3/2]
        Mixed_5b: [352 1x1 | 192 1x1 -> 320 3x3 | 160 1x1 -> 224 3x3 -> 224 3x3
            | avg 3x3 -> 128 1x1]
        Mixed_5c: [352 1x1 | 192 1x1 -> 320 3x3 | 192 1x1 -> 224 3x3 -> 224 3x3
            | max 3x3 -> 128 1x1]
    """
    paper = "Ioffe and Szegedy (2015), arXiv:1502.03167"
    return _network(name, "InceptionV2", (first, *rows(table)), paper)


_INCEPTION_STEM = """
    Conv2d_1a_3x3: 32 3x3/2 V
    Conv2d_2a_3x3: 32 3x3 V
    Conv2d_2b_3x3: 64 3x3
"""
"""The first three layers of the later Inception networks."""

_INCEPTION_MAX_POOL_STEM = f"""
    {_INCEPTION_STEM.strip()}
    MaxPool_3a_3x3: max 3x3/2 V
    Conv2d_3b_1x1: 80 1x1 V
    Conv2d_4a_3x3: 192 3x3 V
    MaxPool_5a_3x3: max 3x3/2 V
"""
"""The stem of Inception-v3, which TF-Slim's Inception-ResNet-v2 also uses."""


def _inception_v3() -> Network:
    """Inception-v3: Szegedy et al. (2015)."""
    table = """
        Mixed_5b: [64 1x1 | 48 1x1 -> 64 5x5 | 64 1x1 -> 96 3x3 -> 96 3x3
            | avg 3x3 -> 32 1x1]
        Mixed_5c: [64 1x1 | Conv2d_0b_1x1: 48 1x1 -> Conv_1_0c_5x5: 64 5x5
            | 64 1x1 -> 96 3x3 -> 96 3x3 | avg 3x3 -> 64 1x1]
        Mixed_5d: [64 1x1 | 48 1x1 -> 64 5x5 | 64 1x1 -> 96 3x3 -> 96 3x3
            | avg 3x3 -> 64 1x1]
        Mixed_6a: [Conv2d_1a_1x1: 384 3x3/2 V
            | 64 1x1 -> 96 3x3 -> Conv2d_1a_1x1: 96 3x3/2 V | max 3x3/2 V]
        Mixed_6b: [192 1x1 | 128 1x1 -> 128 1x7 -> 192 7x1
            | 128 1x1 -> 128 7x1 -> 128 1x7 -> 128 7x1 -> 192 1x7 | avg 3x3 -> 192 1x1]
        Mixed_6c Mixed_6d:
            [192 1x1 | 160 1x1 -> 160 1x7 -> 192 7x1
            | 160 1x1 -> 160 7x1 -> 160 1x7 -> 160 7x1 -> 192 1x7 | avg 3x3 -> 192 1x1]
        Mixed_6e: [192 1x1 | 192 1x1 -> 192 1x7 -> 192 7x1
            | 192 1x1 -> 192 7x1 -> 192 1x7 -> 192 7x1 -> 192 1x7 | avg 3x3 -> 192 1x1]
        Mixed_7a: [192 1x1 -> 320 3x3/2 V | 192 1x1 -> 192 1x7 -> 192 7x1 -> 192 3x3/2 V
            | max 3x3/2 V]
        Mixed_7b: [320 1x1 | 384 1x1 -> (384 1x3, Conv2d_0b_3x1: 384 3x1)
            | 448 1x1 -> 384 3x3 -> (384 1x3, 384 3x1) | avg 3x3 -> 192 1x1]
        Mixed_7c: [320 1x1 | 384 1x1 -> (384 1x3, 384 3x1)
            | 448 1x1 -> 384 3x3 -> (384 1x3, 384 3x1) | avg 3x3 -> 192 1x1]
    """
    paper = "Szegedy et al. (2015), arXiv:1512.00567"
    layers = rows(_INCEPTION_MAX_POOL_STEM) + rows(table)
    return _network("inception_v3", "InceptionV3", layers, paper)


_INCEPTION_V4_PAPER = "Szegedy et al. (2016), arXiv:1602.07261"


def _inception_v4() -> Network:
    """Inception-v4: Szegedy et al. (2016)."""
    table = """
        Mixed_3a: [MaxPool_0a_3x3: max 3x3/2 V | Conv2d_0a_3x3: 96 3x3/2 V]
        Mixed_4a: [64 1x1 -> Conv2d_1a_3x3: 96 3x3 V
            | 64 1x1 -> 64 1x7 -> 64 7x1 -> Conv2d_1a_3x3: 96 3x3 V]
        Mixed_5a: [192 3x3/2 V | max 3x3/2 V]
        Mixed_5b Mixed_5c Mixed_5d Mixed_5e:
            [96 1x1 | 64 1x1 -> 96 3x3 | 64 1x1 -> 96 3x3 -> 96 3x3 | avg 3x3 -> 96 1x1]
        Mixed_6a: [384 3x3/2 V | 192 1x1 -> 224 3x3 -> 256 3x3/2 V | max 3x3/2 V]
        Mixed_6b Mixed_6c Mixed_6d Mixed_6e Mixed_6f Mixed_6g Mixed_6h:
            [384 1x1 | 192 1x1 -> 224 1x7 -> 256 7x1
            | 192 1x1 -> 192 7x1 -> 224 1x7 -> 224 7x1 -> 256 1x7 | avg 3x3 -> 128 1x1]
        Mixed_7a: [192 1x1 -> 192 3x3/2 V | 256 1x1 -> 256 1x7 -> 320 7x1 -> 320 3x3/2 V
            | max 3x3/2 V]
        Mixed_7b Mixed_7c Mixed_7d:
            [256 1x1 | 384 1x1 -> (256 1x3, 256 3x1)
            | 384 1x1 -> 448 3x1 -> 512 1x3 -> (256 1x3, 256 3x1) | avg 3x3 -> 256 1x1]
    """
    layers = rows(_INCEPTION_STEM) + rows(table)
    return _network("inception_v4", "InceptionV4", layers, _INCEPTION_V4_PAPER)


def _inception_resnet_v2(name: str, *, valid: bool = True) -> Network:
    """Inception-ResNet-v2: Szegedy et al. (2016).

    If `valid` is False, every V in the tables is removed, so all padding is SAME.
    """

    def table(text: str) -> tuple[NamedLayer, ...]:
        return rows(text if valid else text.replace(" V", ""))

    block35 = "Conv2d_1x1: 32 1x1 | 32 1x1 -> 32 3x3 | 32 1x1 -> 48 3x3 -> 64 3x3"
    block17 = "Conv2d_1x1: 192 1x1 | 128 1x1 -> 160 1x7 -> 192 7x1"
    block8 = "Conv2d_1x1: 192 1x1 | 192 1x1 -> 224 1x3 -> 256 3x1"
    mixed_5b = """
        Mixed_5b: [Conv2d_1x1: 96 1x1 | 48 1x1 -> 64 5x5 | 64 1x1 -> 96 3x3 -> 96 3x3
            | avg 3x3 -> 64 1x1]
    """
    mixed_6a = """
        Mixed_6a: [384 3x3/2 V | 256 1x1 -> 256 3x3 -> 384 3x3/2 V | max 3x3/2 V]
    """
    mixed_7a = """
        Mixed_7a: [256 1x1 -> 384 3x3/2 V | 256 1x1 -> 288 3x3/2 V
            | 256 1x1 -> 288 3x3 -> 320 3x3/2 V | max 3x3/2 V]
    """
    layers = (
        *table(_INCEPTION_MAX_POOL_STEM),
        *table(mixed_5b),
        Block("Repeat", _repeated(10, "block35", block35, 320, 0.17)),
        *table(mixed_6a),
        Block("Repeat_1", _repeated(20, "block17", block17, 1088, 0.10)),
        Label("PreAuxLogits"),
        *table(mixed_7a),
        Block("Repeat_2", _repeated(9, "block8", block8, 2080, 0.20)),
        Block("Block8", (_inception_residual(block8, 2080, 1.0, activated=False),)),
        *table("Conv2d_7b_1x1: 1536 1x1"),
    )
    return _network(
        name,
        "InceptionResnetV2",
        layers,
        _INCEPTION_V4_PAPER,
        unpublished=["Repeat*", "Block8"],
    )


def _repeated(
    times: int, name: str, text: str, depth: int, scale: float
) -> tuple[Block, ...]:
    residual = _inception_residual(text, depth, scale)
    return tuple(Block(f"{name}_{i}", (residual,)) for i in range(1, times + 1))


def _inception_residual(
    text: str, depth: int, scale: float, *, activated: bool = True
) -> Residual:
    """A residual unit that joins the branches, projects the result to the depth of the
    unit's input, scales it, and adds it to the input."""
    projection = Convolution("Conv2d_1x1", depth, (1, 1), activated=False)
    return Residual((branches(text), projection), scale=scale, activated=activated)


def _mobilenet_v1(name: str, multiplier: float = 1.0) -> Network:
    """MobileNet: Howard et al. (2017), with all depths multiplied by `multiplier`."""

    def depth(filters: int) -> int:
        return int(filters * multiplier)

    strides = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
    filters = (64, 128, 128, 256, 256, *(512,) * 6, 1024, 1024)
    layers: list[NamedLayer] = [Convolution("Conv2d_0", depth(32), (3, 3), 2)]
    for index, (stride, out) in enumerate(zip(strides, filters, strict=True), start=1):
        layers += (
            Depthwise(f"Conv2d_{index}_depthwise", (3, 3), stride),
            Convolution(f"Conv2d_{index}_pointwise", depth(out), (1, 1)),
        )
    paper = "Howard et al. (2017), arXiv:1704.04861"
    return _network(name, "MobilenetV1", layers, paper, unpublished=["*_depthwise"])


_RESNET_PAPER = "He et al. (2015), arXiv:1512.03385"
_RESNET_V2_PAPER = "He et al. (2016), arXiv:1603.05027"
_BASIC_UNITS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
_BOTTLENECK_UNITS = {
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 24, 36, 3),
}
"""Number of layers -> number of units in each of the four stages."""


def _square(
    name: str,
    filters: int,
    size: int,
    stride: int = 1,
    padding: Padding = "PAD",
    *,
    activated: bool = True,
) -> Convolution:
    """A convolution with a square kernel and batch normalisation."""
    kernel = (size, size)
    return Convolution(name, filters, kernel, stride, padding, True, activated)


def _projection(last: Convolution, stride: int) -> Convolution:
    """A 1x1 shortcut with the depth of the body's last convolution."""
    return replace(last, name="shortcut", kernel=(1, 1), stride=stride)


def _slim_resnet(version: int, depth: int) -> Network:
    """A ResNet as in TF-Slim, where the last unit of a block has the block's stride.

    Version 1 is from He et al. (2015). Version 2 is from He et al. (2016), where
    normalisation and ReLU come before the convolutions. The depth of 200 layers is also
    from the 2016 paper.
    """
    first = _square("conv1", 64, 7, 2)
    if version == 2:
        first = replace(first, normalised=False, activated=False)
    layers: list[NamedLayer] = [first, Pool("pool1", "max", (3, 3), 2)]
    for number, (units, stride) in enumerate(
        zip(_BOTTLENECK_UNITS[depth], (2, 2, 2, 1), strict=True), start=1
    ):
        width = 32 * 2**number
        strides = [1] * (units - 1) + [stride]
        unit = (_slim_unit_v1, _slim_unit_v2)[version - 1]
        blocks = (
            Block(f"unit_{index}/bottleneck_v{version}", unit(width, step, index == 1))
            for index, step in enumerate(strides, start=1)
        )
        layers.append(Block(f"block{number}", tuple(blocks)))
    name = f"resnet_v{version}_{depth}"
    return _network(
        name,
        name,
        layers,
        _RESNET_V2_PAPER if version == 2 or depth == 200 else _RESNET_PAPER,
        prefix=f"{name}/",
        unpublished=["conv1", "pool1"],
    )


def _slim_unit_v1(width: int, stride: int, projected: bool) -> tuple[Layer, ...]:
    """A bottleneck. If the shortcut is not a projection, it subsamples its input."""
    body = _slim_bottleneck(width, stride)
    if projected:
        return (Residual(body, (_projection(body[-1], stride),)),)
    return (Residual(body, _subsampling(stride)),)


def _slim_unit_v2(width: int, stride: int, projected: bool) -> tuple[Layer, ...]:
    """A bottleneck with pre-activation. A projection reads the pre-activation, too."""
    preactivation = Normalisation("preact")
    *convolutions, last = _slim_bottleneck(width, stride)
    last = replace(last, normalised=False)
    body: tuple[Layer, ...] = (*convolutions, last)
    if projected:
        shortcut = (_projection(last, stride),)
        return (preactivation, Residual(body, shortcut, activated=False))
    body = (preactivation, *body)
    return (Residual(body, _subsampling(stride), activated=False),)


def _slim_bottleneck(width: int, stride: int) -> tuple[Convolution, ...]:
    return (
        _square("conv1", width, 1, 1, "SAME"),
        _square("conv2", width, 3, stride, "SAME" if stride == 1 else "PAD"),
        _square("conv3", 4 * width, 1, 1, "SAME", activated=False),
    )


def _subsampling(stride: int) -> tuple[Pool, ...]:
    return (Pool("shortcut", "max", (1, 1), stride),) if stride > 1 else ()


Body = Callable[[int, int], tuple[Convolution, ...]]
"""Width and stride of a residual unit -> the convolutions of its body."""


def _basic(width: int, stride: int) -> tuple[Convolution, ...]:
    return (
        _square("conv1", width, 3, stride),
        _square("conv2", width, 3, activated=False),
    )


def _bottleneck(width: int, stride: int) -> tuple[Convolution, ...]:
    """The original bottleneck, with the stride in the first 1x1 convolution."""
    return (
        _square("conv1", width, 1, stride),
        _square("conv2", width, 3),
        _square("conv3", 4 * width, 1, activated=False),
    )


def _bottleneck_b(width: int, stride: int) -> tuple[Convolution, ...]:
    """ResNet-B, with the stride in the 3x3 convolution: He, T. et al. (2018),
    arXiv:1812.01187."""
    return (
        _square("conv1", width, 1),
        _square("conv2", width, 3, stride),
        _square("conv3", 4 * width, 1, activated=False),
    )


def _stages(
    name: str, depth: int, units: Sequence[int], body: Body
) -> Iterator[NamedLayer]:
    """Yields the stages ``name1``, ``name2``, ... for an input with `depth` channels.

    The first stage is as wide as its input. Each later stage is twice as wide as the
    stage before it, and its first unit has stride 2. The shortcut of a unit that
    changes the depth or size is a projection.
    """
    first_width = depth
    for stage, count in enumerate(units):
        blocks = []
        for unit in range(count):
            stride = 2 if stage > 0 and unit == 0 else 1
            convolutions = body(first_width * 2**stage, stride)
            last = convolutions[-1]
            projected = stride > 1 or last.filters != depth
            shortcut = (_projection(last, stride),) if projected else ()
            blocks.append(
                Block(f"unit_{unit + 1}", (Residual(convolutions, shortcut),))
            )
            depth = last.filters
        yield Block(f"{name}{stage + 1}", tuple(blocks))


def _resnet(name: str, units: Sequence[int], body: Body) -> Network:
    """The original ResNet: He et al. (2015), with paddings that do not depend on the
    input size."""
    layers = (
        _square("conv1", 64, 7, 2),
        Pool("maxpool", "max", (3, 3), 2, "PAD"),
        *_stages("layer", 64, units, body),
    )
    return _network(name, name, layers, _RESNET_PAPER)


def _resnet_cifar_20() -> Network:
    """The ResNet for CIFAR: He et al. (2015), with projections as shortcuts."""
    layers = (_square("conv1", 16, 3), *_stages("stage", 16, (3, 3, 3), _basic))
    name = "resnet_cifar_20"
    return _network(name, name, layers, _RESNET_PAPER)


def _published() -> Iterator[Network]:
    """Yields the networks of the published table, in the table's order."""
    first = "Conv2d_1a_7x7"
    yield _alexnet_v2()
    yield _vgg("vgg_a", (1, 1, 2, 2, 2))
    yield _vgg("vgg_16", (2, 2, 3, 3, 3))
    yield _inception_v2("inception_v2", Separable(first, 64, (7, 7), 2, 8))
    yield _inception_v2(
        "inception_v2-no-separable-conv", Convolution(first, 64, (7, 7), 2)
    )
    yield _inception_v3()
    yield _inception_v4()
    yield _inception_resnet_v2("inception_resnet_v2")
    yield _inception_resnet_v2("inception_resnet_v2-same", valid=False)
    yield _mobilenet_v1("mobilenet_v1")
    yield _mobilenet_v1("mobilenet_v1_075", 0.75)
    for version in (1, 2):
        for depth in _BOTTLENECK_UNITS:
            yield _slim_resnet(version, depth)


def _classic() -> Iterator[Network]:
    """Yields the ResNets of the original papers, with both placements of the stride."""
    for depth, units in _BASIC_UNITS.items():
        yield _resnet(f"resnet_{depth}", units, _basic)
    for depth in (50, 101, 152):
        yield _resnet(f"resnet_{depth}", _BOTTLENECK_UNITS[depth], _bottleneck)
        yield _resnet(f"resnet_{depth}_b", _BOTTLENECK_UNITS[depth], _bottleneck_b)
    yield _resnet_cifar_20()


PUBLISHED = tuple(network.name for network in _published())
"""The names of the networks in the published table."""

NETWORKS: Mapping[str, Network] = MappingProxyType(
    {network.name: network for network in (*_published(), *_classic())}
)
"""Name -> network, for all networks of the zoo."""
