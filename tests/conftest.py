"""What holds for every test."""

import os

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
