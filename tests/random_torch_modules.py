"""Random modules of PyTorch, held against autograd and experiments.

  python -m tests.random_torch_modules SEED COUNT

tries that many modules, each with a seed of its own, and says for what reasons answers
are refused or are no more than bounds. It goes on where it was interrupted: what was
tried is kept in ``.random_torch_modules.json``, as long as the package and the tests
stay the same. It ends at the first failure, and says how to repeat it.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from dependency import (
    EXPERIMENTS,
    Channels,
    Windows,
    _differ,
    _features,
    _positions,
    hold_lines,
    hold_support,
    windows_of,
)
from needed import needed
from random_search import ROOT, seed_of_contents
from torch_experiments import with_weights

import receptive_field as rf
from receptive_field.frameworks import load
from receptive_field.questions.question import Options, Question
from receptive_field.whole_files import replace_file

torch = needed("torch")
nn, F = torch.nn, torch.nn.functional

LARGEST = 400
"""Modules with more positions in their output are passed over."""

DOORS = ("module", "module", "program", "functional")
"""What is given to the library: the module, or one of the two forms of its export."""

CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}


class Do(nn.Module):  # type: ignore[misc]
    """A function as a step of a module."""

    def __init__(self, text: str, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self.text, self.function = text, function

    def forward(self, x: Any) -> Any:
        """Calls the function."""
        return self.function(x)


class Chain(nn.Module):  # type: ignore[misc]
    """Steps one after another."""

    def __init__(self, steps: Sequence[Any]) -> None:
        super().__init__()
        self.steps = nn.ModuleList(steps)

    def forward(self, x: Any) -> Any:
        """Runs the steps."""
        for step in self.steps:
            x = step(x)
        return x


class Merge(nn.Module):  # type: ignore[misc]
    """Branches, and a function of their results."""

    def __init__(
        self, text: str, branches: Sequence[Any], join: Callable[..., Any]
    ) -> None:
        super().__init__()
        self.text, self.join = text, join
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Any) -> Any:
        """Runs the branches."""
        return self.join(*[branch(x) for branch in self.branches])


def described(module: Any) -> str:
    """What a random module does, in one line."""
    if isinstance(module, Chain):
        return ", ".join(map(described, module.steps)) or "nothing"
    if isinstance(module, Merge):
        return f"{module.text}[{' | '.join(map(described, module.branches))}]"
    return module.text if isinstance(module, Do) else str(module)


class Example(NamedTuple):
    """A random module, the shape of its input, and what the library is given."""

    module: Any
    shape: tuple[int, ...]
    door: str

    def __str__(self) -> str:
        return f"{list(self.shape)} as {self.door}: {described(self.module)}"


class _ImpossibleError(Exception):
    """A step does not fit the tensor."""


class _Generator:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.rank = self.random.choice([1, 1, 2, 2, 2, 2, 2, 3])
        self.shared: list[Any] = []
        self.attends = False

    # --- Modules ---------------------------------------------------------------------

    def example(self) -> Example:
        largest = {1: 18, 2: 9, 3: 4}[self.rank]
        sizes = [self.random.randint(2, largest) for _ in range(self.rank)]
        shape = (1, 2, *sizes)
        steps, x = self.chain(torch.ones(shape, dtype=torch.float64), 1, 3)
        if self.random.random() < 0.6:
            merge, x = self.merge(x)
            more, x = self.chain(x, 0, 2)
            steps += [merge, *more]
        if self.attends:  # It joins all positions; a convolution tells their axes.
            steps.insert(0, with_weights(self.conv(2, 2, 1)).double())
        if self.random.random() < 0.15:
            steps.insert(0, self.memory_format())
        return Example(Chain(steps).eval(), shape, self.random.choice(DOORS))

    def chain(self, x: Any, low: int, high: int) -> tuple[list[Any], Any]:
        steps = []
        for _ in range(self.random.randint(low, high)):
            step, x = self.step(x)
            steps.append(step)
        return steps, x

    def step(self, x: Any) -> tuple[Any, Any]:
        """A step that fits a tensor, and its result."""
        while True:
            maker = self.random.choice(self.makers())
            try:
                step = with_weights(maker(x).double().eval(), self.number(0, 99))
                with torch.no_grad():
                    found = step(x.clone())
            except (_ImpossibleError, RuntimeError, ValueError, IndexError):
                continue
            if found.dim() != x.dim() or not found.numel():
                continue
            if not found.isfinite().all():  # The maximum of padding alone.
                continue
            if found[0, 0].numel() <= LARGEST:
                return step, found

    def merge(self, x: Any) -> tuple[Any, Any]:
        """Branches that meet, and the result."""
        while True:
            branches, ends = [], []
            for _ in range(self.random.choice([2, 2, 2, 3])):
                steps, end = self.chain(x, 0, 2)
                if end.shape[1] != x.shape[1]:
                    mix = with_weights(self.conv(end.shape[1], x.shape[1], 1))
                    steps.append(mix.double())
                    end = mix.double()(end)
                branches.append(Chain(steps))
                ends.append(end)
            text, join = self.joining()
            found = Merge(text, branches, join).eval()
            try:
                with torch.no_grad():
                    result = found(x.clone())
            except (RuntimeError, ValueError):
                continue
            if result.numel() and result[0, 0].numel() <= LARGEST:
                return found, result

    def joining(self) -> tuple[str, Callable[..., Any]]:
        rank = self.rank

        def cut(*ends: Any) -> list[Any]:
            least = [min(e.shape[axis] for e in ends) for axis in range(2, rank + 2)]
            some = (slice(None), slice(None), *map(slice, least))
            return [end[some] for end in ends]

        def added(*ends: Any) -> Any:
            return sum(cut(*ends))

        def into(first: Any, *others: Any) -> Any:
            found, *rest = cut(first, *others)
            found = found * 1
            for other in rest:
                found += other
            return found

        def resized(first: Any, *others: Any) -> Any:
            size = first.shape[2:]
            return sum((F.interpolate(o, size=size) for o in others), first)

        def smooth(first: Any, *others: Any) -> Any:
            mode = {1: "linear", 2: "bilinear", 3: "trilinear"}[rank]
            size = first.shape[2:]
            more = (F.interpolate(o, size=size, mode=mode) for o in others)
            return torch.cat([first, *more], 1)

        def padded(first: Any, *others: Any) -> Any:
            for other in others:
                pads = []
                for axis in reversed(range(2, rank + 2)):
                    by = first.shape[axis] - other.shape[axis]
                    pads += [by // 2, by - by // 2]
                first = first + F.pad(other, pads)
            return first

        def over(*ends: Any) -> Any:
            first, *others = ends
            found = first.clone()
            for other in others:
                a, b = cut(found, other)
                a.add_(b)
            return found

        axis = self.number(2, rank + 1)
        return self.random.choice(
            [
                ("add", added),
                ("add", added),
                ("add_", into),
                ("cat", lambda *ends: torch.cat(cut(*ends), 1)),
                (f"cat{axis}", lambda *ends: torch.cat(cut(*ends), axis)),
                ("maximum", lambda a, *ends: torch.maximum(*cut(a, ends[0]))),
                ("mul", lambda a, *ends: a * cut(ends[0], a)[0] + a),
                ("resized", resized),
                ("smooth", smooth),
                ("padded", padded),
                ("over", over),
                ("stack", lambda *ends: torch.stack(cut(*ends)).sum(0)),
            ]
        )

    def makers(self) -> list[Callable[[Any], Any]]:
        found = [self.convolution, self.convolution, self.convolution]
        found += [self.transposed, self.pool, self.pool, self.pad, self.pad]
        found += [self.slices, self.slices, self.activation, self.norm]
        found += [self.upsample, self.upsample, self.in_place, self.in_place]
        found += [self.views, self.views, self.moved, self.moved, self.again]
        if self.rank == 2:
            found += [self.shuffle, self.unfold, self.last]
        if self.random.random() < 0.2:
            found += [self.whole, self.whole]
        return found

    # --- Numbers ---------------------------------------------------------------------

    def number(self, low: int, high: int) -> int:
        return self.random.randint(low, high)

    def sizes(self, low: int, high: int) -> list[int]:
        """One number for each axis; often the same."""
        if self.random.random() < 0.5:
            return [self.number(low, high)] * self.rank
        return [self.number(low, high) for _ in range(self.rank)]

    def flag(self) -> bool:
        return self.random.random() < 0.5

    def of_rank(self, name: str) -> Any:
        return getattr(nn, f"{name}{self.rank}d")

    # --- Steps -----------------------------------------------------------------------

    def conv(self, channels: int, out: int, kernel: Any, **options: Any) -> Any:
        return self.of_rank("Conv")(channels, out, kernel, **options)

    def convolution(self, x: Any) -> Any:
        channels = x.shape[1]
        kernel, mode = self.sizes(1, 3), "zeros"
        options: dict[str, Any] = {"padding": self.sizes(0, 2)}
        if self.flag():
            options["stride"] = self.sizes(1, 3)
        elif self.random.random() < 0.3:
            options["padding"] = self.random.choice(["same", "valid"])
        if self.random.random() < 0.3:
            options["dilation"] = self.sizes(1, 3)
        if self.random.random() < 0.25:
            mode = self.random.choice(["reflect", "replicate", "circular"])
        out = self.random.choice([2, 4])
        if channels % 2 == 0 and self.random.random() < 0.3:
            options["groups"] = self.random.choice([2, channels])
            out = channels
        options["bias"] = self.flag()
        module = self.conv(channels, out, kernel, padding_mode=mode, **options)
        self.shared.append(module)
        return module

    def transposed(self, x: Any) -> Any:
        stride = self.sizes(1, 3)
        extra = [self.number(0, s - 1) for s in stride]
        return self.of_rank("ConvTranspose")(
            x.shape[1],
            2,
            self.sizes(1, 3),
            stride=stride,
            padding=self.sizes(0, 1),
            output_padding=extra,
            dilation=self.random.choice([1, 1, 2]),
        )

    def pool(self, x: Any) -> Any:
        kernel, stride = self.sizes(1, 3), self.sizes(1, 3)
        ceil = self.flag()
        pads = [self.number(0, k // 2) for k in kernel]
        kind = self.random.choice(["max", "max", "avg", "avg", "adaptive", "lp"])
        if kind == "max":
            dilation = self.random.choice([1, 1, 2])
            return self.of_rank("MaxPool")(
                kernel, stride, pads, dilation=dilation, ceil_mode=ceil
            )
        if kind == "avg":
            return self.of_rank("AvgPool")(
                kernel, stride, pads, ceil_mode=ceil, count_include_pad=self.flag()
            )
        if kind == "lp":
            one = self.rank == 1  # It takes no lists.
            return self.of_rank("LPPool")(
                1,
                kernel[0] if one else kernel,
                stride[0] if one else stride,
                ceil_mode=ceil,
            )
        name = self.random.choice(["AdaptiveAvgPool", "AdaptiveMaxPool"])
        return self.of_rank(name)(self.sizes(1, 5))

    def pad(self, x: Any) -> Any:
        low = self.random.choice([0, 0, -1])
        pads = [self.number(low, 2) for _ in range(2 * self.rank)]
        mode = self.random.choice(
            ["constant", "constant", "reflect", "replicate", "circular"]
        )
        if mode != "constant":
            pads = [max(pad, 0) for pad in pads]
        return Do(f"pad({pads}, {mode})", lambda x: F.pad(x, pads, mode))

    def slices(self, x: Any) -> Any:
        axis = self.number(2, self.rank + 1)
        size = x.shape[axis]
        kind = self.random.choice(["cut", "narrow", "index", "unbind", "ends", "steps"])
        start, step = self.number(0, min(2, size - 1)), self.number(1, 3)
        if kind == "narrow":
            length = self.number(1, size - start)
            return Do(
                f"narrow({axis}, {start}, {length})",
                lambda x: x.narrow(axis, start, length),
            )
        if kind == "index":
            some = [self.number(0, size - 1) for _ in range(self.number(1, size))]
            index = torch.tensor(some)
            module = Do(f"index({axis}, {some})", lambda x: x)
            module.register_buffer("index", index)
            module.function = lambda x: x.index_select(axis, module.index)
            return module
        if kind == "unbind":
            return Do(
                f"unbind({axis})",
                lambda x: torch.stack(x.unbind(axis)[start:], axis),
            )
        if kind == "ends":
            return Do(f"chunk({axis})", lambda x: x.chunk(2, axis)[-1])
        cuts = [slice(None)] * 2
        for number in range(self.rank):
            first = self.number(0, min(2, x.shape[number + 2] - 1))
            cuts.append(slice(first, -self.number(0, 1) or None, self.number(1, step)))
        return Do(f"x[{cuts[2:]}]", lambda x: x[tuple(cuts)])

    def activation(self, x: Any) -> Any:
        return self.random.choice(
            [
                nn.ReLU(),
                nn.ReLU(inplace=True),
                nn.GELU(),
                nn.SiLU(),
                nn.LeakyReLU(0.1),
                nn.PReLU(),
                nn.ELU(),
                nn.Softplus(),
                nn.Dropout(0.5),
                nn.Identity(),
                Do("sqrt", lambda x: torch.sqrt(x.abs() + 1)),
                Do("scaled", lambda x: 0.5 * x + 1),
                Do("square", lambda x: x * x + x),
            ]
        )

    def norm(self, x: Any) -> Any:
        channels = x.shape[1]
        module = self.of_rank("BatchNorm")(channels)
        return self.random.choice(
            [
                module,
                module,
                self.of_rank("BatchNorm")(channels, affine=False),
                Do("norm", lambda x: F.normalize(x, p=1.0, dim=1) + x),
                Do("softmax", lambda x: torch.softmax(0.1 * x, 1)),
            ]
        )

    def upsample(self, x: Any) -> Any:
        smooth = {1: ["linear"], 2: ["bilinear", "bicubic"], 3: ["trilinear"]}
        modes = ["nearest", "nearest-exact", "area", *smooth[self.rank] * 2]
        mode = self.random.choice(modes)
        options: dict[str, Any] = {"mode": mode}
        if mode in smooth[self.rank]:
            options["align_corners"] = self.flag()
            if self.rank == 2 and self.random.random() < 0.2:
                options["antialias"] = True
        if self.flag():
            options["size"] = self.sizes(1, 9)
        else:
            options["scale_factor"] = self.random.choice([2.0, 2.0, 3.0, 0.5, 1.5])
        if mode == "area" and "scale_factor" not in options:
            options["size"] = self.sizes(1, 5)
        width = options.get("size", [0])[-1] or options["scale_factor"] * x.shape[-1]
        if int(width) == 1:  # All rows become the first one, though not in gradients.
            options.pop("antialias", None)
        return Do(f"interpolate({options})", lambda x: F.interpolate(x, **options))

    def in_place(self, x: Any) -> Any:
        axis = self.number(2, self.rank + 1)
        before = (slice(None),) * axis

        def shifted(x: Any) -> Any:
            y = x.clone()
            y[(*before, slice(1, None))] += x[(*before, slice(None, -1))]
            return y

        def filled(x: Any) -> Any:
            y = torch.zeros_like(x)
            y[(*before, slice(None, None, 2))] = x[(*before, slice(None, None, 2))]
            return y

        def viewed(x: Any) -> Any:
            y = x * 1
            part = y.narrow(axis, 0, max(y.shape[axis] // 2, 1))
            part.mul_(2).add_(1)
            return y

        def halves(x: Any) -> Any:
            y = x + 1
            a, b = y.chunk(2, 1)
            a += b
            return y

        def copied(x: Any) -> Any:
            y = x.clone()
            y.select(axis, 0).copy_(x.select(axis, -1))
            return y

        def late(x: Any) -> Any:
            y = x * 2
            z = y.transpose(axis, 1)
            y.add_(x.flip(axis))
            return z.transpose(axis, 1) * 1

        return self.random.choice(
            [
                Do(f"shifted({axis})", shifted),
                Do(f"filled({axis})", filled),
                Do(f"viewed({axis})", viewed),
                Do("halves", halves),
                Do(f"copied({axis})", copied),
                Do(f"late({axis})", late),
                Do("mul_", lambda x: (x + 1).mul_(2)),
                Do("relu_", lambda x: (x + 1).relu_()),
                Do("add_", lambda x: (x * 2).add_(x)),
            ]
        )

    def views(self, x: Any) -> Any:
        size = x.shape[-1]
        if self.rank > 1 and self.random.random() < 0.4:
            return Do("transpose", lambda x: x.transpose(-1, -2))

        def folded(x: Any) -> Any:
            y = x.reshape(*x.shape[:-1], -1, 2)
            return y.sum(-1) if size % 2 == 0 else x

        def depth(x: Any) -> Any:
            y = x.reshape(*x.shape[:-1], x.shape[-1] // 2, 2)
            y = y.permute(0, y.dim() - 1, *range(1, y.dim() - 1))
            return y.flatten(1, 2)

        def swapped(x: Any) -> Any:
            a, b = x.split([1, x.shape[-1] - 1], -1)
            return torch.cat([b, a], -1)

        def windows(x: Any) -> Any:
            y = x.unflatten(-1, (-1, 2))
            y = y + y.mean(-1, keepdim=True)
            return y.flatten(-2)

        def flat(x: Any) -> Any:
            y = x.flatten(2)
            return (y * 2).view(x.shape) if y.is_contiguous() else y.reshape(x.shape)

        kinds = [("swapped", swapped), ("flat", flat)]
        if size % 2 == 0:
            kinds += [("folded", folded), ("depth", depth), ("windows", windows)]
        return Do(*self.random.choice(kinds))

    def moved(self, x: Any) -> Any:
        axis = self.number(2, self.rank + 1)
        by = self.random.choice([-2, -1, 1, 2])
        times = self.number(2, 3)
        size = x.shape[axis]
        return self.random.choice(
            [
                Do(f"roll({by}, {axis})", lambda x: x.roll(by, axis)),
                Do(f"flip({axis})", lambda x: x.flip(axis)),
                Do(
                    f"repeat_interleave({times}, {axis})",
                    lambda x: x.repeat_interleave(times, axis),
                ),
                Do(f"tile({axis})", lambda x: torch.cat([x] * times, axis)),
                Do(f"mean({axis})", lambda x: x + x.mean(axis, keepdim=True)),
                Do(f"amax({axis})", lambda x: x.amax(axis, keepdim=True)),
                Do(f"cumsum({axis})", lambda x: x.cumsum(axis)),
                Do(
                    f"differences({axis})",
                    lambda x: (
                        x.narrow(axis, 1, size - 1) + 2 * x.narrow(axis, 0, size - 1)
                    ),
                ),
                Do(f"window({axis})", lambda x: x.unfold(axis, 2, times).sum(-1)),
            ]
        )

    def again(self, x: Any) -> Any:
        """A module that was called before."""
        if not self.shared:
            raise _ImpossibleError
        return self.random.choice(self.shared)

    def shuffle(self, x: Any) -> Any:
        if x.shape[1] % 4 == 0 and self.flag():
            return nn.PixelShuffle(2)
        if x.shape[1] % 2 == 0 and self.random.random() < 0.3:
            return nn.ChannelShuffle(2)
        return nn.PixelUnshuffle(2)

    def unfold(self, x: Any) -> Any:
        kernel, stride = self.sizes(1, 3), self.sizes(1, 2)
        dilation, pads = self.number(1, 2), self.number(0, 1)
        height, width = [
            (n + 2 * pads - dilation * (k - 1) - 1) // s + 1
            for n, k, s in zip(x.shape[2:], kernel, stride, strict=True)
        ]
        if self.flag():
            size = x.shape[2:]

            def both(x: Any) -> Any:
                y = F.unfold(x, kernel, dilation, pads, stride)
                return F.fold(y, size, kernel, dilation, pads, stride)

            return Do(f"fold({kernel}, {stride}, {dilation}, {pads})", both)

        def taps(x: Any) -> Any:
            y = F.unfold(x, kernel, dilation, pads, stride)
            y = y.view(x.shape[0], x.shape[1], -1, height, width)
            return y.sum(2)

        return Do(f"unfold({kernel}, {stride}, {dilation}, {pads})", taps)

    def last(self, x: Any) -> Any:
        """Channels behind the positions."""
        channels = x.shape[1]
        return Chain(
            [
                Do("permute", lambda x: x.permute(0, 2, 3, 1)),
                self.random.choice(
                    [nn.Linear(channels, 2), nn.LayerNorm(channels), nn.GELU()]
                ),
                Do("permute", lambda x: x.permute(0, 3, 1, 2)),
            ]
        )

    def memory_format(self) -> Any:
        if self.rank == 1:
            return Do("contiguous", lambda x: x.contiguous())
        form = CHANNELS_LAST[self.rank + 2]
        return Do("channels_last", lambda x: x.contiguous(memory_format=form))

    def whole(self, x: Any) -> Any:
        """Something that sees a whole axis, or all of them."""
        channels, axes = x.shape[1], tuple(range(2, self.rank + 2))
        axis = self.number(2, self.rank + 1)

        def attended(x: Any) -> Any:
            y = x.flatten(2).transpose(1, 2)
            y = F.scaled_dot_product_attention(0.1 * y, 0.1 * y, y)
            return y.transpose(1, 2).reshape(x.shape)

        kinds = [nn.LayerNorm(x.shape[1:])]
        if self.random.random() < 0.3:
            self.attends = True
            return Do("attention", attended)
        if x.shape[axis] > 1:  # What is divided by itself is constant.
            kinds.append(Do(f"softmax({axis})", lambda x: torch.softmax(0.1 * x, axis)))
        if x[0, 0].numel() > 1:
            kinds.append(nn.GroupNorm(self.random.choice([1, 2]), channels))
            kinds.append(self.of_rank("InstanceNorm")(channels))
        return self.random.choice(
            [
                Do("squeezed", lambda x: x * torch.sigmoid(x.mean(axes, True))),
                *kinds,
            ]
        )


# --- What a module does --------------------------------------------------------------


def truth_of(
    module: Any, shape: Sequence[int], channels: Channels
) -> tuple[Any, list[int]]:
    """Which input positions change which output positions; and the output's shape.

    What autograd says about a random image and its negative, where other branches win a
    maximum, is joined by what disturbances show: a maximum has a gradient only at its
    winner.

    Args:
      module: the module.
      shape: the shape of its input.
      channels: the axes of the output that hold no positions, but for the batch.
    """
    axes = range(2, len(shape))
    sizes = [shape[axis] for axis in axes]
    count = int(np.prod(sizes))

    def run(images: Any) -> Any:
        with torch.no_grad():
            return module(torch.from_numpy(images)).numpy()

    image = np.random.default_rng(0).uniform(0.5, 1.5, shape)
    one = run(image)
    output_shape = list(one.shape)
    found = np.zeros((*_positions(output_shape, channels), *sizes), dtype=bool)
    with suppress(RuntimeError):  # Some changes in place have no gradient.
        for start in (image, -image):
            leaf = torch.from_numpy(start).requires_grad_()
            sums = module(leaf.clone())
            sums = sums.sum(tuple(channels)) if channels else sums
            for place in np.ndindex(*sums.shape):
                (gradient,) = torch.autograd.grad(
                    sums[place], [leaf], retain_graph=True, allow_unused=True
                )
                if gradient is not None:
                    found[place] |= (gradient != 0).any(0).any(0).numpy()
    for seed, scale, disturbance in EXPERIMENTS:
        random = np.random.default_rng(seed)
        still = scale * random.uniform(0.5, 1.5, shape)
        images = np.repeat(still, count, axis=0)
        for number, position in enumerate(np.ndindex(*sizes)):
            index = (number, slice(None), *position)
            images[index] += disturbance * random.uniform(0.5, 1.5, shape[1])
        undisturbed = run(np.repeat(still, count, axis=0))
        changed = _differ(run(images), undisturbed).any(tuple(channels))
        changed = changed.reshape(*sizes, 1, *changed.shape[1:])
        found |= np.moveaxis(changed, range(len(sizes)), range(-len(sizes), 0))
    return found, output_shape


def loaded(example: Example) -> Any:
    """The library's model of a module, or of one of the forms of its export."""
    image = torch.ones(*example.shape, dtype=torch.float64)
    if example.door == "module":
        size = example.shape[2:]
        return load(example.module, resolution=size, example_inputs=image)
    with torch.no_grad():
        program = torch.export.export(example.module, (image,), strict=False)
    return load(
        program if example.door == "program" else program.run_decompositions({})
    )


