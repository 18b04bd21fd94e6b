"""What all tests share: where things are, and how Hypothesis runs."""

from hypothesis import HealthCheck, settings

# A shared machine stalls now and then: time limits of single examples tell nothing.
settings.register_profile("check", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("check")
