"""Formats of strings, patterns, and how Go prints values."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.controlplane.schema.cel.quantities import parse_quantity
from reconciler.controlplane.schema.cel.values import CELError, parse_duration
from reconciler.controlplane.schema.errors import (
    FieldError,
    go_number,
    go_value,
    not_supported,
    too_long,
    too_many,
)
from reconciler.controlplane.schema.formats import FORMATS, has_format
from reconciler.controlplane.schema.go_regex import (
    PatternError,
    compile_regex,
)

GOOD = {
    "bsonobjectid": ["507f1f77bcf86cd799439011"],
    "byte": ["", "aGk=", "aGkh"],
    "cidr": ["10.0.0.0/8", "10.1.2.3/32", "fd00::/8"],
    "creditcard": ["4111111111111111", "4111 1111 1111 1111"],
    "date": ["2026-02-28", "2024-02-29"],
    "date-time": [
        "2026-01-02T03:04:05Z",
        "2026-01-02t03:04:05z",
        "2026-01-02T03:04:05.123456Z",
        "2026-01-02T03:04:05+02:00",
    ],
    "duration": ["1h", "1.5h", "1h30m", "250ms", "0", "-5s", "3 days"],
    "email": ["a@b.example"],
    "hexcolor": ["#fff", "#A0B1C2", "ffffff"],
    "hostname": ["a", "a.example.com", "a-b.c.", "x" * 63],
    "ipv4": ["10.0.0.1"],
    "ipv6": ["::1", "fd00::12"],
    "isbn": ["0-306-40615-2", "978-3-16-148410-0"],
    "isbn10": ["0306406152", "080442957X"],
    "isbn13": ["9783161484100"],
    "mac": [
        "00:1b:44:11:3a:b7",
        "00-1B-44-11-3A-B7",
        "001b.4411.3ab7",
        "00:1b:44:11:3a:b7:00:01",
    ],
    "password": ["", "anything"],
    "rgbcolor": ["rgb(0,0,0)", "rgb(255, 100, 9)"],
    "ssn": ["123-45-6789", "123456789"],
    "uri": ["https://a.example/x?y=1", "/relative", "mailto:a@b"],
    "uuid": ["123e4567-e89b-12d3-a456-426614174000"],
    "uuid3": ["123e4567-e89b-32d3-a456-426614174000"],
    "uuid4": ["123e4567-e89b-42d3-a456-426614174000"],
    "uuid5": ["123e4567-e89b-52d3-9456-426614174000"],
}
BAD = {
    "bsonobjectid": ["507f1f77", "z07f1f77bcf86cd799439011"],
    "byte": ["a", "a===", "ä"],
    "cidr": ["10.0.0.0", "10.0.0.0/33", "10.0.0.0/255.0.0.0", "x/8"],
    "creditcard": ["4111111111111112", "4", "x"],
    "date": ["2026-02-30", "26-01-01", "2026-1-1", "20260101", ""],
    "date-time": [
        "2026-01-02",
        "2026-01-02T03:04:05",
        "2026-01-02T03:04Z",
        "2026-02-30T03:04:05Z",
        "2026-01-02T25:04:05Z",
        "2026-01-02 03:04:05Z",
        "2026-01-02T03:04:05+0200",
        "2026-01-02T03:04:05Z\n",
    ],
    "duration": ["", "h", "1", "1x", "1h30", "one hour"],
    "email": ["", "a", "a@", "@b", "a b@c"],
    "hexcolor": ["#ff", "#gggggg", ""],
    "hostname": ["", "-a", "a-", "a..b", "x" * 64, "a b", "a" * 260],
    "ipv4": ["10.0.0", "10.0.0.256", "01.2.3.4", "::1"],
    "ipv6": ["10.0.0.1", "fe80::1%eth0", "::g"],
    "isbn": ["1", "9783161484101"],
    "isbn10": ["0306406153", "03064061"],
    "isbn13": ["9783161484101", "978"],
    "mac": ["00:1b:44:11:3a", "00:1b-44:11:3a:b7", "x"],
    "password": [],
    "rgbcolor": ["rgb(256,0,0)", "rgb(0,0)", "0,0,0"],
    "ssn": ["12-45-6789", "x"],
    "uri": ["", "relative", "http://a b", "http://[::1"],
    "uuid": ["123e4567", "g23e4567-e89b-12d3-a456-426614174000"],
    "uuid3": ["123e4567-e89b-42d3-a456-426614174000"],
    "uuid4": [
        "123e4567-e89b-12d3-a456-426614174000",
        "123e4567-e89b-42d3-c456-426614174000",
    ],
    "uuid5": ["123e4567-e89b-42d3-a456-426614174000"],
}


def cases(table):
    return [(name, text) for name, texts in table.items() for text in texts]


@pytest.mark.parametrize(("name", "text"), cases(GOOD))
def test_texts_of_a_format(name, text):
    assert has_format(text, name)


@pytest.mark.parametrize(("name", "text"), cases(BAD))
def test_texts_not_of_a_format(name, text):
    assert not has_format(text, name)


def test_every_format_is_tested():
    assert set(GOOD) == set(BAD) == set(FORMATS) - {"datetime"}


def test_unknown_formats_mean_nothing():
    assert has_format("x", "k8s-made-up")


@given(st.text(max_size=40), st.sampled_from(sorted(FORMATS)))
def test_no_text_breaks_a_format(text, name):
    assert has_format(text, name) in (True, False)


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("^a$", "a", True),
        ("^a$", "a\n", False),
        ("a$", "ba", True),
        (r"^a\z", "a", True),
        (r"^a\z", "a\n", False),
        ("(?m)^a$", "a\nb", True),
        ("^[[:alpha:]]+$", "aZ", True),
        ("^[[:alpha:]]+$", "a1", False),
        ("^[[:digit:][:upper:]]+$", "A1", True),
        ("^[[:digit:][:upper:]]+$", "a1", False),
        ("^[[:space:]]$", "\t", True),
        ("^[[:punct:]]$", "]", True),
        (r"^\d$", "٣", False),
        (r"^\w$", "é", False),
        (r"^\w$", "e", True),
        ("^[]a]$", "]", True),
        ("^[^]a]$", "b", True),
        ("^[^]a]$", "]", False),
        ("^[[a]$", "[", True),
        ("^[a[]+$", "a[", True),
        (r"^[\]]$", "]", True),
        ("^[$]$", "$", True),
        (r"^\$$", "$", True),
        ("(?i)^ab$", "AB", True),
        ("^(?:a|b){2,3}$", "aba", True),
        (r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "a-b", True),
        (r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "a-", False),
        (r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$", "1h30m", True),
        (r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$", "1d", False),
    ],
)
def test_patterns_mean_what_they_mean_in_go(pattern, text, found):
    assert compile_regex(pattern).matches(text) is found


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [
        ("(", "missing closing ): `(`"),
        ("a)", "unexpected ): `a)`"),
        ("[a", "missing closing ]: `[a`"),
        ("[z-a]", "invalid character class range: `z-a`"),
        ("[[:nope:]]", "invalid character class range: `[:nope:]`"),
        ("a**", "invalid nested repetition operator: `**`"),
        ("*", "missing argument to repetition operator: `*`"),
        ("a{1001}", "invalid repeat count: `{1001}`"),
        ("(a{1000}){1000}", "invalid repeat count: `{1000}`"),
        ("(?<=a)b", "invalid or unsupported Perl syntax: `(?<=`"),
        (r"(a)\1", r"invalid escape sequence: `\1`"),
        (r"a\Z", r"invalid escape sequence: `\Z`"),
        (r"a\C", r"invalid escape sequence: `\C`"),
        ("a\\", "trailing backslash at end of expression"),
    ],
)
def test_patterns_that_are_none_say_why_as_go_does(pattern, sentence):
    with pytest.raises(PatternError) as refused:
        compile_regex(pattern)
    assert str(refused.value) == f"error parsing regexp: {sentence}"


def test_a_quoted_or_escaped_byte_class_is_text():
    assert compile_regex(r"^\Q\C\E$").matches(r"\C")
    assert compile_regex(r"^\\C$").matches(r"\C")


@given(st.text(alphabet="ab$[]^\\", max_size=6))
def test_escaped_text_matches_itself(text):
    assert compile_regex(f"^{re.escape(text)}$").matches(text)


def test_nothing_right_after_a_match_is_no_match():
    assert list(compile_regex("a*").find_all("baac")) == ["", "aa", ""]


LONG = 200_000
"""Digits or letters: seconds for a quadratic engine, hours for worse."""


@pytest.mark.timeout(20)
@pytest.mark.parametrize("pattern", ["(a+)+$", "^(a|a)*$", "^(.*a){20}$"])
def test_hostile_patterns_take_linear_time(pattern):
    assert not compile_regex(pattern).matches("a" * LONG + "!")


@pytest.mark.timeout(20)
@pytest.mark.parametrize("tail", ["", "!", "s!"])
def test_long_durations_take_linear_time(tail):
    text = "1" * LONG + tail
    assert not has_format(text, "duration")
    with pytest.raises(CELError, match="invalid duration"):
        parse_duration(text)


@pytest.mark.timeout(20)
def test_long_quantities_take_linear_time():
    with pytest.raises(CELError):
        parse_quantity("1" * LONG + "!")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1, "1"),
        (-7, "-7"),
        (1.0, "1"),
        (0.1, "0.1"),
        (999999.0, "999999"),
        (1000000.0, "1e+06"),
        (1234567.5, "1.2345675e+06"),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
        (-2.5, "-2.5"),
        (1e21, "1e+21"),
        (1.5e300, "1.5e+300"),
        (10**25, "1" + "0" * 25),
        (0.0, "0"),
    ],
)
def test_numbers_as_go_prints_them(value, shown):
    assert go_number(value) == shown


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_printed_floats_read_back(value):
    assert float(go_number(value)) == value


def test_floats_that_json_cannot_hold_do_not_break_it():
    assert go_number(math.inf) == "inf"
    assert go_number(math.nan) == "nan"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (True, "true"),
        (False, "false"),
        ("a", '"a"'),
        ('a"b\\', '"a\\"b\\\\"'),
        ("é", '"é"'),
        (None, "null"),
        ({"b": 1, "a": [True]}, '{"a":[true],"b":1}'),
    ],
)
def test_values_as_the_server_shows_them(value, shown):
    assert go_value(value) == shown


def test_sentences():
    assert too_long("a", 5).message() == (
        "a: Too long: may not be more than 5 bytes"
    )
    assert too_many("a", 3, 1).message() == (
        "a: Too many: 3: must have at most 1 item"
    )
    assert not_supported("a", 1, []).message() == "a: Unsupported value: 1"
    assert not_supported("a", None, [None, 2, "x"]).message() == (
        'a: Unsupported value: null: supported values: "null", "2", "x"'
    )
    assert FieldError("a", "FieldValueForbidden", "no").body() == (
        "Forbidden: no"
    )
    assert FieldError("a", "FieldValueDuplicate", "", "x").message() == (
        'a: Duplicate value: "x"'
    )
