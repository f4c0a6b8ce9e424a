"""Finds the op whose rule is wrong, by testing the rule of each edge in an experiment.

Every node between input and output is run by itself. One of its inputs is fed with
images in which some positions are disturbed, and the changes of each output are
compared with the node's rule. No other op and no composition of rules is involved, so
the first edge at which they differ shows which op's rule is wrong.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from receptive_field.errors import (
    GraphError,
    ReceptiveFieldError,
    UnsupportedOpsError,
    some_names,
)
from receptive_field.frameworks import load
from receptive_field.graph.graph import Node, Tensor
from receptive_field.graph.runner import Alone, Array, Runner
from receptive_field.network.layout import Resolution
from receptive_field.network.network import cuts
from receptive_field.network.walk import outputs_wanted, reads
from receptive_field.passes.positions import Needed
from receptive_field.passes.regions import Forward, forward
from receptive_field.printable import printable
from receptive_field.questions.experiment import TRIALS, Experiment, Probe
from receptive_field.questions.question import Options, Question
from receptive_field.relations import boxes
from receptive_field.relations.boxes import Box, Mask
from receptive_field.relations.relation import Relation, all_seen
from receptive_field.rules.op import Call

Rows = NDArray[np.int64]

MOST_LINES = 24
"""The largest number of positions of an axis that are disturbed. On a longer axis, only
positions at both ends and in the middle are disturbed."""

MOST_POINTS = 8
"""The number of single positions, chosen on all axes at once, that are disturbed."""

MOST_ROWS = 600
"""The largest number of positions of each output axis that are compared."""


class WrongRelation(NamedTuple):
    """An edge of the graph whose relation is wrong or suspicious.

    Attributes:
      node: the name of the node.
      op: its op type.
      input: the number of the node's input.
      tensor: the name of the tensor that the node reads as this input.
      text: a description of what the rule says and what the experiment found.
      proved: whether the experiment proves that the rule is wrong.
    """

    node: str
    op: str
    input: int
    tensor: str
    text: str
    proved: bool

    def __str__(self) -> str:
        verdict = "wrong" if self.proved else "suspected"
        edge = f"{self.op} node {self.node!r}, input {self.input} ({self.tensor!r})"
        return f"{verdict}: {edge}\n{self.text}"


@dataclass(frozen=True, slots=True)
class Bisection:
    """The result of checking every op between an input and an output.

    Attributes:
      input: the name of the input tensor.
      output: the name of the output tensor.
      wrong: the first edge whose relation is proved wrong; None if there is none.
      suspected: edges whose rule claims to be exact although some feature that should
        have changed in the experiment never did. The values used may have hidden the
        dependency.
      checked: the names of the nodes that agree with their rules, in order.
      unchecked: the names of the nodes that could not be checked, each with the reason.
    """

    input: str
    output: str
    wrong: WrongRelation | None
    suspected: Sequence[WrongRelation]
    checked: Sequence[str]
    unchecked: Mapping[str, str]

    def __str__(self) -> str:
        if self.wrong is not None:
            return str(self.wrong)
        rest = f"; nodes not checked: {len(self.unchecked)}" if self.unchecked else ""
        lines = [
            *map(str, self.suspected),
            f"no wrong relation between {self.input!r} and {self.output!r}; nodes that "
            f"agree with their rules: {len(self.checked)}{rest}",
        ]
        by_reason: dict[str, list[str]] = {}
        for name, reason in self.unchecked.items():
            by_reason.setdefault(reason, []).append(name)
        lines += [
            printable(f"not checked ({len(names)}): {some_names(names)}: {reason}")
            for reason, names in by_reason.items()
        ]
        return "\n".join(lines)


def bisect(
    model: Any,
    *,
    output: Any = None,
    input: Any = None,
    input_resolution: Resolution = None,
    signature: str | None = None,
    example_inputs: Any = None,
) -> Bisection:
    """Finds the first op between an input and an output whose rule is wrong.

    Nodes are checked in topological order. The framework (onnxruntime for an ONNX
    model) runs each of them by itself, in double precision if possible, on random
    numbers of the right shapes.
    `measure_receptive_field` describes how weights, images and disturbances are chosen.
    An edge is wrong if a feature changes with a position that it does not read
    according to the rule. It is also wrong if the rule claims to be exact, and a
    feature changes with some of the positions that it reads according to the rule, but
    not with all of them.

    On a long axis, only positions at both ends and in the middle are tried. A node that
    the framework cannot run by itself is not checked. If all relations hold but a
    receptive field is still wrong, the composition of relations is at fault.

    Args:
      model, output, input, input_resolution, signature, example_inputs: as in
        `compute_receptive_field`. All sizes except the batch must be known.

    Raises:
      ReceptiveFieldError: if the framework is missing, a size of the input is not
        known, or no node can be checked.
    """
    loaded = load(
        model, signature, resolution=input_resolution, example_inputs=example_inputs
    ).to_run()
    runner: Runner = loaded.graph.framework.runner()
    options = Options(input_resolution)
    question = Question.ask(loaded, input, [output], options)
    ((name, _),) = (question.outputs or {}).items()
    check = _Check(runner, question)
    wrong: WrongRelation | None = None
    suspected: list[WrongRelation] = []
    checked: list[str] = []
    unchecked: dict[str, str] = {}
    for node in check.nodes():
        found, reason = check.wrong_relations(node)
        wrong = next((one for one in found if one.proved), None)
        if wrong is not None:
            break
        suspected += found
        if reason is not None:
            unchecked[node.name] = reason
        elif not found:
            checked.append(node.name)
    if wrong is None and not suspected and not checked:
        first = next((f" {node}: {why}" for node, why in unchecked.items()), "")
        raise GraphError(
            f"no op between {question.input!r} and {name!r} can be checked.{first}"
        )
    return Bisection(question.input, name, wrong, suspected, checked, unchecked)


class _UncheckedError(Exception):
    """A node cannot be checked, for the reason in the message."""


class _Says(NamedTuple):
    """What a rule says about one edge."""

    most: Sequence[Sequence[Box]]
    """Lists of boxes. The boxes of each list together contain all positions that are
    read, so a position may be read only if every list has a box that contains it."""
    sure: Sequence[Box]
    """Boxes of positions that are certain to be read."""
    rows: Sequence[Rows]
    """For each axis of the output, the positions that are compared."""

    def may_change(self, probe: Probe) -> Mask:
        """Returns which rows may change if the probe's positions are disturbed."""
        found = np.ones([1] * len(self.rows), dtype=bool)
        for alternatives in self.most:
            found = found & _reading(alternatives, probe, len(self.rows))
        return found

    def must_change(self, probe: Probe) -> Mask:
        """Returns which rows must change if the probe's positions are disturbed."""
        return _reading(self.sure, probe, len(self.rows))


