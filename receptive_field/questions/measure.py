"""Receptive fields by experiment: runs the real network and disturbs its input.

TensorFlow computes the network in double precision. This module chooses the weights:
positive, small and irregular numbers that make dependencies visible. It uses the rules
for receptive fields only to find the tensors of the question and the role of each
weight.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from receptive_field.errors import GraphError, ReceptiveFieldError
from receptive_field.frameworks import load
from receptive_field.graph.graph import Tensor
from receptive_field.graph.model import Model
from receptive_field.network.layout import Resolution
from receptive_field.questions.question import Options, Question, ask
from receptive_field.results.measured import Mask, MeasuredReceptiveField
from receptive_field.rules.elementwise import ELEMENTWISE, FIRST
from receptive_field.rules.op import Call, rule_of


def measure_receptive_field(
    model: Any,
    *,
    feature: ArrayLike | None = None,
    output: Any = None,
    input: Any = None,
    input_resolution: Resolution = None,
    signature: str | None = None,
    axes_only: bool = False,
) -> MeasuredReceptiveField:
    """Finds the receptive field of one feature by running the network.

    TensorFlow runs the network in double precision on a few images. Each input position
    is disturbed in turn, and the feature is compared.

    A reported position really changes the feature, so a computed receptive field
    without it would be wrong. But no experiment can prove that an unreported position
    never matters. These choices make that unlikely: weights become random positive
    numbers (so nothing cancels) whose sums are about one (so nothing overflows or
    saturates), and offsets become zero. Images and disturbances are chosen to pass
    every common nonlinearity. From zero, values are raised, where ReLUs and gates are
    linear and the smallest contribution is not lost in rounding. On random images,
    values are set far above and far below all others, to win every maximum and minimum,
    and are also changed a little. Batch normalisation is treated as at inference.
    Weights of a resize kernel (bicubic, Lanczos) that differ from zero only by rounding
    are set to zero.

    Args:
      model, output, input, input_resolution, signature: as in
        `compute_receptive_field`. All sizes but the batch must be known.
      feature: the coordinates of the feature, x first. None means the one in the
        middle.
      axes_only: whether to measure only which rows and columns change the feature. This
        takes one run for each row and column, instead of one for each position of the
        region.

    Raises:
      ReceptiveFieldError: if TensorFlow is missing or cannot run the network, a size is
        unknown, or there is no such feature.

    >>> import receptive_field as rf
    >>> rf.measure_receptive_field(model, feature=[3, 3]).size    # doctest: +SKIP
    array([43, 43])
    """
    source = load(model, signature)
    question, field = ask(source, output, input, Options(input_resolution))
    tensor = next(iter((question.outputs or {}).values()))
    experiment = NetworkExperiment(source, question, [tensor])
    shape = experiment.output_shapes[0]
    places = [axis.output_axis for axis in field.feature_axes]
    sizes = [1 if place is None else shape[place] for place in places]
    chosen = _feature(feature, sizes)
    where: list[Any] = [slice(None)] * len(shape)
    for place, coordinate in zip(places, chosen, strict=True):
        if place is not None:
            where[place] = coordinate
    index = tuple(where)

    def seen(probe: Probe) -> bool:
        return any(change[0][index].any() for change in experiment.changes(probe))

    spatial = experiment.sizes
    lines = []
    for axis, size in enumerate(spatial):
        probes = [(*[slice(None)] * axis, position) for position in range(size)]
        lines.append(np.array([seen(probe) for probe in probes]))
    positions = None
    if not axes_only:
        positions = np.zeros(spatial, dtype=bool)
        for position in itertools.product(*map(np.flatnonzero, lines)):
            positions[position] = seen(position)
    return MeasuredReceptiveField(
        question.input, field.output, chosen, tuple(lines[::-1]), positions
    )


def _feature(feature: ArrayLike | None, sizes: Sequence[int]) -> tuple[int, ...]:
    if feature is None:
        return tuple((size - 1) // 2 for size in sizes)
    chosen = np.asarray(feature)
    whole = np.issubdtype(chosen.dtype, np.integer) and chosen.shape == (len(sizes),)
    if not whole or not ((chosen >= 0) & (chosen < sizes)).all():
        raise ReceptiveFieldError(
            f"there is no feature {chosen.tolist()}: features have {len(sizes)} "
            f"coordinates, x first, below {list(sizes)}."
        )
    return tuple(chosen.tolist())


# --- Images and disturbances ---------------------------------------------------------

Probe = tuple[Any, ...]
"""An index into the spatial axes of the input, (y, x) for an image."""


class Trial(NamedTuple):
    """An image, and how its positions are disturbed."""

    low: float
    high: float
    by: float


TRIALS = (
    Trial(0, 0, 1),
    Trial(0.5, 1.5, 1e3),
    Trial(0.5, 1.5, -1e3),
    Trial(0.5, 1.5, 1e-2),
)
WHOLE_TRIALS = (Trial(1, 1, -1), Trial(0, 0, 1))
"""For integer inputs, such as tokens."""


class Experiment:
    """A computation that runs on images, and on the same images with disturbances.

    Attributes:
      image_shape: the shape of its input.
      dtype: the data type of its input.
      output_shapes: the shapes of its outputs.
    """

    def __init__(
        self,
        run: Callable[[Any], Sequence[NDArray[Any]]],
        dtype: np.dtype[Any],
        image_shape: Sequence[int],
        axes: Sequence[int],
        trials: Sequence[Trial] = TRIALS,
    ) -> None:
        """Runs the computation on the images.

        Args:
          run: computes the outputs of an image.
          dtype: the type of the image.
          image_shape: its shape.
          axes: the axes that a probe indexes.
          trials: the images and disturbances, for an input of real numbers.
        """
        self._run, self.dtype = run, dtype
        self.image_shape = tuple(image_shape)
        self._axes = axes
        self._trials = trials if dtype.kind in "fc" else WHOLE_TRIALS
        self._undisturbed = [run(image) for _, image in self._images()]
        self.output_shapes = [array.shape for array in self._undisturbed[0]]

    def _images(self) -> Iterator[tuple[Trial, NDArray[Any]]]:
        for trial in self._trials:
            random = np.random.default_rng(1)
            image = self._numbers(random, trial.low, trial.high, self.image_shape)
            yield trial, np.asarray(image, self.dtype)

    def _numbers(
        self, random: np.random.Generator, low: float, high: float, shape: Any
    ) -> NDArray[Any]:
        """Returns random numbers. For complex types, both parts are random."""
        found = random.uniform(low, high, shape)
        if self.dtype.kind == "c":
            found = found + 1j * random.uniform(low, high, shape)
        return np.asarray(found)

    def changes(self, probe: Probe) -> Iterator[list[Mask]]:
        """Yields, for each trial, where outputs change if the probe is disturbed."""
        index: list[Any] = [slice(None)] * len(self.image_shape)
        for axis, part in zip(self._axes, probe, strict=False):
            index[axis] = part
        where = tuple(index)
        random = np.random.default_rng(2)
        for (trial, image), undisturbed in zip(
            self._images(), self._undisturbed, strict=True
        ):
            # A softmax would not notice the same amount everywhere.
            by = self._numbers(random, 0.5, 1.5, image[where].shape) * trial.by
            if self.dtype.kind == "b":
                image[where] ^= True
            else:
                by = by if self.dtype.kind in "fc" else np.sign(by)
                image[where] += by.astype(self.dtype)
            found = self._run(image)
            yield [_differ(a, b) for a, b in zip(found, undisturbed, strict=True)]

    def is_repeatable(self) -> bool:
        """Whether a second run gives the same outputs."""
        again = [self._run(image) for _, image in self._images()]
        return not any(
            _differ(a, b).any()
            for one, two in zip(again, self._undisturbed, strict=True)
            for a, b in zip(one, two, strict=True)
        )


class NetworkExperiment(Experiment):
    """A network with chosen weights.

    Attributes:
      sizes: the sizes of the input's spatial axes, (height, width) for an image.
    """

    def __init__(
        self,
        model: Model,
        question: Question,
        outputs: Sequence[Tensor],
        trials: Sequence[Trial] = TRIALS,
    ) -> None:
        tf = import_tensorflow()
        graph = model.graph
        name_of = graph.name_of
        for output in outputs:
            if graph.nodes[output[0]].frame.function:
                raise GraphError(
                    f"{name_of(output)!r} lies inside of a function that the graph "
                    "calls, which TensorFlow does not hand over: measure an output of "
                    "the model, the Keras model itself, or a frozen graph of it."
                )
        definition = tf.compat.v1.GraphDef.FromString(
            model.definition.SerializeToString()
        )
        shape = list(question.network.shape(question.network.input) or ())
        shape[0] = shape[0] if isinstance(shape[0], int) else 1
        if not all(isinstance(size, int) for size in shape):
            raise GraphError(
                f"the input {question.input!r} has sizes that are not known, so that "
                "the network cannot be run: give input_resolution, [height, width]."
            )
        image_shape = tuple(int(size) for size in shape)  # type: ignore[arg-type]
        self.sizes = tuple(image_shape[axis] for axis in question.spatial)
        weights = _weights(question)
        start = _full_name(name_of(question.network.input))
        names = [_full_name(name_of(output)) for output in outputs]
        try:
            run, dtype = runner(tf, definition, weights, start, names, image_shape)
            super().__init__(run, dtype, image_shape, question.spatial, trials)
        except cannot_run(tf) as error:
            reason = in_one_line(error)
            raise GraphError(f"TensorFlow cannot run the network: {reason}") from error


def import_tensorflow() -> Any:
    """Imports and returns TensorFlow.

    Raises:
      GraphError: if it is not installed.
    """
    try:
        return import_module("tensorflow")
    except ImportError:
        raise GraphError(
            "a measurement runs the network, and TensorFlow is not installed: "
            'pip install "receptive_field[tensorflow]"'
        ) from None


def cannot_run(tf: Any) -> tuple[type[Exception], ...]:
    """Returns the errors that TensorFlow raises for a graph that it cannot run."""
    return tf.errors.OpError, ValueError, KeyError, TypeError


def in_one_line(error: Exception) -> str:
    """Returns the beginning of an error message."""
    return " ".join(str(error).split())[:500]


def _differ(one: NDArray[Any], two: NDArray[Any]) -> Mask:
    if one.dtype.kind not in "fc":
        return np.asarray(one != two)
    return np.asarray((one != two) & ~(np.isnan(one) & np.isnan(two)))


def _full_name(name: str) -> str:
    return name if ":" in name else f"{name}:0"


# --- Weights -----------------------------------------------------------------------


class Weight(NamedTuple):
    """The values that a variable or constant is set to."""

    shape: tuple[int, ...]
    dtype: int
    """The number of its DataType, or 0 for a constant, which states it."""
    scale: float | None
    """The average of its values, which are random and positive. None if it keeps its
    value."""


def _weights(question: Question) -> dict[str, Weight]:
    """Returns what the weights of the network are set to, by the names of their nodes.

    A kernel sums to one. Weights that are added to the features are zero. All other
    weights, such as factors, are about one.
    """
    network, graph = question.network, question.network.graph
    nodes = graph.nodes
    scales = _scales(question)
    shapes: dict[int, tuple[Any, int]] = {
        index: (network.shape((index, 0)), 0) for index in scales
    }
    for node in graph:
        if node.op in READING:
            call, (index, _) = Call(node, network.known), node.inputs[0]
            while nodes[index].inputs:  # Goes into the calls and loops around it.
                index = nodes[index].inputs[0][0]
            shape = network.shape((index, 0))
            if shape is None and node.op == "ReadVariableOp":
                shape = network.shape((node.index, 0))
            shapes[index] = shape, call.attribute("dtype")
    return {
        nodes[index].name: Weight(shape, dtype, scales.get(index))
        for index, (shape, dtype) in shapes.items()
        if shape is not None and all(isinstance(size, int) for size in shape)
    }


READING = frozenset({"ReadVariableOp", "ResourceGather"})
"""Ops that read a variable by its handle."""


def _scales(question: Question) -> dict[int, float | None]:
    """Returns the scale of all values that have no input and go into the features."""
    network = question.network
    nodes = network.graph.nodes
    scales: dict[int, float | None] = {}
    visited: set[tuple[Tensor, float | None]] = set()
    for index in network.order:
        call = Call(nodes[index], network.known)
        for tensor in nodes[index].inputs:
            if network.carries[tensor[0]]:
                continue
            scale, stack = weight_scale(call), [tensor]
            while stack:
                current = stack.pop()
                if (current, scale) in visited:
                    continue
                visited.add((current, scale))
                stack += nodes[current[0]].inputs
                if not nodes[current[0]].inputs:
                    before = scales.get(current[0], scale)
                    scales[current[0]] = min(before, scale, key=_weight_of_part)
    return scales


def _weight_of_part(scale: float | None) -> float:
    """Sort key for the roles of a weight that has several. The kernel comes first.

    The factor comes before the offset, because a mean is scaled before it is
    subtracted.
    """
    return math.inf if scale is None else scale or 2.0


ADDING = frozenset({"Add", "AddV2", "AddN", "Sub", "BiasAdd", "BiasAddV1"})


def weight_scale(call: Call) -> float | None:
    """Returns the scale of a weight that reaches the features through this node."""
    op = rule_of(call.node)
    if op is not None and op.products is not None:
        count = op.products(call)
        return 1 / count if isinstance(count, int) and count else 1.0
    if call.node.op in ADDING:
        return 0.0
    elementwise = (ELEMENTWISE.relations, FIRST.relations)
    return 1.0 if op is not None and op.relations in elementwise else None


# --- The network in double precision -------------------------------------------------

SINGLE_PRECISION: dict[str, tuple[int, ...]] = {
    "LRN": (0,),
    "ResizeBilinear": (),
    "ResizeBicubic": (),
    "ResizeArea": (),
    "ScaleAndTranslate": (2, 3),
    "CropAndResize": (1,),
    "MaxPool3D": (0,),
    "AvgPool3D": (0,),
    "FakeQuantWithMinMaxArgs": (0,),
    "FakeQuantWithMinMaxVars": (0, 1, 2),
    "FakeQuantWithMinMaxVarsPerChannel": (0, 1, 2),
}
"""Ops with single-precision outputs -> the inputs that must have it, too."""


def runner(
    tf: Any,
    definition: Any,
    weights: Mapping[str, Weight],
    start: str,
    outputs: Sequence[str],
    shape: Sequence[int],
    double: bool = True,
) -> tuple[Any, np.dtype[Any]]:
    """Returns a function from an image to the outputs, and the type of the image.

    Args:
      tf: TensorFlow.
      definition: the graph, which this function changes.
      weights: the values of weights, by the names of their nodes.
      start: the name of the input.
      outputs: the names of the outputs.
      shape: the shape of the image.
      double: whether to compute everything in double precision.
    """
    _keep_ancestors(definition, (start, *outputs))
    without_rounded_zeros(tf, definition)
    values = _set_weights(tf, definition, weights)
    if double:
        _to_double(tf, definition)
    for node in definition.node:
        if node.name == start.partition(":")[0] and node.op == "Placeholder":
            node.attr["shape"].shape.CopyFrom(tf.TensorShape(shape).as_proto())
    graph = tf.Graph()
    with graph.as_default():
        tf.graph_util.import_graph_def(definition, name="")
    image = graph.get_tensor_by_name(start)
    fetched = [graph.get_tensor_by_name(name) for name in outputs]
    config = tf.compat.v1.ConfigProto(
        intra_op_parallelism_threads=1, inter_op_parallelism_threads=1
    )
    session = tf.compat.v1.Session(graph=graph, config=config)
    with graph.as_default():
        assignments, feeds = [], {}
        for name, value in values.items():
            handle = graph.get_tensor_by_name(f"{name}:0")
            fed = tf.compat.v1.placeholder(value.dtype, value.shape)
            feeds[fed] = value
            assign = (
                tf.raw_ops.AssignVariableOp(resource=handle, value=fed)
                if handle.dtype == tf.resource
                else tf.raw_ops.Assign(ref=handle, value=fed)
            )
            assignments.append(assign)
    if assignments:
        session.run(assignments, feeds)
    return session.make_callable(fetched, [image]), np.dtype(image.dtype.as_numpy_dtype)


LEAST_WEIGHTS = {"lanczos": 1e-12}
LEAST_WEIGHT = 2e-6
"""Smaller weights of `ScaleAndTranslate` are rounding errors, for each kernel."""


def without_rounded_zeros(tf: Any, definition: Any) -> None:
    """Sets weights of resizes to zero if they differ from it only by rounding.

    Single precision turns a root of a cubic kernel into a weight of up to a millionth,
    and the end of a Lanczos kernel into one of 1e-16. The op is replaced by a function
    that gets the weights from the op and multiplies by the larger ones. (Inside a
    Lanczos kernel, the op really reads with weights of 1e-8, and they stay.)
    """
    functions = (function.node_def for function in definition.library.function)
    made: set[str] = set()
    for node in [n for nodes in (definition.node, *functions) for n in nodes]:
        if node.op != "ScaleAndTranslate":
            continue
        attributes = node.attr
        kernel = attributes["kernel_type"].s.decode() or "lanczos3"
        given = "antialias" in attributes
        antialias = attributes["antialias"].b if given else True
        dtype = tf.dtypes.as_dtype(attributes["T"].type)
        name = f"scaled_by_{kernel}_{antialias}_{dtype.name}"
        if name not in made:
            made.add(name)
            function = _resize_by_weights(tf, kernel, antialias, dtype)
            function.signature.name = name
            definition.library.function.append(function)
        node.op = name
        node.attr.clear()


def _resize_by_weights(tf: Any, kernel: str, antialias: bool, dtype: Any) -> Any:
    """Returns a function like the op, as a FunctionDef."""

    least = LEAST_WEIGHTS.get(kernel.rstrip("135"), LEAST_WEIGHT)

    def weights(axis: int, count: Any, size: Any, scale: Any, offset: Any) -> Any:
        unit = tf.eye(count)[tf.newaxis, :, tf.newaxis]
        found = tf.raw_ops.ScaleAndTranslate(
            images=unit,
            size=tf.stack([size[axis], 1]),
            scale=tf.stack([scale[axis], 1.0]),
            translation=tf.stack([offset[axis], 0.0]),
            kernel_type=kernel,
            antialias=antialias,
        )[0, :, 0]
        return tf.where(tf.abs(found) < least, tf.zeros_like(found), found)

    def resized(images: Any, size: Any, scale: Any, offset: Any) -> Any:
        numbers = size, scale, offset
        counts = tf.shape(images)
        rows, columns = (weights(a, counts[a + 1], *numbers) for a in (0, 1))
        tall = tf.einsum("ph,bhwc->bpwc", rows, tf.cast(images, rows.dtype))
        return tf.einsum("qw,bpwc->bpqc", columns, tall)

    pair = [2]
    function = tf.function(resized, autograph=False).get_concrete_function(
        tf.TensorSpec([None] * 4, dtype),
        tf.TensorSpec(pair, tf.int32),
        tf.TensorSpec(pair, tf.float32),
        tf.TensorSpec(pair, tf.float32),
    )
    definition = type(function.function_def)()
    definition.CopyFrom(function.function_def)
    (output,) = definition.signature.output_arg
    definition.ret["resized_images"] = definition.ret.pop(output.name)
    output.name = "resized_images"
    return definition


def _keep_ancestors(definition: Any, tensors: Sequence[str]) -> None:
    """Removes the nodes that the tensors do not need."""
    nodes = {node.name: node for node in definition.node}
    kept: set[str] = set()
    stack = [name.partition(":")[0] for name in tensors]
    while stack:
        name = stack.pop()
        if name not in kept:
            kept.add(name)
            stack += [t.lstrip("^").partition(":")[0] for t in nodes[name].input]
    for number in reversed(range(len(definition.node))):
        if definition.node[number].name not in kept:
            del definition.node[number]


def _set_weights(
    tf: Any, definition: Any, weights: Mapping[str, Weight]
) -> dict[str, NDArray[Any]]:
    """Puts the chosen numbers into constants, and returns those of variables."""
    values = {}
    for number, node in enumerate(definition.node):
        weight = weights.get(node.name)
        if weight is None:
            continue
        scale = 1.0 if weight.scale is None else weight.scale
        value = np.random.default_rng(number).uniform(0.5, 1.5, weight.shape) * scale
        if node.op == "Const":
            tensor = node.attr["value"].tensor
            if tensor.dtype in _WIDE and value.size > 1 and weight.scale is not None:
                tensor.CopyFrom(tf.make_tensor_proto(value))
            continue
        resource = tf.resource.as_datatype_enum
        if node.op == "Placeholder" and node.attr["dtype"].type != resource:
            continue  # An input whose shape counts, not a captured variable.
        by_handle = node.op in ("VarHandleOp", "Placeholder")
        if not by_handle and node.op not in ("VariableV2", "Variable"):
            continue
        dtype = weight.dtype or node.attr["dtype"].type
        if dtype == resource:
            continue
        if by_handle:
            node.op = "VarHandleOp"
            node.attr.clear()
            node.attr["shared_name"].s = node.name.encode()
        node.attr["dtype"].type = _WIDE.get(dtype, dtype)
        node.attr["shape"].shape.CopyFrom(tf.TensorShape(weight.shape).as_proto())
        kind = tf.dtypes.as_dtype(_WIDE.get(dtype, dtype)).as_numpy_dtype
        values[node.name] = (value if dtype in _WIDE else value * 0).astype(kind)
    return values


_WIDE = {1: 2, 2: 2, 19: 2, 14: 2, 101: 102, 8: 18}
"""Data types of single and half precision -> the type of double precision."""


def _to_double(tf: Any, definition: Any) -> None:
    """Converts a graph and its functions to double precision."""
    _nodes_to_double(tf, definition.node, {})
    for function in definition.library.function:
        signature = function.signature
        for argument in (*signature.input_arg, *signature.output_arg):
            argument.type = _WIDE.get(argument.type, argument.type)
        # Inside a function, an output is read as "node:argument:number".
        read = (text for node in function.node_def for text in node.input)
        texts = (*read, *function.ret.values())
        outputs = {text.partition(":")[0]: text for text in texts if ":" in text}
        cast = _nodes_to_double(tf, function.node_def, outputs)
        for node in function.node_def:
            if f"{node.name}:y:0" not in cast.values():
                node.input[:] = [cast.get(text, text) for text in node.input]
        for name, text in function.ret.items():
            function.ret[name] = cast.get(text, text)


def _nodes_to_double(tf: Any, nodes: Any, outputs: Mapping[str, str]) -> dict[str, str]:
    """Converts nodes to double precision, with casts around ops that do not have it.

    Args:
      tf: TensorFlow.
      nodes: the nodes to change.
      outputs: how outputs are read, if not by the name of their node.

    Returns:
      For outputs with a cast, what must be read instead, if the names do not show it.
    """
    instead = {}
    for node in list(nodes):
        single = SINGLE_PRECISION.get(node.op)
        _node_to_double(tf, node)
        if single is None:
            continue
        name, output = node.name, outputs.get(node.name, node.name)
        inner = nodes.add()
        inner.CopyFrom(node)
        inner.name = f"{name}/single"
        for number in single:
            cast = nodes.add(name=f"{name}/single_{number}", op="Cast")
            cast.input.append(node.input[number])
            cast.attr["SrcT"].type, cast.attr["DstT"].type = 2, 1
            inner.input[number] = f"{cast.name}:y:0" if ":" in output else cast.name
        if 0 in single and "T" in inner.attr:
            inner.attr["T"].type = 1
        if ":" in output:
            instead[output] = f"{name}:y:0"
        node.Clear()
        node.name, node.op = name, "Cast"
        node.input.append(output.replace(name, inner.name, 1))
        node.attr["SrcT"].type, node.attr["DstT"].type = 1, 2
    return instead


def is_batch_norm(op: str) -> bool:
    """Whether an op runs as the identity of its first input."""
    return op.startswith("FusedBatchNorm")


def _node_to_double(tf: Any, node: Any) -> None:
    if is_batch_norm(node.op):
        # With the chosen weights, it does nothing.
        dtype = node.attr["T"].type
        del node.input[1:]
        node.op = "Identity"
        node.attr.clear()
        node.attr["T"].type = dtype
    node.attr.pop("_output_shapes", None)
    for attribute in node.attr.values():
        kind = attribute.WhichOneof("value")
        if kind == "type":
            attribute.type = _WIDE.get(attribute.type, attribute.type)
        elif kind == "list":
            types = [_WIDE.get(dtype, dtype) for dtype in attribute.list.type]
            attribute.list.type[:] = types
        elif kind == "tensor" and attribute.tensor.dtype in _WIDE:
            value = tf.make_ndarray(attribute.tensor)
            wide = tf.dtypes.as_dtype(_WIDE[attribute.tensor.dtype])
            attribute.tensor.CopyFrom(tf.make_tensor_proto(value, wide))
