"""What all tests share: how Hypothesis runs."""

import os

from hypothesis import HealthCheck, settings

# A shared machine stalls now and then: time limits of single examples tell nothing.
settings.register_profile("check", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("soak", settings.get_profile("check"), max_examples=3000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "check"))