def _reading(alternatives: Sequence[Box], probe: Probe, rank: int) -> Mask:
    """Returns which positions of an output read at least one disturbed position."""
    found = np.zeros([1] * rank, dtype=bool)
    for box in alternatives:
        sizes = _part_sizes(box)
        fixed: dict[int, int] = {}
        for parts, position in zip(box.axes, probe, strict=False):
            if not isinstance(position, slice):
                places = np.unravel_index(position, [sizes[part] for part in parts])
                fixed.update(zip(parts, map(int, places), strict=True))
        whole = np.ones([1] * rank, dtype=bool)
        for outputs, parts, seen in box.groups:
            every = [slice(None)] * len(outputs)
            index = (*every, *(fixed.get(part, slice(None)) for part in parts))
            some = seen[index]
            some = np.asarray(some.any(axis=tuple(range(len(outputs), some.ndim))))
            shape = [1] * rank
            for axis, size in zip(outputs, some.shape, strict=True):
                shape[axis] = size
            whole = whole & some.reshape(shape)
        found = found | whole
    return found


def _shape_of(box: Box) -> tuple[int, ...]:
    sizes = _part_sizes(box)
    return tuple(math.prod(sizes[part] for part in parts) for parts in box.axes)


def _part_sizes(box: Box) -> dict[int, int]:
    return {
        part: size
        for outputs, parts, seen in box.groups
        for part, size in zip(parts, seen.shape[len(outputs) :], strict=True)
    }


