"""Hypothesis profiles; chosen by the environment variable HYPOTHESIS_PROFILE.

`default` is quick and looks somewhere else each time. `ci` looks at as much and always at the same,
so that a failure there can be repeated; `brief` is a tenth of it, and `thorough` four times as
much. `fresh` is a quarter of it, from the seed of `--hypothesis-seed`. `deep` is for a night.
`first` looks at the same as `ci`, and does not make a failure smaller: it only shows that there is
one. A single test may take long under `thorough` and `deep`: give `--timeout=3600`.
"""

from __future__ import annotations

import os

from hypothesis import Phase, settings

settings.register_profile("default", max_examples=100, deadline=None, print_blob=True)
for name, count in (("brief", 10), ("ci", 100), ("thorough", 400)):
    settings.register_profile(
        name,
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        print_blob=True,
    )
settings.register_profile("fresh", max_examples=25, deadline=None, database=None, print_blob=True)
settings.register_profile("deep", max_examples=10_000, deadline=None, print_blob=True)
settings.register_profile(
    "first",
    settings.get_profile("ci"),
    phases=(Phase.explicit, Phase.generate),
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
