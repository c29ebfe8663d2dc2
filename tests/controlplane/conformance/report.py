"""Plugin: which server is tested, and the table of what held.

``-p tests.controlplane.conformance.report`` loads it. Tests say what they
show: ``@pytest.mark.conformance("kubectl", "patch --type=json")``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

BEGIN = "<!-- conformance: written by `make conformance` -->"
END = "<!-- conformance ends -->"
_MARK = "conformance"
_WORST = {"failed": 2, "skipped": 1, "passed": 0}
_SHOWN = {"passed": "yes", "skipped": "not tried", "failed": "no"}


def pytest_addoption(parser):
    """The options of the suite."""
    group = parser.getgroup("conformance")
    group.addoption(
        "--api-kubeconfig",
        help="kubeconfig of the server to test (default: start one)",
    )
    group.addoption(
        "--conformance-table",
        type=Path,
        help="Markdown file whose table of behaviours is written anew",
    )


def pytest_configure(config):
    """Collect outcomes where the table is to be written."""
    if config.getoption("conformance_table") and not _worker(config):
        config.pluginmanager.register(Table(config), "conformance-table")


def _worker(config):
    return hasattr(config, "workerinput")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """Carry the marks to where the outcomes are counted."""
    outcome = yield
    report = outcome.get_result()
    for mark in item.iter_markers(_MARK):
        report.user_properties.append((_MARK, list(mark.args)))


class Table:
    """The outcome of every behaviour: the worst of its tests."""

    def __init__(self, config):
        self._path = config.getoption("conformance_table")
        self._outcomes = {}

    def pytest_runtest_logreport(self, report):
        """Count one phase of one test."""
        for name, value in report.user_properties:
            if name == _MARK:
                self._count(tuple(value), report.outcome)

    def _count(self, behaviour, outcome):
        known = self._outcomes.get(behaviour, "passed")
        worst = max(known, outcome, key=_WORST.__getitem__)
        self._outcomes[behaviour] = worst

    def pytest_sessionfinish(self):
        """Write the table between its marks."""
        text = self._path.read_text()
        head, _, rest = text.partition(BEGIN)
        _, _, tail = rest.partition(END)
        table = render(self._outcomes)
        self._path.write_text(f"{head}{BEGIN}\n{table}{END}{tail}")


def render(outcomes):
    """The rows, by area and behaviour."""
    lines = ["| area | behaviour | holds |", "|---|---|---|"]
    for (area, behaviour), outcome in sorted(outcomes.items()):
        shown = behaviour.replace("|", "\\|")
        lines.append(f"| {area} | {shown} | {_SHOWN[outcome]} |")
    return "\n".join(lines) + "\n"


def rows(text):
    """The behaviours that a page's table names."""
    _, _, rest = text.partition(BEGIN)
    table, _, _ = rest.partition(END)
    for line in table.splitlines()[3:]:
        cells = line.replace("\\|", "\0").strip("| ").split(" | ")
        if len(cells) == 3:
            area, behaviour, holds = (c.replace("\0", "|") for c in cells)
            yield (area, behaviour), holds
