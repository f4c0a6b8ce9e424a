"""What holds for every test."""

import os

import tables
from hypothesis import HealthCheck, settings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# Random networks may be impossible, and running them takes its time.
common = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
settings.register_profile("repeatable", common, derandomize=True, database=None)
settings.register_profile("search", common, max_examples=3000)
settings.load_profile("repeatable")


def pytest_addoption(parser):
    parser.addoption(
        "--write-tables",
        action="store_true",
        help="write docs/layers.md and docs/ops.md from what was measured (all tests, "
        "one process)",
    )


def pytest_sessionstart(session):
    tables.RECORDING = session.config.getoption("--write-tables")


def pytest_sessionfinish(session):
    if session.config.getoption("--write-tables"):
        tables.write()
