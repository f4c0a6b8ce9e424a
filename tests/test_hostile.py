"""Small files that describe large computations are answered, or refused at once.

What each costs: ``python -m tests.hostile``.
"""

from __future__ import annotations

import graphs
import hostile
import pytest

import receptive_field as rf
from receptive_field.budget import STEPS, spend, within_budget
from receptive_field.cli import main
from receptive_field.many.limits import Limits, Watch

LIMITS = Limits(seconds=60, megabytes=400, may_end=True)
"""More than any of the files takes, on a machine that does other things, too."""

NEEDED = {"ONNX": "onnx", "Keras": "keras", "PyTorch": "torch"}


@pytest.mark.slow
@pytest.mark.parametrize("name", hostile.CASES)
def test_no_file_takes_long(name, tmp_path):
    for word, module in NEEDED.items():
        if word in name:
            hostile.needed(module)
    case = hostile.CASES[name]
    path = case.write(tmp_path)
    ends = {}
    for question in hostile.QUESTIONS:
        if question in hostile.OF_FIELDS and ends["field"] == "refused":
            continue
        with Watch(LIMITS) as watch, watch.limited():
            ends[question], why = hostile.ask(path, case.size, question)
        assert ends[question] in ("answered", "refused"), why
        assert ends[question] == "answered" or question not in case.answered, why


def test_the_op_and_the_number_are_named(tmp_path):
    path = hostile.CASES["300 splits"].write(tmp_path)
    with pytest.raises(rf.ReceptiveFieldError) as error:
        rf.compute_receptive_field(path)
    assert "Split node 's" in str(error.value)
    assert "65536 steps" in str(error.value)
    assert f"the {STEPS} steps that an answer may take" in str(error.value)
    assert "work_limit" in str(error.value)


class TestWorkLimit:
    GRAPH = graphs.graph_def(
        graphs.placeholder(sizes=(1, 5000, 8, 1)),
        graphs.pad("out", "input", 2, 2, "MirrorPad"),
    )

    def test_a_lower_limit_refuses(self):
        with rf.work_limit(100), pytest.raises(rf.ReceptiveFieldError, match="'out'"):
            rf.compute_receptive_field(self.GRAPH)

    def test_it_holds_inside_the_context_only(self):
        with rf.work_limit(100):
            pass
        assert list(rf.compute_receptive_field(self.GRAPH))[:2] == [1, 1]

    @pytest.mark.parametrize("limit", [10**9, None])
    def test_a_higher_limit_answers(self, limit):
        @within_budget
        def answer():
            spend(STEPS + 1)
            return "answered"

        with pytest.raises(rf.ReceptiveFieldError, match=f"needs {STEPS + 1} steps"):
            answer()
        with rf.work_limit(limit):
            assert answer() == "answered"

    def test_a_question_inside_another_shares_its_steps(self):
        @within_budget
        def part():
            spend(60)

        @within_budget
        def answer():
            part()
            part()

        with rf.work_limit(100):
            part()
            part()
            with pytest.raises(rf.ReceptiveFieldError, match="60 steps"):
                answer()


def test_the_limit_of_a_command_is_the_callers(capsys):
    graph = str(rf.EXAMPLE_GRAPH)
    assert main(["compute", graph, "--work-limit", "3"]) == 1
    assert "Allow more with --work-limit STEPS" in capsys.readouterr().err
    assert main(["compute", graph, "--work-limit", "any"]) == 0


def test_many_files_have_the_limit_of_their_caller():
    with rf.work_limit(3):
        (row,) = rf.compute_many([rf.EXAMPLE_GRAPH], workers=1)
    assert "the 3 steps that an answer may take" in row.error
