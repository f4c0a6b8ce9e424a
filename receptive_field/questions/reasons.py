"""Finds why numbers of a receptive field are unknown, or only upper bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from receptive_field.errors import ReceptiveFieldError
from receptive_field.graph.graph import Tensor
from receptive_field.network.walk import reads
from receptive_field.passes.regions import Forward, forward
from receptive_field.questions.paths import ways_to
from receptive_field.questions.question import Question
from receptive_field.questions.reach import followed
from receptive_field.results.field import ReceptiveField
from receptive_field.results.reasons import Reasons
from receptive_field.rules.op import Shape, rule_of

USUAL_SIZES = {1: (16000, 1024, 100), 2: (224, 256, 299, 512), 3: (64, 32, 128)}
"""Number of spatial axes -> the sizes to suggest, the most usual first."""


def find_reasons(question: Question, output: Tensor, of: ReceptiveField) -> Reasons:
    """Returns why numbers of a field are unknown, or only upper bounds.

    Args:
      question: the question that the field answers.
      output: the output of the field.
      of: the field. If it is global, the reasons are those of its local paths.

    >>> import receptive_field as rf
    >>> rf.compute_receptive_field(rf.EXAMPLE_GRAPH).reasons().bounding_node is None
    True
    """
    stated = question.built_for
    asked = tuple(axis.input_size for axis in of.axes)
    built_for = None
    if stated != asked and None not in stated:
        built_for = tuple(size for size in stated if size is not None)
    return replace(_of_numbers(question, output, of), built_for=built_for)


def _of_numbers(question: Question, output: Tensor, of: ReceptiveField) -> Reasons:
    local = of.local
    if local is None:
        earlier = question.at_last_feature_map()
        return Reasons(local_output=earlier and earlier[1].output)
    bounding = None
    if not local.exact:
        bounding = _bounding_node(question, output)
    if local.aligned is not None and None not in local._paddings():
        return Reasons(bounding)
    node, stride = _padding_node(question, output)
    if all(axis.input_size is not None for axis in local.axes):
        return Reasons(bounding, node, stride)
    if node is None and local.aligned:
        return Reasons(bounding)  # The padding is unknown at every size.
    resolution = _resolution(question, output)
    if node is None and resolution and not _is_sized(question, output, resolution):
        return Reasons(bounding)  # The data decide how many positions there are.
    return Reasons(bounding, node, stride, resolution)


def _bounding_node(question: Question, output: Tensor) -> str | None:
    """Returns the first node on a path down from the output that is only a bound.

    The regions of all tensors on the path are upper bounds, from this node up.
    """
    network = question.network
    found = forward(network, question.spatial, [output])
    if not _is_bound(question, found, output):
        return None
    tensor, seen = output, {output}
    while True:
        try:
            below = [read.below for read in reads(network, tensor)]
        except ReceptiveFieldError:  # The op has no rule.
            below = []
        inexact = [t for t in below if t not in seen and _is_bound(question, found, t)]
        if not inexact:
            return network.graph.nodes[tensor[0]].name
        tensor = inexact[0]
        seen.add(tensor)


def _is_bound(question: Question, found: Forward, tensor: Tensor) -> bool:
    relation = found.local(tensor)
    return relation is not None and not all(
        followed(relation, question, axis)[1].exact for axis in question.spatial
    )


def _padding_node(question: Question, output: Tensor) -> tuple[str | None, int | None]:
    """Returns the first node whose SAME padding is unknown, and its stride."""
    ways = ways_to(question, output)
    for tensor in ways.reads:
        call = ways.call(tensor)
        op = rule_of(call.node)
        windows = () if op is None or op.windows is None else op.windows(call)
        unknown = [w for w in windows if w.padding is None and w.follows_size]
        if unknown:
            strides = {w.stride for w in unknown}
            return call.node.name, strides.pop() if len(strides) == 1 else None
    return None, None


def _resolution(question: Question, output: Tensor) -> tuple[int, ...] | None:
    """Returns a size of the input at which the network can run, height first."""
    shape = question.network.shape(question.network.input)
    stated = [None if shape is None else shape[axis] for axis in question.spatial]
    for size in USUAL_SIZES.get(len(stated), ()):
        sizes = tuple(n if isinstance(n, int) else size for n in stated)
        try:
            if _shape_at(question, output, sizes) is not None:
                return sizes
        except ReceptiveFieldError:
            continue
    return None


def _is_sized(question: Question, output: Tensor, sizes: Sequence[int]) -> bool:
    """Returns whether all sizes of the output, except the batch's, follow from these
    sizes of the input."""
    shape = _shape_at(question, output, sizes) or ()
    return all(isinstance(size, int) for size in shape[1:])


def _shape_at(question: Question, output: Tensor, sizes: Sequence[int]) -> Shape:
    told = question.with_sizes(dict(zip(question.spatial, sizes, strict=True)))
    return told.network.shape(output)
