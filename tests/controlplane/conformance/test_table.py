"""The table in the documentation is that of the tests there are."""

from pathlib import Path

from tests.controlplane.conformance.report import rows

HERE = Path(__file__).parent
PAGE = HERE.parents[2] / "docs" / "controlplane.md"


def test_the_documented_behaviours_are_those_that_are_tested(request):
    items = [i for i in request.session.items if HERE in i.path.parents]
    tested = {
        mark.args
        for item in items
        for mark in item.iter_markers("conformance")
    }
    table = dict(rows(PAGE.read_text()))
    assert set(table.values()) == {"yes"}
    assert tested <= table.keys(), "run `make conformance`"
    files = {item.path for item in items} | {Path(__file__)}
    if files >= set(HERE.rglob("test_*.py")):  # not a part of the suite
        assert tested == table.keys(), "run `make conformance`"