def example_of(seed: int) -> Example:
    """The random module of a seed."""
    return _Generator(seed).example()


class Outcome(NamedTuple):
    """What the library said of a random module."""

    kind: str
    """"exact", "bound" or "refused"."""
    reason: str


def held(example: Example) -> Outcome:
    """Holds the library's answer against the truth, unless it refuses to answer.

    Raises:
      AssertionError: if the answer is wrong.
    """
    shape, axes = example.shape, list(range(2, len(example.shape)))
    try:
        model = loaded(example)
        (name,) = model.outputs
        field = rf.compute_receptive_field(model, output=name)
    except rf.ReceptiveFieldError as error:
        text = str(error).partition("\n")[0]
        if "does not depend on" in text:
            assert not truth_of(example.module, shape, (1,))[0].any(), text
            return Outcome("exact", "")
        return Outcome("refused", text)
    # If all positions of an axis are in the channels, these are the features.
    has_positions = any(axis.output_axis == 1 for axis in field.feature_axes)
    channels: Channels = () if has_positions else (1,)
    truth, output_shape = truth_of(example.module, shape, channels)
    network = Question.ask(model, None, [name], Options()).network
    channels, truth = _without_free_axes(field, network, truth, output_shape, channels)
    windows = windows_of(field, shape, output_shape, channels)
    assert sorted(w.axis for w in windows) == axes
    positions = truth.ndim - len(axes)
    lines = []
    for w in windows:
        number = positions + axes.index(w.axis)
        others = tuple(i for i in range(positions, truth.ndim) if i != number)
        lines.append(truth.any(axis=others))
    between = [*windows, *_windows_between(model, name, output_shape, channels)]
    if (
        field.mirroring_nodes
    ):  # Mirrored positions are padding, wherever they come from.
        between.append(Windows(axes[0], 1, *map(np.array, (-1, 0, True))))
    hold_lines(field, windows, lines, between)
    hold_support(field, truth, _features(field, output_shape, channels))
    return Outcome("exact" if field.exact else "bound", "")


