"""Hypothesis profiles of these tests: `HYPOTHESIS_PROFILE=deep` looks at 5,000 examples of each property."""

import os

from hypothesis import settings

settings.register_profile("deep", max_examples=5000, deadline=None)
settings.register_profile("quick", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
