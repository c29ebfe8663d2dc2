"""Plugin: what broke pytest itself is said last, where logs are cut.

A worker that fails outside of any test (a hook, a warning, a report) ends
the run, and pytest-xdist then ends with an assertion of its own.
"""

from __future__ import annotations

_ERRORS = []


def pytest_internalerror(excrepr):
    """Keep it until the end."""
    _ERRORS.append(str(excrepr))


def pytest_unconfigure(config):
    """Say the first of them once more: later ones follow from it."""
    if _ERRORS and not hasattr(config, "workerinput"):
        print(f"\nthe first internal error was:\n{_ERRORS[0][-6000:]}")
