"""Hypothesis profiles; chosen by the environment variable HYPOTHESIS_PROFILE.

`default` is quick and looks somewhere else each time. `ci` looks at four times as much and always
at the same, so that a failure there can be repeated. `deep` is for a night.
"""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("default", max_examples=100, deadline=None, print_blob=True)
settings.register_profile(
    "ci", max_examples=400, deadline=None, derandomize=True, database=None, print_blob=True
)
settings.register_profile("deep", max_examples=10_000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