class _Check:
    """Checks the nodes of a question one by one."""

    def __init__(self, runner: Runner, question: Question) -> None:
        self.runner = runner
        self.question = question
        self.network = question.sized()
        shape = self.network.shape(self.network.input)
        if shape is None or not all(isinstance(size, int) for size in shape):
            raise GraphError(
                f"the input {question.input!r} has unknown sizes, so no op can be run. "
                "Give input_resolution as [height, width]."
            )
        asked = list((question.outputs or {}).values())
        self.wanted = outputs_wanted(self.network, asked)
        self.found: Forward = forward(self.network, question.spatial, asked)
        self.alike: set[Any] = set()
        """The experiments that agreed with the rule. None of them is repeated."""

    def nodes(self) -> Iterator[Node]:
        """Yields the nodes that depend on the input, in topological order."""
        for index in self.network.needed:
            node = self.network.graph.nodes[index]
            reads = index != self.network.input[0] and self.network.edges(index)
            known = self.network.carries[index] or cuts(node)
            if reads and known and self.runner.runs(node):
                yield node

    def wrong_relations(self, node: Node) -> tuple[list[WrongRelation], str | None]:
        """Returns the edges of a node whose relations are wrong or suspicious.

        The second value is the reason why an edge could not be checked, or None.
        """
        wrong: list[WrongRelation] = []
        unchecked: str | None = None
        for tensor in self.wanted.get(node.index, [(node.index, 0)]):
            for number, below in self.network.edges(node.index):
                try:
                    found = self._wrong(node, tensor, number, below)
                except UnsupportedOpsError:
                    unchecked = f"there is no rule for {node.op}"
                except (ReceptiveFieldError, _UncheckedError) as error:
                    unchecked = str(error)
                else:
                    if found is not None:
                        proved, text = found
                        edge = node.name, node.op, number, self._name(below)
                        wrong.append(WrongRelation(*edge, text, proved))
        return wrong, unchecked

    def _wrong(
        self, node: Node, tensor: Tensor, number: int, below: Tensor
    ) -> tuple[bool, str] | None:
        """Checks the relation of one edge.

        Returns:
          Whether the relation is proved wrong, and a description of the difference.
          None if the relation holds.

        Raises:
          ReceptiveFieldError: if the rule fails.
          _UncheckedError: if the edge cannot be checked.
        """
        if not self.runner.reads(node, number):
            raise _UncheckedError(
                "the op is analysed in inference mode, in which it reads only its image"
            )
        rule = self.network.relations(tensor)[number]
        alone = self.runner.alone(node, number, partial(self._given, node))
        shape = self._sizes(below)
        places = self._places(tensor), self._places(below)
        content = hashlib.sha256(alone.content).digest()
        key = content, rule, shape, tensor[1], places
        if key in self.alike:
            return None
        experiment = self._experiment(alone, tensor[1], shape)
        (output_shape,) = experiment.output_shapes
        says: _Says | None
        if rule is None:
            says = _Says([[]], [], _rows(output_shape))
        else:
            stated = self._sizes(tensor)
            if stated != output_shape:
                return True, (
                    f"  {self._name(tensor)} has the shape {list(stated)} by the rule, "
                    f"but {list(output_shape)} in the experiment."
                )
            says = self._says(tensor, number, rule)
            if says is None:
                return True, (
                    f"  The rule does not fit the shape {list(shape)} of the input and "
                    f"the shape {list(stated)} of the output."
                )
        names = self._name(tensor), self._name(below)
        found = _compared(experiment, says, places, names)
        if found is None:
            self.alike.add(key)
        return found

    def _name(self, tensor: Tensor) -> str:
        return self.network.graph.name_of(tensor)

    def _says(self, tensor: Tensor, number: int, rule: Relation) -> _Says | None:
        """Returns what the rule of a node says about an edge.

        Returns None if the rule does not fit the shapes of the two tensors.
        """
        network = self.network
        shape = self._sizes(tensor)
        below = self._sizes(network.graph.inputs[tensor[0]][number])
        if rule.axes and len(rule.axes) != len(below):
            return None
        rows = _rows(shape)
        start = [boxes.start(shape, dict(enumerate(rows)), {})]
        needed = Needed(network)
        try:
            (read,) = (r for r in reads(network, tensor) if r.number == number)
            told = needed.down(read, needed.ready(tensor, start)) or []
            # A rule describes windows and sets separately, and both must hold.
            windows = boxes.through(start[0], all_seen(rule), below)
        except IndexError:  # The rule follows an axis that does not exist.
            return None
        if any(_shape_of(box) != below for box in (*told, *windows)):
            return None
        return _Says([told, windows], [box for box in told if box.exact], rows)

    def _places(self, tensor: Tensor) -> tuple[int, ...]:
        """Returns the axes of a tensor that hold positions but no channels."""
        relation = self.found.state.get(tensor)
        if relation is None:
            return ()
        local = self.found.local(tensor)
        try:
            layout = self.question.layout(tensor, relation, local)
        except ReceptiveFieldError:
            return ()
        return tuple(sorted(layout.axes - layout.channels))

    def _sizes(self, tensor: Tensor) -> tuple[int, ...]:
        shape = self.network.shape(tensor)
        if shape is None or not all(isinstance(size, int) for size in shape):
            raise _UncheckedError(f"the shape of {self._name(tensor)!r} is unknown")
        return shape  # type: ignore[return-value]

    # --- A node by itself ------------------------------------------------------------

    def _experiment(
        self, alone: Alone, output: int, shape: Sequence[int]
    ) -> Experiment:
        """Returns an experiment with the op, in the highest precision in which it runs.

        Raises:
          _UncheckedError: if the op cannot be run, or gives different values each time.
        """
        failure = ""
        for computed in alone.computations(output, shape):
            try:
                computation = computed()
                if computation.dtype.kind not in "fciub":
                    raise _UncheckedError("the op does not read numbers")
                found = Experiment(computation, shape, range(len(shape)), TRIALS)
                if not found.is_repeatable():
                    raise _UncheckedError("the values of the op differ from run to run")
                return found
            except GraphError as error:
                failure = str(error)
        raise _UncheckedError(failure)

    def _given(self, node: Node, number: int, read: Tensor, kind: str) -> Array:
        """Returns the values of an input that is not disturbed.

        Known values are kept, except the values of weights. Weights become random and
        positive, as in `measure_receptive_field`.

        Raises:
          _UncheckedError: if the value or the shape of the input is unknown.
        """
        value = self.network.value(read)
        known = value is not None and value.dtype.kind in "fciub"
        scale = self.runner.scale(Call(node, self.network.known))
        real = kind in "fc"
        if known and value is not None and not (real and value.size > 1 and scale):
            return value
        random = np.random.default_rng(number).uniform(0.5, 1.5, self._sizes(read))
        whole = kind in "ib"
        if not real and not (whole and self.network.carries[read[0]]):
            raise _UncheckedError(f"the value of {self._name(read)!r} is unknown")
        return np.ones_like(random) if whole else random * (scale or 1.0)


