"""Exceptions of the library's own code become errors that ask for a report."""

import pickle
import platform
from types import FunctionType

import graphs
import pytest

import receptive_field as rf
from receptive_field.cli import main as command
from receptive_field.errors import InternalError
from receptive_field.questions import question, reasons, support


def model():
    return graphs.graph_def(
        graphs.placeholder(sizes=(1, 9, 9, 1)), graphs.conv("layer", "input")
    )


def breaks(monkeypatch, place, name, error):
    """Puts a defect in the place of a function of the library."""

    def broken(*args, **kwargs):
        raise error

    of_place = {"__name__": place.__name__}
    made = FunctionType(broken.__code__, of_place, name, None, broken.__closure__)
    monkeypatch.setattr(place, name, made)


DEFECT = KeyError("a defect")


def test_a_defect_is_said_to_be_one(monkeypatch):
    breaks(monkeypatch, question, "find_network", DEFECT)
    with pytest.raises(InternalError) as caught:
        rf.compute_receptive_field(model())
    assert caught.value.__cause__ is DEFECT
    told = str(caught.value)
    assert (
        "defect of the library: KeyError at receptive_field.questions.question" in told
    )
    assert "a defect" in told
    assert f"Python {platform.python_version()}" in told
    assert f"receptive_field {rf.__version__}" in told


def test_questions_and_texts_of_results_are_in_the_net(monkeypatch):
    field = rf.compute_receptive_field(model())
    breaks(monkeypatch, support, "follow_positions", DEFECT)
    with pytest.raises(InternalError):
        field.support()
    breaks(monkeypatch, reasons, "find_reasons", DEFECT)
    for ask in (field.reasons, field.__str__, field.in_units(1, "mm").__str__):
        with pytest.raises(InternalError):
            ask()


def test_a_defect_below_another_function_is_not_taken_for_a_missing_answer(
    monkeypatch, tmp_path
):
    """The page leaves out costs that cannot be computed, but hides no defects."""
    from receptive_field.questions import costs

    breaks(monkeypatch, costs, "_prepared", DEFECT)
    with pytest.raises(InternalError):
        rf.explore(model(), tmp_path / "page.html")


def test_the_command_line_says_so(monkeypatch, tmp_path, capsys):
    path = tmp_path / "graph.pb"
    path.write_bytes(model().SerializeToString())
    breaks(monkeypatch, question, "find_network", DEFECT)
    assert command(["compute", str(path)]) == 1
    assert "this is a defect of the library" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error", [MemoryError(), KeyboardInterrupt(), OSError("disk"), ImportError("tf")]
)
def test_what_is_no_defect_passes(monkeypatch, error):
    breaks(monkeypatch, question, "find_network", error)
    with pytest.raises(type(error)) as caught:
        rf.compute_receptive_field(model())
    assert caught.value is error


def test_errors_of_the_callers_rules_pass():
    error = KeyError("of the caller")

    def rule(call, output):
        raise error

    with pytest.raises(KeyError) as caught:
        rf.compute_receptive_field(model(), overrides={"layer": rule})
    assert caught.value is error


def test_errors_of_arguments_pass(tmp_path):
    with pytest.raises(TypeError, match="unexpected keyword argument 'outptu'"):
        rf.compute_receptive_field(model(), outptu="layer")
    with pytest.raises(TypeError, match="not int"):
        rf.explore(model(), 5)
    with pytest.raises(
        rf.ReceptiveFieldError, match="outputs must be a list"
    ) as caught:
        rf.compute_receptive_fields(model(), outputs=5)
    assert not isinstance(caught.value, InternalError)


def test_public_functions_can_be_sent_to_other_processes():
    for name in ("compute_receptive_field", "explore", "compute_costs"):
        function = getattr(rf, name)
        assert pickle.loads(pickle.dumps(function)) is function
