"""Random networks of one unknown size, and what is said of them at every size.

`network` makes one of a seed, `said` asks a package about it. Of what was said, `wrong`
tells what is not true at some size, and `weak` what could have been known.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction
from functools import partial
from typing import Any

from needed import needed

from receptive_field.results.resolutions import Obstacle

tf = needed("tensorflow")
v1 = tf.compat.v1

SIZES = range(1, 49)
"""Each of which is asked about by itself."""

LARGE = range(1009, 1057)
"""Maps that never agree may meet at smaller sizes, where one of them has length 1."""

COMPARED = ("size", "stride", "padding", "aligned")
"""What both passes must agree on."""

Numbers = dict[str, Any]
"""What is said of a field, on the axis of unknown size."""


# --- Networks ------------------------------------------------------------------------


class _Generator:
    """Layers along the height of an image of one column."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def network(self) -> Callable[[Any], Any]:
        kinds = [self.chain, self.branches, self.pyramid, self.decoder, self.branches]
        return self.random.choice(kinds)()

    def chain(self) -> Callable[[Any], Any]:
        return self._all(self.layer() for _ in range(self.random.randint(1, 4)))

    def branches(self) -> Callable[[Any], Any]:
        """Paths that meet again, most of them of one stride."""
        before = self._all(self.layer() for _ in range(self.random.randint(0, 2)))
        strides = [self.random.choice([1, 2, 2, 3]) for _ in range(2)]
        paths = []
        for _ in range(self.random.randint(2, 3)):
            layers = [self.sliding(stride) for stride in strides if stride > 1]
            layers += [self.keeping() for _ in range(self.random.randint(0, 2))]
            if self.random.random() < 0.1:
                layers.append(self.layer())
            self.random.shuffle(layers)
            paths.append(self._all(layers))
        after = self._all(self.layer() for _ in range(self.random.randint(0, 2)))
        return lambda x: after(self._met([path(before(x)) for path in paths]))

    def pyramid(self) -> Callable[[Any], Any]:
        """A coarse map resized to the size of a finer one."""
        before = self._all(self.layer() for _ in range(self.random.randint(0, 1)))
        fine = self._all(self.level() for _ in range(self.random.randint(0, 2)))
        coarse = self._all(self.level() for _ in range(self.random.randint(1, 2)))
        back = self.to_size()
        after = self._all(self.layer() for _ in range(self.random.randint(0, 2)))

        def network(x: Any) -> Any:
            level = fine(before(x))
            return after(self._met([level, back(coarse(level), tf.shape(level)[1])]))

        return network

    def decoder(self) -> Callable[[Any], Any]:
        """Strides undone by a factor, and met with what was there before."""
        down = [self.level() for _ in range(self.random.randint(1, 3))]
        up = [self.by_factor(2) for _ in down]
        skips = [self.random.random() < 0.7 for _ in down]
        between = [self.keeping() for _ in down]

        def network(x: Any) -> Any:
            levels = []
            for layer in down:
                levels.append(x)
                x = layer(x)
            for layer, level, skip, keep in zip(
                up, levels[::-1], skips, between, strict=True
            ):
                x = layer(x)
                x = self._met([keep(x), level]) if skip else keep(x)
            return x

        return network

    def level(self) -> Callable[[Any], Any]:
        """Half the size."""
        layers = [self.sliding(2)]
        layers += [self.sliding(1) for _ in range(self.random.randint(0, 1))]
        return self._all(layers)

    def layer(self) -> Callable[[Any], Any]:
        if self.random.random() < 0.5:
            return self.sliding(self.random.choice([1, 2, 2, 3]), same=False)
        makers = [self.cut, self.keeping, lambda: self.by_factor(2), self.mirror]
        return self.random.choice(makers)()

    def keeping(self) -> Callable[[Any], Any]:
        """A layer that keeps the size."""
        makers = [lambda: self.sliding(1)] * 3 + [self.flip, self.roll, self.identity]
        return self.random.choice(makers)()

    def identity(self) -> Callable[[Any], Any]:
        return tf.nn.relu

    def sliding(self, stride: int, same: bool = True) -> Callable[[Any], Any]:
        kernel = self.random.randint(1, 5)
        padding = "SAME" if same else self.random.choice(["SAME", "SAME", "VALID"])
        if self.random.random() < 0.3:
            return lambda x: tf.nn.max_pool2d(x, [kernel, 1], [stride, 1], padding)
        dilation = self.random.choice([1, 1, 2]) if stride == 1 else 1
        taps = tf.ones([kernel, 1, 1, 1])
        return lambda x: tf.nn.conv2d(
            x, taps, [stride, 1], padding, dilations=[dilation, 1]
        )

    def cut(self) -> Callable[[Any], Any]:
        start, stop = self.random.randint(0, 3), self.random.randint(0, 3)
        step = self.random.choice([1, 1, 2])
        if self.random.random() < 0.3:  # Of small maps it takes less.
            few = self.random.randint(1, 6)
            cuts = [slice(few), slice(-few, None), slice(few, None, -step)]
            taken = self.random.choice(cuts)
            return lambda x: x[:, taken]
        return lambda x: x[:, start : -stop or None : step]

    def mirror(self) -> Callable[[Any], Any]:
        paddings = [[0, 0], [0, 0], [0, 0], [0, 0]]
        paddings[1] = [self.random.randint(0, 3) for _ in range(2)]
        mode = self.random.choice(["REFLECT", "SYMMETRIC"])
        return lambda x: tf.pad(x, paddings, mode)

    def flip(self) -> Callable[[Any], Any]:
        return lambda x: tf.reverse(x, [1])

    def roll(self) -> Callable[[Any], Any]:
        by = self.random.choice([-2, -1, 1, 2])
        return lambda x: tf.roll(x, by, 1)

    def by_factor(self, factor: int) -> Callable[[Any], Any]:
        if self.random.random() < 0.3:
            return lambda x: tf.repeat(x, factor, axis=1)
        back = self.to_size(factor)
        return lambda x: back(x, tf.shape(x)[1] * factor)

    def to_size(self, factor: int = 2) -> Callable[[Any, Any], Any]:
        kind = self.random.choice(["nearest", "bilinear", "v1", "transposed", "area"])
        kernel = self.random.randint(1, 4)

        def layer(x: Any, size: Any) -> Any:
            new = tf.stack([size, tf.shape(x)[2]])
            if kind == "transposed":
                taps = tf.ones([kernel, 1, 1, 1])
                shape = tf.stack([tf.shape(x)[0], size, tf.shape(x)[2], 1])
                return tf.nn.conv2d_transpose(x, taps, shape, [factor, 1], "SAME")
            if kind == "v1":
                return v1.image.resize_bilinear(x, new)
            return tf.image.resize(x, new, kind)

        return layer

    def _all(self, layers: Any) -> Callable[[Any], Any]:
        listed = list(layers)

        def network(x: Any) -> Any:
            for layer in listed:
                x = layer(x)
            return x

        return network

    def _met(self, paths: list[Any]) -> Any:
        whole = paths[0]
        for path in paths[1:]:
            whole = whole + path
        return whole