def _without_free_axes(
    field: rf.ReceptiveField,
    network: Any,
    truth: Any,
    output_shape: Sequence[int],
    channels: Channels,
) -> tuple[Channels, Any]:
    """A feature is all of an axis that nothing of the input follows.

    All features along the axis see the same, unless the result is a bound, or the axis
    was padded or repeated from a length of one.

    Returns:
      All axes of which a feature is all, and the truth without them.
    """
    held = {axis.output_axis for axis in field.feature_axes}
    places = [a for a in range(len(output_shape)) if a not in channels]
    free = [a for a in places if a and a not in held and output_shape[a] > 1]
    if not free:
        return channels, truth
    numbers = tuple(map(places.index, free))
    alike = (truth == truth.any(numbers, keepdims=True)).all()
    shapes = [
        network.shape((index, number))
        for index in network.order
        for number in range(len(network.graph.nodes[index].definition.kinds))
    ]
    repeated = any(shape is not None and 1 in shape[2:] for shape in shapes)
    assert alike or repeated or not field.exact
    return (*channels, *free), truth.any(numbers)


def _windows_between(
    model: Any, output: str, output_shape: Sequence[int], channels: Channels
) -> Iterator[Windows]:
    """What the features see of every tensor in between; see `dependency.hold`."""
    network = Question.ask(model, None, [output], Options()).network
    end = model.outputs[output]
    for index in network.order:
        count = len(network.graph.nodes[index].definition.kinds)
        for tensor in [(index, number) for number in range(count)]:
            shape = network.shape(tensor)
            if tensor in (network.input, end) or not shape or len(shape) < 3:
                continue
            name = network.graph.name_of(tensor)
            try:
                field = rf.compute_receptive_field(model, input=name, output=output)
                yield from windows_of(field, shape, output_shape, channels)
            except rf.ReceptiveFieldError:
                continue  # It does not lie between input and output.


