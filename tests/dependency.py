"""Which positions matter, found by experiment: the truth that rules are held against.

A network is a function from a tensor to a tensor. It is run, one input position
after another is disturbed, and every output position that changes depends on it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from needed import needed

import receptive_field as rf
from receptive_field.errors import ReceptiveFieldError
from receptive_field.frameworks import load
from receptive_field.frameworks.tensorflow.double_precision import without_rounded_zeros
from receptive_field.questions.question import Options, Question

tf = needed("tensorflow")

Build = Callable[[Any], Any]

Channels = Sequence[int]
"""Axes of an output of which a feature is all."""

EXPERIMENTS = ((1, 1, 1e3), (1, 1, -1e3), (2, 1, 1e-2), (1, 0, 1))
"""Which random image is disturbed, times what, and by how much: more than all else, to
win every maximum; less than all else, to win every minimum; little, not to saturate
anything; and from zero, where the smallest weight is not rounded away."""


class Trace(NamedTuple):
    """A graph with the two tensors that the question is about."""

    graph: Any
    input: Any
    output: Any


def traced(build: Build, shape: Sequence[int | None], dtype: Any = "float64") -> Trace:
    """The graph of a network on a placeholder of this shape."""
    graph = tf.Graph()
    with graph.as_default():
        tensor = tf.compat.v1.placeholder(dtype, shape, name="input")
        return Trace(graph, tensor, build(tensor))


def vanishes(trace: Trace) -> bool:
    """Whether some feature map on the way has no position."""
    tensors = (t for o in trace.graph.get_operations() for t in o.outputs)
    return any(t.shape.rank and t.shape.rank > 2 and 0 in t.shape for t in tensors)


def positive(shape: Sequence[int], low: float = 0.5, high: float = 1.5) -> Any:
    """Numbers without a zero, a sign, or a pattern: weights that hide nothing."""
    return np.random.default_rng(math.prod(shape)).uniform(low, high, shape)


def measured(
    build: Build,
    shape: Sequence[int],
    axes: Sequence[int] = (1, 2),
    channels: Channels = (-1,),
    dtype: Any = "float64",
    values: tuple[float, float] = (0.5, 1.5),
    trace: Trace | None = None,
) -> Any:
    """Which input positions change which output positions.

    Args:
      build: the network.
      shape: the shape of its input.
      axes: the spatial axes of the input.
      channels: the axes of the output that hold no positions, but for the batch.
      dtype: the type of the input. Single precision may show what is not there, or
        hide what is.
      values: between which numbers the undisturbed inputs are.
      trace: the network's graph for this input, if it is there already.

    Returns:
      A boolean array: all axes of the output but its channels, then ``axes``.
    """
    run = _runner(trace or traced(build, shape, dtype))
    sizes = [shape[axis] for axis in axes]
    positions = list(np.ndindex(*sizes))
    batch = None
    found = None
    for seed, scale, disturbance in EXPERIMENTS:
        random = np.random.default_rng(seed)
        image = (scale * random.uniform(*values, shape)).astype(dtype)
        undisturbed = run(image)
        if found is None:
            seen = _positions(undisturbed.shape, channels)
            found = np.zeros((*seen, *sizes), dtype=bool)
            if len(positions) >= FEWEST_IMAGES:
                batch = _batch(build, image, undisturbed, len(positions))
        images = np.repeat(image[np.newaxis], len(positions), axis=0)
        for disturbed, position in zip(images, positions, strict=True):
            index: list[Any] = [slice(None)] * len(shape)
            for axis, coordinate in zip(axes, position, strict=True):
                index[axis] = coordinate
            # Not by the same amount everywhere: a softmax would not notice.
            by = random.uniform(0.5, 1.5, disturbed[tuple(index)].shape)
            disturbed[tuple(index)] += disturbance * by
        if batch is None:
            changes = (_differ(run(disturbed), undisturbed) for disturbed in images)
        else:
            changes = batch.changes(images, image)
        for position, changed in zip(positions, changes, strict=True):
            found[(..., *position)] |= changed.any(axis=tuple(channels))
    return found


class Batch(NamedTuple):
    """A network that takes many images at once, each of them apart from the others."""

    run: Callable[[Any], Any]
    count: int
    """How many images it takes."""

    def outputs(self, images: Any) -> Any:
        """The outputs, one after another."""
        found = self.run(images.reshape(-1, *images.shape[2:]))
        return found.reshape(self.count, -1, *found.shape[1:])

    def changes(self, images: Any, image: Any) -> Iterator[Any]:
        """Where the outputs of images are not those of one image.

        Both are computed at the same place of a batch, where nothing is rounded
        differently.
        """
        still = np.repeat(image[np.newaxis], self.count, axis=0)
        undisturbed = self.outputs(still)
        for start in range(0, len(images), self.count):
            some = images[start : start + self.count]
            filled = np.concatenate([some, still[len(some) :]])
            yield from _differ(self.outputs(filled), undisturbed)[: len(some)]


FEWEST_IMAGES, MOST_IMAGES = 32, 256
"""How many images are put into one batch; fewer are run as fast one by one."""


def _batch(build: Build, image: Any, output: Any, count: int) -> Batch | None:
    """The network on many images at once; None if it does not keep them apart.

    That is found by experiment: all of every image of one half is disturbed, and
    nothing of the other half may change; then the other way round.

    Args:
      build: the network.
      image: what it is tried on.
      output: what it makes of that.
      count: how many images there are.
    """
    count = min(count, MOST_IMAGES)
    shape = count * image.shape[0], *image.shape[1:]
    try:
        batch = Batch(_runner(traced(build, shape, image.dtype)), count)
        images = np.repeat(image[np.newaxis], count, axis=0)
        undisturbed = batch.outputs(images)
        if undisturbed.shape[1:] != output.shape:
            return None
        if not np.allclose(undisturbed, output, rtol=1e-6, equal_nan=True):
            return None  # What it computes depends on the number of images.
        random = np.random.default_rng(count)
        half = random.random(count) < 0.5
        for one in (half, ~half):
            disturbed = images.copy()
            disturbed[one] *= random.choice([-3, 3], disturbed[one].shape)
            changed = _differ(batch.outputs(disturbed), undisturbed)
            if changed[~one].any():
                return None
    except (ValueError, tf.errors.InvalidArgumentError):
        return None  # It is made for this number of images.
    return batch


def _runner(trace: Trace) -> Callable[[Any], Any]:
    if "ScaleAndTranslate" in str(trace.graph.as_graph_def()):
        trace = _without_rounded_zeros(trace)
    # On one thread, every position is computed in the same way each time.
    config = tf.compat.v1.ConfigProto(
        intra_op_parallelism_threads=1, inter_op_parallelism_threads=1
    )
    session = tf.compat.v1.Session(graph=trace.graph, config=config)
    return session.make_callable(trace.output, [trace.input])


def _without_rounded_zeros(trace: Trace) -> Trace:
    """The same network with weights of zero where the real ones are rounded."""
    definition = trace.graph.as_graph_def()
    without_rounded_zeros(tf, definition)
    with tf.Graph().as_default() as graph:
        names = [trace.input.name, trace.output.name]
        start, end = tf.import_graph_def(definition, name="", return_elements=names)
        return Trace(graph, start, end)


def _differ(one: Any, two: Any) -> Any:
    if one.dtype.kind != "f":
        return one != two
    return (one != two) & ~(np.isnan(one) & np.isnan(two))


def _positions(shape: Sequence[int], channels: Channels) -> list[int]:
    return [shape[axis] for axis in _places(shape, channels)]


def _places(shape: Sequence[int], channels: Channels) -> list[int]:
    gone = {axis % len(shape) for axis in channels}
    return [axis for axis in range(len(shape)) if axis not in gone]


class Windows(NamedTuple):
    """The windows of one axis for all features at once."""

    axis: int
    size: int
    first: Any
    """Cut to the input where they are infinite; above `last` where they are empty."""
    last: Any
    finite: Any
    """Whether a window has two ends."""

    @property
    def clear(self) -> Any:
        """Whether windows hold something, and no padding as far as they have ends."""
        within = (self.first >= 0) & (self.last < self.size)
        return within & (self.first <= self.last)

    @property
    def inside(self) -> Any:
        """Whether windows have two ends and hold no padding."""
        return self.finite & self.clear


def windows_of(
    field: rf.ReceptiveField,
    shape: Sequence[int],
    output_shape: Sequence[int],
    channels: Channels = (-1,),
) -> list[Windows]:
    """The windows of all features of an output of this shape, per axis, x first.

    Of channels that a tensor in between holds where others have positions, all count.
    """
    gone = tuple(axis % len(output_shape) for axis in channels)
    result = []
    for axis in field.axes:
        size = shape[axis.input_axis]
        where = [1] * len(output_shape)
        for output_axis in axis.output_axes:
            where[output_axis] = output_shape[output_axis]
        assert axis.output_size == (math.prod(where) if axis.output_axes else None)
        assert axis.input_size in (None, size)
        found = [axis.map.window(u) for u in range(math.prod(where))]
        columns = [(*_cut(w, size), not w or not np.isinf(w).any()) for w in found]
        first, last, finite = (
            np.array(c).reshape(where) for c in zip(*columns, strict=True)
        )
        ends = first.min(gone), last.max(gone), finite.all(gone)
        result.append(Windows(axis.input_axis, size, *ends))
    return result


def _cut(window: Any, size: int) -> tuple[int, int]:
    first, last = window or (size, -1)
    return (
        0 if first == -math.inf else first,
        size - 1 if last == math.inf else last,
    )


def check(
    build: Build,
    shape: Sequence[int],
    axes: Sequence[int] = (1, 2),
    channels: Channels = (-1,),
    truth: Any = None,
    spacing: Sequence[int] | None = None,
    **experiment: Any,
) -> rf.ReceptiveField:
    """Holds the receptive field of a network against the experiment; see `hold`.

    Args:
      build: the network.
      shape: the shape of its input.
      axes: the spatial axes of the input.
      channels: the axes of the output that hold no positions, but for the batch.
      truth: what would be `measured`, for what cannot be run.
      spacing: as in `hold`.
      experiment: more arguments of `measured`.
    """
    trace = traced(build, shape, experiment.get("dtype", "float64"))
    if truth is None:
        truth = measured(build, shape, axes, channels, trace=trace, **experiment)
    return hold(trace, truth, axes, channels, spacing)


def hold(
    trace: Trace,
    truth: Any,
    axes: Sequence[int] = (1, 2),
    channels: Channels = (-1,),
    spacing: Sequence[int] | None = None,
    tallies: list[Tally] | None = None,
) -> rf.ReceptiveField:
    """Holds the receptive field of a graph against what was seen in an experiment.

    No feature may depend on anything outside of its window. Where the result claims
    to be exact, and no padding is in sight on the way from feature to input, both ends
    of the window must matter. (Without ends, nobody can see whether there is padding;
    but where all features see all of an axis, they must.)

    Args:
      trace: the graph, with input and output.
      truth: which output positions depend on which input positions: see `measured`.
      axes: the spatial axes of the input.
      channels: the axes of the output that hold no positions, but for the batch.
      spacing: says that the dependency is a grid: all positions of the window that
        are in the input and so far apart, beginning at its first; per axis.
      tallies: where to put what was found of the support.

    Returns:
      The receptive field.
    """
    shape = trace.input.shape.as_list()
    model = load(trace.graph.as_graph_def(add_shapes=True))
    field = answered(model, trace.input, trace.output)
    output_shape = trace.output.shape.as_list()
    channels, truth = _without_free_axes(field, truth, trace, channels)
    windows = windows_of(field, shape, output_shape, channels)
    assert sorted(w.axis for w in windows) == sorted(axes)
    _check_regions(field, windows, output_shape, channels)
    positions = truth.ndim - len(axes)
    on_the_way = [*windows, *_windows_on_the_way(model, trace, output_shape, channels)]
    lines = []
    for w in windows:
        number = positions + list(axes).index(w.axis)
        others = tuple(i for i in range(positions, truth.ndim) if i != number)
        lines.append(truth.any(axis=others))
    hold_lines(field, windows, lines, on_the_way)
    if all(isinstance(axis.input_size, int) for axis in field.axes):
        tally = hold_support(field, truth, _features(field, output_shape, channels))
        if tallies is not None:
            tallies.append(tally)
    if spacing is not None:
        assert field.exact
        grid = np.ones_like(truth)
        for w in windows:
            indices = np.arange(w.size)
            first, last = w.first[..., None], w.last[..., None]
            on = (indices >= first) & (indices <= last)
            on &= (indices - first) % spacing[list(axes).index(w.axis)] == 0
            between = [1] * len(axes)
            between[list(axes).index(w.axis)] = w.size
            grid = grid & on.reshape(*on.shape[:-1], *between)
        assert (grid == truth).all(), f"{np.argwhere(grid != truth)[0]} of {field}"
    return field


def _without_free_axes(
    field: rf.ReceptiveField, truth: Any, trace: Trace, channels: Channels
) -> tuple[Channels, Any]:
    """A feature is all of an axis that nothing of the input follows.

    That is one along which all features see the same, one that was repeated from an
    axis of length one, or one of which nothing is known.

    Returns:
      All axes of which a feature is all, and the truth without them.
    """
    held = {axis.output_axis for axis in field.feature_axes}
    output_shape = trace.output.shape.as_list()
    places = _places(output_shape, channels)
    free = [a for a in places if a and a not in held and output_shape[a] > 1]
    if not free:
        return channels, truth
    tensors = (t for o in trace.graph.get_operations() for t in o.outputs)
    numbers = tuple(map(places.index, free))
    alike = (truth == truth.any(numbers, keepdims=True)).all()
    unknown = all(a.map.is_everything and not a.map.exact for a in field.axes)
    repeated = any(t.shape.rank and 1 in t.shape[1:-1] for t in tensors)
    assert alike or unknown or repeated
    return (*channels, *free), truth.any(numbers)


def hold_lines(
    field: rf.ReceptiveField,
    windows: Sequence[Windows],
    lines: Sequence[Any],
    on_the_way: Sequence[Windows],
) -> None:
    """Holds windows against which lines of the input were seen to matter.

    Args:
      field: the receptive field.
      windows: the windows of its axes.
      lines: for each of them, which output positions depend on which of its positions.
      on_the_way: these windows, and those on tensors in between.
    """
    inside, clear = (
        np.logical_and.reduce(np.broadcast_arrays(*flags))
        for flags in zip(*((w.inside, w.clear) for w in on_the_way), strict=True)
    )
    for place, (w, seen) in enumerate(zip(windows, lines, strict=True)):
        indices = np.arange(w.size)
        outside = (indices < w.first[..., None]) | (indices > w.last[..., None])
        _assert_nowhere((seen & outside).any(-1), seen, w, "sees more than")
        some = seen.any(-1)
        first = np.where(some, seen.argmax(-1), w.size)
        last = np.where(some, w.size - 1 - seen[..., ::-1].argmax(-1), -1)
        # The size is that of features that reach no mirrored position.
        assert field.mirroring_nodes or (last - first < field.size[place]).all()
        if field.axes[place].map.exact and field.axes[place].map.is_global:
            wrong = clear & some & ~seen.all(-1)
            _assert_nowhere(wrong, seen, w, "does not see all of")
        if field.axes[place].map.exact and (field.exact or some.all()):
            wrong = inside & ((first != w.first) | (last != w.last))
            _assert_nowhere(wrong, seen, w, "does not see both ends of")


def ops_of(trace: Trace) -> set[str]:
    """The op types that lie on the way from the input to the output."""
    source = load(trace.graph.as_graph_def(add_shapes=True))
    things = trace.input.name, [trace.output.name]
    network = Question.ask(source, *things, Options()).network
    return {network.graph.nodes[index].definition.op for index in network.order}


def analysed(trace: Trace, **options: Any) -> rf.ReceptiveField:
    """What the library says of the graph."""
    definition = trace.graph.as_graph_def(add_shapes=True)
    return answered(definition, trace.input, trace.output, **options)


def answered(model: Any, start: Any, end: Any, **options: Any) -> rf.ReceptiveField:
    """What the library says of one tensor in another."""
    return rf.compute_receptive_field(
        model, input=start.name, output=end.name, **options
    )


def _windows_on_the_way(
    model: Any, trace: Trace, output_shape: Sequence[int], channels: Channels
) -> list[Windows]:
    """What the features see of every tensor in between.

    What a tensor does not hold, such as a row that was cropped, is padding to all
    that is above, though the input may hold something there.
    """
    found = []
    for operation in trace.graph.get_operations():
        ends = not operation.inputs or not operation.outputs
        if ends or operation is trace.output.op:
            continue
        tensor = operation.outputs[0]
        if not tensor.shape.is_fully_defined() or tensor.shape.rank < 3:
            continue
        try:
            field = answered(model, tensor, trace.output)
        except ReceptiveFieldError:
            continue  # It does not lie between input and output.
        shape = tensor.shape.as_list()
        found += windows_of(field, shape, output_shape, channels)
    return found


def _features(
    field: rf.ReceptiveField, output_shape: Sequence[int], channels: Channels
) -> Any:
    """The coordinates of all features, in an array of their positions."""
    followed = _places(output_shape, channels)
    grid = np.indices(_positions(output_shape, channels))
    return np.stack(
        [
            np.zeros_like(grid[0])
            if axis.output_axis is None
            else grid[followed.index(axis.output_axis)]
            for axis in field.feature_axes
        ],
        axis=-1,
    )


class Tally(NamedTuple):
    """How many features there were, and of how many the support was too large."""

    features: int
    larger: int


def hold_support(field: rf.ReceptiveField, truth: Any, features: Any) -> Tally:
    """Holds support, clipped regions and projective field against the experiment.

    None may be smaller than what was seen, and where they claim to be exact, they must
    be it: position by position, features that see nothing included.

    Args:
      field: the receptive field, with known sizes.
      truth: which output positions depend on which input positions.
      features: the coordinates of all output positions.
    """
    support = field.support()
    positions = features.shape[:-1]
    told = np.array([support.mask(y) for y in features.reshape(-1, features.shape[-1])])
    told = told.reshape(truth.shape)
    assert not (truth & ~told).any(), f"{np.argwhere(truth & ~told)[0]} of {field}"
    larger = (told & ~truth).reshape(*positions, -1).any(-1)
    assert not (support.exact and larger.any()), f"{np.argwhere(larger)[0]} of {field}"
    regions = field.compute_input_region(features, clip=True)
    assert (regions == _hulls(told, len(positions))).all()
    back = np.moveaxis(told, range(len(positions)), range(-len(positions), 0))
    axes = [axis.output_axis for axis in field.feature_axes]
    if None not in axes and len(axes) == len(positions) - (0 not in axes):
        outer = len(field.axes)
        x = np.indices(back.shape[:outer])[::-1]
        found = field.compute_feature_region(np.stack(x, axis=-1), clip=True)
        order = [outer + sorted(axes).index(axis) for axis in axes[::-1]]
        seen = back if 0 in axes else back.any(outer)
        seen = seen.transpose(*range(outer), *order)
        assert (found == _hulls(seen, outer)).all()
    return Tally(larger.size, int(larger.sum()))


def _hulls(sets: Any, outer: int) -> Any:
    """First and last of sets over their last axes, of which x is the last."""
    inner = range(outer, sets.ndim)
    ends = []
    for axis in reversed(inner):
        along = sets.any(axis=tuple(a for a in inner if a != axis))
        last = along.shape[-1] - 1 - along[..., ::-1].argmax(-1)
        some = along.any(-1)
        ends.append([np.where(some, along.argmax(-1), 0), np.where(some, last, -1)])
    return np.moveaxis(np.array(ends), [0, 1], [-2, -1])


def _check_regions(
    field: rf.ReceptiveField,
    windows: Sequence[Windows],
    output_shape: Sequence[int],
    channels: Channels,
) -> None:
    """`compute_input_region` tells the same windows."""
    features = _features(field, output_shape, channels)
    regions = field.compute_input_region(features)
    empty = np.zeros(features.shape[:-1], dtype=bool)
    for w in windows:
        empty |= (w.first == w.size) & (w.last == -1)
        if field.is_folded:  # Where there is no place on one axis, there is none.
            empty |= (w.last < 0) | (w.first >= w.size)
    assert (regions[empty] == (0, -1)).all()
    for i, (w, axis) in enumerate(zip(windows, field.axes, strict=True)):
        limits = np.iinfo(np.int64)
        first, last = regions[..., i, 0], regions[..., i, 1]
        first = np.where(first == limits.min, 0, first)
        last = np.where(last == limits.max, axis.input_size - 1, last)
        assert (empty | ((first == w.first) & (last == w.last))).all()


def _assert_nowhere(wrong: Any, seen: Any, w: Windows, what: str) -> None:
    if not wrong.any():
        return
    feature = tuple(np.argwhere(wrong)[0].tolist())
    first, last = (np.broadcast_to(e, wrong.shape)[feature] for e in (w.first, w.last))
    raise AssertionError(
        f"feature {feature} {what} its window [{first}, {last}] on axis {w.axis}: it "
        f"sees {np.flatnonzero(seen[feature]).tolist()}"
    )