def network(seed: int) -> bytes:
    """A GraphDef with the placeholder ``x`` and the output ``y``."""
    generator = _Generator(seed)
    while True:
        with v1.Graph().as_default() as graph, suppress(ValueError):  # Never fits.
            x = v1.placeholder(tf.float32, [1, None, 1, 1], name="x")
            tf.identity(generator.network()(x), name="y")
            return graph.as_graph_def().SerializeToString()


# --- Answers -------------------------------------------------------------------------


def said(rf: Any, definition: bytes) -> dict[str, Any]:
    """All that a package says of a network, as plain data.

    Returns:
      ``unknown``: by the backward pass; ``forward``; ``resolutions``: by size, or an
      error; ``sizes``: for each size at which the network runs, the numbers;
      ``is_large``: whether there is an answer, or one at some of the sizes `LARGE`.
    """
    graph = v1.GraphDef.FromString(definition)
    given: Any = {"input": "x", "output": "y"}
    found: dict[str, Any] = {"sizes": {}}

    def one(resolution: list[int | None]) -> Any:
        return rf.compute_receptive_field(graph, **given, input_resolution=resolution)

    def of_all() -> Any:
        return rf.compute_receptive_fields(
            graph, input="x", outputs=["y"], input_resolution=[None, 1]
        )["y"]

    for size in SIZES:
        numbers = _asked(rf, partial(one, [size, 1]))
        if "error" not in numbers:
            found["sizes"][str(size)] = numbers
    found["unknown"] = _asked(rf, partial(one, [None, 1]))
    found["forward"] = _asked(rf, of_all)
    found["is_large"] = "error" not in found["unknown"] or any(
        "error" not in _asked(rf, partial(one, [size, 1])) for size in LARGE
    )
    try:
        resolutions = rf.resolutions(graph, **given).axes[1]
    except rf.ReceptiveFieldError as error:
        found["resolutions"] = {"error": str(error)}
        return found
    found["resolutions"] = {}
    for size in SIZES:
        fits = resolutions.placements[size % resolutions.period]
        if isinstance(fits, Obstacle) and not fits.can_run:
            found["sizes"].pop(str(size), None)  # A map of length 1 is broadcast.
        try:
            placement = resolutions.at(size)
            found["resolutions"][str(size)] = [placement.aligned, placement.padding]
        except rf.ReceptiveFieldError as error:
            found["resolutions"][str(size)] = str(error)
    return found


def _asked(rf: Any, ask: Callable[[], Any]) -> Numbers:
    try:
        field = ask()
    except rf.ReceptiveFieldError as error:
        return {"error": str(error)}
    numbers = _numbers(rf, field)
    local = field.local
    numbers["local"] = None if local is None else _numbers(rf, local)
    return numbers


