"""CEL: what an expression may cost, and what cannot be computed."""

import pytest

from reconciler.controlplane.schema.cel.program import compile_program
from reconciler.controlplane.schema.cel.values import CELError


def error(text, **variables):
    program = compile_program(text, dict.fromkeys(variables))
    with pytest.raises(CELError) as caught:
        program.evaluate(variables)
    return str(caught.value)


def test_loops_that_cost_too_much_are_cut_off():
    items = list(range(300))
    text = "s.all(a, s.all(b, s.all(c, true)))"
    assert error(text, s=items) == (
        "operation cancelled: actual cost limit exceeded"
    )


@pytest.mark.parametrize(
    "text",
    [
        "s.all(a, a in s)",
        "s.all(a, s.indexOf(a) >= 0)",
        "s.all(a, s == s)",
        "s.all(a, s + s != [])",
        "s.all(a, '%s'.format([s]) != '')",
        "sets.contains(s, s)",
        "sets.intersects(s, s.map(a, -1 - a))",
    ],
)
def test_functions_cost_what_they_look_through(text):
    """Each of these took seconds of one step per item before."""
    items = list(range(1500))
    assert error(text, s=items).startswith("operation cancelled")


@pytest.mark.parametrize(
    "text",
    [
        "l.all(a, !t.matches('b$'))",
        "l.all(a, t == u)",
        "l.all(a, !(t < u))",
        "l.all(a, (t + 'b').size() > 0)",
        "l.all(a, !t.contains('b'))",
    ],
)
def test_long_texts_cost_more(text):
    values = {"l": list(range(200)), "t": "a" * 500_000, "u": "a" * 500_000}
    assert error(text, **values).startswith("operation cancelled")


@pytest.mark.parametrize(
    "text",
    [
        "cel.bind(a, s + s, cel.bind(b, a + a, size(b + b + b)))",
        "size(s.replace('x', s))",
        "size(['a', 'b', 'c', 'd', 'e', 'f', 'g'].join(s))",
    ],
)
def test_values_that_grow_without_bounds_are_cut_off(text):
    """They are refused before they are made: one has 40 gigabytes."""
    assert error(text, s="x" * 200_000).startswith("operation cancelled")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("uint(double(v)) == 1u", "inf"),
        ("[1, 2][double(v)] == 1", "nan"),
        ("[1, 2][double(v)] == 1", "inf"),
        ("quantity(v).asApproximateFloat() > 1.0", "1e999"),
        ("'%x'.format([double(v)]) == ''", "inf"),
        ("{[v]: 1}.size() == 1", "a"),
        ("duration(v) > duration('1s')", "9999999999999h"),
        ("duration(v) > duration('1s')", "9" * 400 + "h"),
        ("timestamp(v).getFullYear() == 0", "0001-01-01T00:00:00+14:00"),
        ("timestamp('9999-12-31T23:59:59Z') + duration(v) != v", "1s"),
    ],
)
def test_what_cannot_be_computed_is_an_error_of_the_expression(text, value):
    """Never one of the server, whoever chose the value."""
    assert error(text, v=value)
