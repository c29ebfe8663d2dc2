"""For all tests: time decides none, and what breaks pytest is said last.

A worker that fails outside of any test (a hook, a warning, a report) ends
the run, pytest-xdist then ends with an assertion of its own, and logs are cut
at their beginning.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile(
    "suite", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("suite")

_ERRORS = []


def pytest_internalerror(excrepr):
    """Keep it until the end."""
    _ERRORS.append(str(excrepr))


def pytest_unconfigure(config):
    """Say the first of them once more: later ones follow from it."""
    if _ERRORS and not hasattr(config, "workerinput"):
        print(f"\nthe first internal error was:\n{_ERRORS[0][-6000:]}")
