"""For all tests: time decides none, and what breaks pytest is said last.

A worker that fails outside of any test (a hook, a warning, a report) ends
the run, pytest-xdist then ends with an assertion of its own, and logs are cut
at their beginning.
"""

from __future__ import annotations

from collections import defaultdict

from hypothesis import HealthCheck, settings

settings.register_profile(
    "suite", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("suite")

ORDINARY_SECONDS = 300.0
"""What a slow test may take that does not say more."""

_ERRORS = []


def pytest_internalerror(excrepr):
    """Keep it until the end."""
    _ERRORS.append(str(excrepr))


def pytest_unconfigure(config):
    """Say the first of them once more: later ones follow from it."""
    if _ERRORS and not hasattr(config, "workerinput"):
        print(f"\nthe first internal error was:\n{_ERRORS[0][-6000:]}")


def pytest_collection_modifyitems(items):
    """Begin with the files that may take longest: no worker ends alone."""
    patience = defaultdict(float)
    for item in items:
        patience[item.path] = max(patience[item.path], _patience_of(item))
    items.sort(key=lambda item: -patience[item.path])


def _patience_of(item) -> float:
    """Seconds that a test says it may take."""
    if item.get_closest_marker("slow") is None:
        return 0.0
    asked = item.get_closest_marker("timeout")
    return max(asked.args[0] if asked else 0.0, ORDINARY_SECONDS)
