"""The rules that `break_rules.py` breaks, and how."""

from __future__ import annotations

from typing import NamedTuple


class Break(NamedTuple):
    """A rule made wrong: the package runs on, and its answers are not the truth."""

    name: str
    path: str
    old: str
    """The passage that states the rule; it is in the file once."""
    new: str
    files: tuple[str, ...]
    """The files of tests that concern the rule, the quick ones first."""
    by_a_reader: bool = False
    """Whether it was chosen by somebody who had read the package and not the tests."""


BREAKS = (
    Break(
        "an endless window keeps its endless side when a map below is flipped",
        "receptive_field/algebra/axis_map.py",
        "far = -INFINITY if (direction > 0) == (self.advance > 0) else INFINITY",
        "far = -INFINITY if direction > 0 else INFINITY",
        ("test_axis_map.py", "test_rules_of_rarer_ops.py", "test_exact.py"),
        by_a_reader=True,
    ),
    Break(
        "paths that differ on several axes are forgotten once they have met",
        "receptive_field/relations/relation.py",
        "several = within is None or within.several",
        "several = one.several or two.several",
        ("test_relations.py", "test_rules.py", "test_exact.py"),
        by_a_reader=True,
    ),
    Break(
        "windows wider than 64 positions lose their last position in the sets",
        "receptive_field/relations/boxes.py",
        ("matrix = (apart >= 0) & (indices <= lasts[:, None]) & (apart % step == 0)"),
        ("matrix = (apart >= 0) & (indices < lasts[:, None]) & (apart % step == 0)"),
        ("test_exact.py", "test_rules_of_rarer_ops.py"),
        by_a_reader=True,
    ),
    Break(
        "a depthwise convolution is taken to mix its channels",
        "receptive_field/passes/positions.py",
        "pairs = ((node.inputs[number], -2), ((index, 0), -1))",
        "pairs = ((node.inputs[number], -2),)",
        ("test_exact.py", "test_rules.py"),
        by_a_reader=True,
    ),
    Break(
        (
            "pairs of near gradients are cut off too early above a transposed "
            "convolution"
        ),
        "receptive_field/passes/gradients.py",
        "return int(reach / abs(rate)) if rate else 0",
        "return int(reach * abs(rate)) if rate else 0",
        ("test_effective.py",),
        by_a_reader=True,
    ),
    Break(
        ("the kernel is left out when the positions that a stride skips are counted"),
        "receptive_field/questions/alignment.py",
        "spare = (self.size + total - w.extent) % w.stride",
        "spare = (self.size + total) % w.stride",
        ("test_explanation.py",),
        by_a_reader=True,
    ),
    Break(
        (
            "the period of sizes is the largest stride, not the common multiple of "
            "strides"
        ),
        "receptive_field/questions/resolutions.py",
        "period = math.lcm(period, *(r.numerator for r in found if r))",
        "period = max(period, *(r.numerator for r in found if r), 1)",
        ("test_resolutions.py",),
        by_a_reader=True,
    ),
    Break(
        (
            "the parameters of a shared layer are counted at the reader that is "
            "computed first"
        ),
        "receptive_field/questions/costs.py",
        (
            "for index in sorted(order):  # The first reader is the first in the "
            "graph's list."
        ),
        "for index in order:  # The first reader is the first in the graph's list.",
        ("test_costs.py",),
        by_a_reader=True,
    ),
    Break(
        ("global_context is not among the options by which kept rows are told apart"),
        "receptive_field/many/rows.py",
        (
            'f"{k}={v!r}" for k, v in question.items() if v is not None and (k, v) '
            "!= usual"
        ),
        (
            'f"{k}={v!r}" for k, v in question.items() if v is not None and k != '
            "usual[0]"
        ),
        ("test_many.py",),
        by_a_reader=True,
    ),
    Break(
        ("a size that differs from branch to branch is taken from the first branch"),
        "receptive_field/rules/control.py",
        "sizes[0] if len(set(sizes)) == 1 else call.unknown_size(axis, output)",
        ("sizes[0] if isinstance(sizes[0], int) else call.unknown_size(axis, output)"),
        ("test_functions.py", "test_analysis.py"),
        by_a_reader=True,
    ),
    Break(
        "the larger half of an odd SAME padding is put in front",
        "receptive_field/rules/windows.py",
        "befores = {int((total + extra_before) / 2) for total in totals}",
        "befores = {total - int(total / 2) for total in totals}",
        ("test_analysis.py", "test_rules.py"),
    ),
    Break(
        "the dilation of a transposed convolution is not looked at",
        "receptive_field/algebra/axis_map.py",
        "ends = (u + padding - dilation * i for i in (last, first))",
        "ends = (u + padding - i for i in (last, first))",
        ("test_axis_map.py", "test_rules.py"),
    ),
    Break(
        "a stride below a window opens no gaps in it",
        "receptive_field/algebra/axis_map.py",
        "gap = max(inner_gap, gap * abs(stride) - (high - low))",
        "gap = max(inner_gap, gap)",
        ("test_axis_map.py", "test_rules.py"),
    ),
    Break(
        "paths are compared at the first position of their period only",
        "receptive_field/algebra/axis_map.py",
        "positions = range(period)",
        "positions = range(1)",
        ("test_axis_map.py", "test_rules.py"),
    ),
    Break(
        "the third part of a split axis begins where the second does",
        "receptive_field/rules/reshaping.py",
        "inner, rest = inner * rest, 1",
        "inner, rest = rest, 1",
        ("test_relations.py", "test_rules.py"),
    ),
    Break(
        "a resize of unknown sizes does not take off half a pixel again",
        "receptive_field/rules/resizing.py",
        "start = self.before * ratio - self.behind",
        "start = Fraction(self.before * ratio)",
        ("test_rules.py", "test_rules_of_rarer_ops.py"),
    ),
    Break(
        "the border itself is repeated behind, though not in front",
        "receptive_field/rules/slicing.py",
        "behind = [size - 1 - edge - i for i in range(after)]",
        "behind = [size - 1 - i for i in range(after)]",
        ("test_analysis.py", "test_rules.py"),
    ),
    Break(
        "joined parts that go on evenly in one place are taken to do so in all",
        "receptive_field/algebra/axis_map.py",
        "return all(one + advance == two for one, two in pairs)",
        "return any(one + advance == two for one, two in pairs)",
        ("test_joins.py", "test_rules.py"),
    ),
    Break(
        "a loop is visited once more and not until it settles",
        "receptive_field/network/walk.py",
        "while _round(state, indices, visit, domain):\n                pass",
        "_round(state, indices, visit, domain)",
        ("test_functions.py", "test_models.py"),
    ),
    Break(
        "what is added to an unknown size does not count for its remainder",
        "receptive_field/algebra/sizes.py",
        "return frozenset(terms.items()), int(known) % modulus",
        "return frozenset(terms.items()), 0",
        ("test_alignment_of_passes.py", "test_relations.py", "test_resolutions.py"),
    ),
)