# --- Which positions are disturbed and compared --------------------------------------


def _spread(size: int, most: int) -> Rows:
    """Returns at most ``most`` positions of an axis to use.

    If the axis is longer, the same number of positions is taken from the start, the
    middle and the end.
    """
    if size <= most:
        return np.arange(size)
    some = np.arange(most // 3)
    starts = 0, (size - len(some)) // 2, size - len(some)
    return np.unique(np.concatenate([start + some for start in starts]))


def _rows(shape: Sequence[int]) -> list[Rows]:
    return [_spread(size, MOST_ROWS) for size in shape]


def _lines(shape: Sequence[int], places: Sequence[int]) -> list[list[Probe]]:
    """Returns a list of probes for each axis.

    Each probe disturbs one position of its axis, and all positions of the other axes.
    """
    found = []
    for axis in places:
        before, after = ([slice(None)] * n for n in (axis, len(shape) - axis - 1))
        positions = _spread(shape[axis], MOST_LINES).tolist()
        found.append([(*before, position, *after) for position in positions])
    return found


def _points(shape: Sequence[int], places: Sequence[int]) -> list[Probe]:
    """Returns probes of single positions: the first, the last, and random positions."""
    random, found = np.random.default_rng(0), []
    for number in range(MOST_POINTS):
        point: list[Any] = [slice(None)] * len(shape)
        for axis in places:
            last = shape[axis] - 1
            point[axis] = (0, last, int(random.integers(last + 1)))[min(number, 2)]
        found.append(tuple(point))
    return found


def _compared(
    experiment: Experiment,
    says: _Says,
    places: tuple[Sequence[int], Sequence[int]],
    names: tuple[str, str],
) -> tuple[bool, str] | None:
    """Compares an experiment with the op's rule.

    Args:
      experiment: an experiment with a single op that has one output.
      says: what the op's rule says.
      places: the axes of the output and of the input that hold positions.
      names: the names of the output and of the input.

    Returns:
      Whether the rule is proved wrong, and a description of the difference. None if
      there is no difference.

    Raises:
      _UncheckedError: if the output never changes, although the rule says that it may.
    """
    lines = _lines(experiment.image_shape, places[1])
    if len(lines) != 1:
        lines += [[point] for point in _points(experiment.image_shape, places[1])]
    blind, suspicion = True, None
    for probes in lines:
        ends = probes[0], probes[len(probes) // 2], probes[-1]
        found = [_changed(experiment, says, probe, probe in ends) for probe in probes]
        may, must, changed = (
            np.stack([_of_features(mask, found[0].shape, places[0]) for mask in masks])
            for masks in (
                map(says.may_change, probes),
                map(says.must_change, probes),
                found,
            )
        )
        blind = blind and bool(may.any()) and not changed.any()
        differences = [(changed & ~may, may)]
        if experiment.dtype.kind in "fc":  # Integer ops may hide a change.
            differences.append((must & ~changed, must))
        for wrong, said in differences:
            if not wrong.any():
                continue
            # If no probe changes a feature, its values may hide the dependency.
            proofs = wrong & changed.any(axis=0)
            proved = bool(proofs.any())
            number, *row = np.argwhere(proofs if proved else wrong)[0].tolist()
            index = (slice(None), *row)
            text = _described(
                number, row, probes, said[index], changed[index], says, places[0], names
            )
            if said is must:
                text += "\n  The rule claims to be exact."
            if proved:
                return True, text
            suspicion = suspicion or (False, text)
    if blind:
        raise _UncheckedError(f"no disturbance of {names[1]!r} changes the output")
    return suspicion


def _of_features(mask: Mask, shape: Sequence[int], places: Sequence[int]) -> Mask:
    """Reduces a mask of elements to a mask of features.

    A feature consists of all elements at a position. It changes if any of them changes.
    """
    gone = tuple(axis for axis in range(len(shape)) if axis not in places)
    return np.asarray(np.broadcast_to(mask, shape).any(gone, keepdims=True))


def _changed(experiment: Experiment, says: _Says, probe: Probe, thorough: bool) -> Mask:
    """Returns which rows of the output change if the probe's positions are disturbed.

    Unless ``thorough``, trials stop as soon as every row that may change has changed.
    """
    may, index = says.may_change(probe), np.ix_(*says.rows)
    found: Mask | None = None
    for (change,) in experiment.changes(probe):
        found = change[index] if found is None else found | change[index]
        if not thorough and (found | ~may).all():
            break
    assert found is not None
    return found


def _described(
    number: int,
    row: Sequence[int],
    probes: Sequence[Probe],
    said: Mask,
    changed: Mask,
    says: _Says,
    places: Sequence[int],
    names: tuple[str, str],
) -> str:
    """Describes what the rule says about a feature, and what the experiment found.

    Args:
      number: the number of the probe that shows the difference.
      row: the indices of the feature among the rows that are compared.
      probes: probes of positions along one axis, or a single probe of one position.
      said: for each probe, whether the rule says that the feature reads the probe's
        positions.
      changed: for each probe, whether it changed the feature in the experiment.
      says: what the rule says.
      places: the axes of the output that hold positions.
      names: the names of the output and of the input.
    """
    output = _indexed(
        names[0],
        [
            int(says.rows[axis][place]) if axis in places else slice(None)
            for axis, place in enumerate(row)
        ],
    )
    if len(probes) == 1:
        both = "by the rule", "in the experiment"
        one, other = both if said[number] else both[::-1]
        read = _indexed(names[1], probes[number])
        return f"  {output} reads {read} {one}, but not {other}."
    axis = next(i for i, part in enumerate(probes[0]) if not isinstance(part, slice))
    line = [*probes[0]]
    line[axis] = "i"
    tried = np.array([probe[axis] for probe in probes])
    some = f", of {_in_words(tried)}" if tried[-1] >= len(tried) else ""
    return (
        f"  {output} reads {_indexed(names[1], line)}{some}\n"
        f"    by the rule        for i = {_in_words(tried[said])}\n"
        f"    in the experiment  for i = {_in_words(tried[changed])}"
    )


def _indexed(name: str, index: Sequence[Any]) -> str:
    parts = [":" if isinstance(part, slice) else str(part) for part in index]
    return printable(f"{name}[{', '.join(parts)}]" if parts else name)


def _in_words(numbers: Rows) -> str:
    """Writes ascending numbers as text, with consecutive numbers as a range."""
    found = []
    for _, group in itertools.groupby(
        enumerate(numbers.tolist()), lambda p: p[1] - p[0]
    ):
        run = [number for _, number in group]
        found.append(f"{run[0]} to {run[-1]}" if len(run) > 1 else str(run[0]))
    return ", ".join(found) or "none"
