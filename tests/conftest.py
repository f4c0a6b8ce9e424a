"""What holds for every test."""

import gc
import os

import needed
import pytest
import random_search
import tables
from hypothesis import HealthCheck, Phase, is_hypothesis_test, settings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# By default, only some processors use oneDNN. The other kernels have no gradients of
# dilated convolutions in a graph.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

# Graphs of TensorFlow are many objects that live long. To look for garbage among them
# as often as usual takes a seventh of the time.
gc.set_threshold(200_000, 20, 20)

# Random networks may be impossible, and running them takes its time.
settings.register_profile(
    "ours",
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate, Phase.target, Phase.shrink],
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
        help="write the tables in docs/ (see tests/tables.py) from what these files "
        "measure in this run (one process)",
    )
    parser.addoption(
        "--write-golden",
        action="store_true",
        help="write the texts in tests/golden again; look at the difference",
    )
    parser.addoption(
        "--no-skips", action="store_true", help="a test that is skipped is a failure"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    if config.option.seed is None:
        config.option.seed = random_search.seed_of_contents()
    random_search.SEED = config.option.hypothesis_seed = config.option.seed
    random_search.TIMES = config.option.times
    if config.option.no_skips:
        config.pluginmanager.register(needed.NoSkips())


@pytest.fixture(scope="session", autouse=True)
def graphs_of_this_run(tmp_path_factory):
    """Where `stored.py` keeps graphs: in a folder that all workers of a run see."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    os.environ["STORED_GRAPHS"] = str(folder)


@pytest.fixture(scope="module")
def browser():
    """A browser without a window."""
    path, playwright = needed.chromium(), needed.needed("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()


def repeat(config):
    times = f" --times {config.option.times}" if config.option.times > 1 else ""
    return f"--seed {config.option.seed}{times}"


def pytest_report_header(config):
    return f"random examples: {repeat(config)}"


WHOLE_NETWORKS = {
    *("test_applications", "test_slim", "test_tables", "test_torch_networks"),
    "test_whole_models",
}
"""Tests that repeat, for large networks, what others cover line by line. To measure
coverage there, too, would take as long again."""


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.stem in WHOLE_NETWORKS:
            item.add_marker(pytest.mark.no_cover)
        if is_hypothesis_test(getattr(item, "obj", None)):
            item.add_marker(pytest.mark.random)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    if report.failed and item.get_closest_marker("random"):
        text = f"repeat with: pytest {repeat(item.config)} '{item.nodeid}'"
        report.sections.append(("random examples", text))
    return report


class NamedAtOnce:
    """Names a test as soon as it fails: a run that is ended early has said it."""

    def __init__(self, terminal):
        self.terminal = terminal

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.terminal.write_line(f"\n{report.outcome}: {report.nodeid}", red=True)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    """A file that is skipped is named: xdist drops reports that are equal."""
    report = yield
    if report.skipped:
        report.longrepr = (str(collector.path), None, report.longrepr[2])
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session):
    shared = session.config.getoption("dist", "no") != "no"
    if session.config.option.write_tables and shared:
        raise pytest.UsageError("--write-tables takes one process: leave out -n.")
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    if terminal and terminal.verbosity <= 0:
        session.config.pluginmanager.register(NamedAtOnce(terminal))


def pytest_sessionfinish(session, exitstatus):
    if session.config.option.write_tables:
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        left_out = reporter.stats.keys() & {"deselected", "skipped"}
        reporter.write("\n")
        for line in tables.write(passed=not exitstatus and not left_out):
            reporter.write_line(line)
