"""What all tests share: where things are, and how Hypothesis runs."""

from pathlib import Path

from hypothesis import HealthCheck, settings

ROOT = Path(__file__).parents[1]

# A shared machine stalls now and then: time limits of single examples tell nothing.
settings.register_profile("check", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("check")