def _numbers(rf: Any, field: Any) -> Numbers:
    told = field.to_dict()
    numbers = {key: told[key][1] for key in ("size", "stride", "padding")}
    numbers |= {key: told[key] for key in ("aligned", "exact")}
    count = told["output_size"][1]
    numbers["count"] = count
    try:
        features = [[0, u] for u in range(40 if count is None else count)]
        with warnings.catch_warnings(action="ignore"):
            regions = field.compute_input_region(features)
        numbers["regions"] = regions[:, 1].tolist()
    except rf.ReceptiveFieldError:
        numbers["regions"] = None
    return numbers


# --- Judgements ----------------------------------------------------------------------


def wrong(answers: dict[str, Any]) -> Iterator[str]:
    """What is said at unknown size, and is not so at some size."""
    unknown, forward = answers["unknown"], answers["forward"]
    if "error" in unknown or "error" in forward:
        if answers["is_large"]:
            yield f"error, though it runs: {unknown.get('error')}"
        return
    for key in COMPARED:
        is_bound = key == "size" and not unknown["exact"] and not forward["exact"]
        if unknown[key] != forward[key] and not is_bound:
            yield f"{key}: {unknown[key]} backward, {forward[key]} forward"
    pairs = [("", unknown, answers["sizes"])]
    if unknown["local"] is not None:
        local = {n: one["local"] for n, one in answers["sizes"].items()}
        pairs.append(("local ", unknown["local"], local))
    for what, claimed, sizes in pairs:
        known = {int(n): one for n, one in sizes.items() if one is not None}
        for found in _wrong(claimed, known):
            yield what + found
    resolutions = answers["resolutions"]
    for n, one in answers["sizes"].items():
        if isinstance(resolutions.get(n), list) and one["local"] is not None:
            true = [one["local"]["aligned"], one["local"]["padding"]]
            if one["count"] == 1:
                continue
            if resolutions[n] != true:
                yield f"resolutions.at({n}): {resolutions[n]}, not {true}"


def _number(bound: Any) -> float:
    return float(bound)


def _wrong(claimed: Numbers, known: dict[int, Numbers]) -> Iterator[str]:
    for n, one in known.items():
        if _number(claimed["size"]) < _number(one["size"]):
            yield f"size: {claimed['size']} is less than {one['size']} at {n}"
            break
    largest = max((_number(one["size"]) for one in known.values()), default=0.0)
    grows = _number(claimed["size"]) == float("inf")
    # With a longer stride, some residues come with larger sizes only.
    stride = claimed["stride"]
    all_seen = stride is not None and abs(Fraction(stride)) <= SIZES.stop // 2
    largest_is_known = claimed["exact"] and all_seen and not grows and known
    if largest_is_known and _number(claimed["size"]) != largest:
        yield f"size: {claimed['size']}, exact; it is never more than {largest}"
    for n, one in known.items():
        more = one["count"] is not None and one["count"] > 1
        for key in ("stride", "padding"):
            if more and claimed[key] is not None and claimed[key] != one[key]:
                yield f"{key}: {claimed[key]}, but {one[key]} at {n}"
        if claimed["aligned"] is True and one["aligned"] is not True:
            yield f"aligned: True, but {one['aligned']} at {n}"
        if more and claimed["aligned"] is False and one["aligned"] is not False:
            yield f"aligned: False, but {one['aligned']} at {n}"
        if claimed["regions"] is not None and one["regions"] is not None:
            for u, (mine, true) in enumerate(
                zip(claimed["regions"], one["regions"], strict=False)
            ):
                first, last = max(true[0], 0), min(true[1], n - 1)
                if first <= last and (mine[0] > first or mine[1] < last):
                    yield f"region {u}: {mine}, but {true} at {n}"
                inside = mine[0] >= 0 and mine[1] < n and true[0] >= 0 and true[1] < n
                if claimed["exact"] and inside and mine != true:
                    yield f"region {u}: {mine}, exact, but {true} at {n}"


def weak(answers: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    """For each thing that could be known at unknown size, whether it is not."""
    unknown, sizes = answers["unknown"], answers["sizes"]
    if not sizes or not answers["is_large"]:
        return
    pairs = [("", unknown, list(sizes.values()))]
    local = [one["local"] for one in sizes.values() if one["local"] is not None]
    if local != pairs[0][2]:
        pairs.append(("local ", unknown.get("local") or {}, local))
    for what, claimed, known in pairs:
        several = [
            one for one in known if one["count"] is not None and one["count"] > 1
        ]
        numbers = {_number(one["size"]) for one in several}
        if len(numbers) == 1:
            (size,) = numbers
            yield (
                what + "size",
                not claimed.get("size") or _number(claimed["size"]) > size,
            )
        flags = {one["aligned"] for one in several}
        if len(flags) == 1 and None not in flags:
            yield what + "aligned", claimed.get("aligned") is None
    resolutions = answers["resolutions"]
    open_sizes = [n for n in sizes if not isinstance(resolutions.get(n), list)]
    yield "resolutions", bool(open_sizes)
