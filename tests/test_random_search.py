"""The seed of a run, and searches that go on."""

import shutil

import pytest
import random_search
import search


@pytest.fixture
def copy(tmp_path):
    """A few files of the package and the tests, elsewhere and without git."""
    for folder in ("receptive_field", "tests"):
        (tmp_path / folder / "inner").mkdir(parents=True)
        (tmp_path / folder / "inner" / "file.py").write_text(f"{folder} = 1\n")
    return tmp_path


def test_the_seed_is_that_of_the_contents(copy, tmp_path_factory):
    seed = random_search.seed_of_contents(copy)
    other = tmp_path_factory.mktemp("elsewhere") / "clone"
    shutil.copytree(copy, other)
    (other / "tests" / "__pycache__").mkdir()
    (other / "tests" / "__pycache__" / "file.pyc").write_bytes(b"1")
    (other / "README.md").write_text("other\n")
    assert random_search.seed_of_contents(other) == seed
    (other / "tests" / "inner" / "file.py").write_text("tests = 2\n")
    assert random_search.seed_of_contents(other) != seed


def test_a_file_of_another_name_makes_another_seed(copy):
    seed = random_search.seed_of_contents(copy)
    (copy / "tests" / "inner" / "file.py").rename(copy / "tests" / "inner" / "name.py")
    assert random_search.seed_of_contents(copy) != seed


def test_seeds_depend_on_the_run_and_on_what_they_are_for(monkeypatch):
    def values(name):
        return [parameter.values[0] for parameter in random_search.seeds(name, 5)]

    monkeypatch.setattr(random_search, "SEED", 1)
    one = values("one")
    assert len(set(one + values("two"))) == 10
    monkeypatch.setattr(random_search, "TIMES", 3)
    assert values("one")[:5] == one
    assert len(values("one")) == 15
    monkeypatch.setattr(random_search, "SEED", 2)
    assert not set(values("one")) & set(one)


class Rounds:
    """In the place of pytest: runs that pass, fail or are interrupted."""

    def __init__(self, *outcomes):
        self.outcomes, self.seeds = list(outcomes), []

    def __call__(self, arguments):
        self.seeds.append(arguments[arguments.index("--seed") + 1])
        outcome = self.outcomes.pop(0)
        if outcome is KeyboardInterrupt:
            raise KeyboardInterrupt
        return outcome


@pytest.fixture
def searched(monkeypatch, tmp_path):
    """Runs a search of so many rounds, with outcomes; returns its seeds."""

    def searched(count, *outcomes):
        rounds = Rounds(*outcomes)
        monkeypatch.setattr(search, "run", rounds)
        arguments = ["--rounds", str(count), "--state", str(tmp_path / "state.json")]
        monkeypatch.setattr("sys.argv", ["search.py", *arguments, "-k", "something"])
        try:
            code = search.main()
        except KeyboardInterrupt:
            code = None
        return code, rounds.seeds

    return searched


def test_a_search_takes_a_fresh_seed_for_each_round(searched):
    code, seeds = searched(3, 0, 0, 0)
    assert code == 0
    assert len(set(seeds)) == 3


@pytest.mark.parametrize("end", [KeyboardInterrupt, 1])
def test_a_search_goes_on_with_the_round_that_did_not_pass(searched, capsys, end):
    code, before = searched(3, 0, end)
    assert code == (None if end is KeyboardInterrupt else end)
    assert len(before) == 2
    code, after = searched(2, 0, 0)
    assert code == 0
    assert after[0] == before[1]
    assert after[1] not in before
    assert "3 rounds passed" in capsys.readouterr().out


def test_what_passed_does_not_count_for_other_files(searched, monkeypatch, capsys):
    searched(2, 0, 1)
    monkeypatch.setattr(search, "seed_of_contents", lambda: -1)
    searched(1, 0)
    assert "1 rounds passed" in capsys.readouterr().out