# --- The command ---------------------------------------------------------------------


def main() -> int:
    """Tries random modules until enough were tried, or one fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("seed", type=int, help="the seed of the first module")
    parser.add_argument("count", type=int, help="how many modules to try")
    parser.add_argument("--go-on", action="store_true", help="do not end at a failure")
    parser.add_argument(
        "--state", type=Path, default=ROOT / ".random_torch_modules.json"
    )
    options = parser.parse_args()
    kept = _kept(options.state)
    outcomes: dict[str, list[str]] = kept.setdefault(str(options.seed), {})
    for seed in range(options.seed, options.seed + options.count):
        if str(seed) in outcomes:
            continue
        example = None
        try:
            example = example_of(seed)
            outcomes[str(seed)] = list(held(example))
        except Exception as error:  # A crash is as bad as a wrong answer.
            text = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            print(f"seed {seed}: {example}\n  {text}", flush=True)
            if not options.go_on:
                return 1
            outcomes[str(seed)] = ["wrong", text]
        contents = {"contents": seed_of_contents(), "outcomes": kept}
        replace_file(options.state, json.dumps(contents).encode())
    kinds = Counter(kind for kind, _ in outcomes.values())
    print(", ".join(f"{number} {kind}" for kind, number in kinds.most_common()))
    reasons = Counter(why for kind, why in outcomes.values() if kind == "refused")
    for why, number in reasons.most_common(20):
        print(f"{number:5} {why[:200]}")
    return int("wrong" in kinds)


def _kept(path: Path) -> dict[str, dict[str, list[str]]]:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    found: dict[str, Any] = kept["outcomes"]
    return found if kept["contents"] == seed_of_contents() else {}


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("interrupted; the modules that passed are kept.")
