"""What holds for every test."""

import os

import pytest
import random_search
import tables
from hypothesis import HealthCheck, is_hypothesis_test, settings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# Random networks may be impossible, and running them takes its time.
settings.register_profile(
    "ours",
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
settings.load_profile("ours")


def pytest_addoption(parser):
    parser.addoption(
        "--seed",
        type=int,
        help="the seed of random examples; made of the contents of the package's and "
        "the tests' files if it is not given",
    )
    parser.addoption(
        "--times", type=int, default=1, help="how many times as many random examples"
    )
    parser.addoption(
        "--write-tables",
        action="store_true",
        help="write docs/layers.md and docs/ops.md from what was measured (all tests, "
        "one process)",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    if config.option.seed is None:
        config.option.seed = random_search.seed_of_contents()
    random_search.SEED = config.option.hypothesis_seed = config.option.seed
    random_search.TIMES = config.option.times


def repeat(config):
    times = f" --times {config.option.times}" if config.option.times > 1 else ""
    return f"--seed {config.option.seed}{times}"


def pytest_report_header(config):
    return f"random examples: {repeat(config)}"


def pytest_collection_modifyitems(items):
    for item in items:
        if is_hypothesis_test(getattr(item, "obj", None)):
            item.add_marker(pytest.mark.random)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    if report.failed and item.get_closest_marker("random"):
        text = f"repeat with: pytest {repeat(item.config)} '{item.nodeid}'"
        report.sections.append(("random examples", text))
    return report


def pytest_sessionstart(session):
    tables.RECORDING = session.config.getoption("--write-tables")


def pytest_sessionfinish(session):
    if session.config.getoption("--write-tables"):
        tables.write()
