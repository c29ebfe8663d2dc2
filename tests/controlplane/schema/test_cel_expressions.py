"""CEL: values, operators, functions and macros."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.controlplane.schema.cel.compiler import CompileError
from reconciler.controlplane.schema.cel.program import compile_program
from reconciler.controlplane.schema.cel.values import (
    CELError,
    escape,
    to_cel,
    unescape,
)
from reconciler.controlplane.schema.node import read_node


def evaluate(text, **variables):
    scope = dict.fromkeys(variables)
    return compile_program(text, scope).evaluate(variables)


def error(text, **variables):
    with pytest.raises(CELError) as caught:
        evaluate(text, **variables)
    return str(caught.value)


TRUE = """
1 + 2 == 3
7 / 2 == 3
-7 / 2 == -3
-7 % 2 == -1
7 % -2 == 1
2 * 3 - 1 == 5
1.5 + 1.5 == 3.0
1 == 1.0
1 < 1.5
2.0 >= 2
1u + 2u == 3u
5u > 3
-9223372036854775808 < 0
0x10 == 16
1e3 == 1000.0
'a' + 'b' == "ab"
'a' < 'b'
b'ab' == b'a' + b'b'
true != false
!(1 == 2)
1 != '1'
null == null
1 != null
[1, 2] == [1, 2]
[1, 2] != [2, 1]
[1] + [2] == [1, 2]
{'a': 1, 'b': 2} == {'b': 2, 'a': 1}
{'a': 1} != {'a': 2}
2 in [1, 2]
!('x' in ['a'])
'a' in {'a': 1}
[1, 2][1] == 2
{'a': 1}['a'] == 1
{'a': {'b': 3}}.a.b == 3
has({'a': 1}.a)
!has({'a': 1}.b)
true || false
!(true && false)
true ? true : false
(1 > 2 ? 'a' : 'b') == 'b'
r'\\d' == '\\\\d'
'\\x41' == 'A'
'\\u00e9' == 'é'
'\\101' == 'A'
'\\n' != 'n'
'''a''' == 'a'
size('abc') == 3
'é'.size() == 1
size([1, 2]) == 2
size({'a': 1}) == 1
[1, 2, 3].size() == 3
'abc'.contains('b')
'abc'.startsWith('ab')
'abc'.endsWith('bc')
'abc'.matches('^a.c$')
'abc'.matches('b')
!'abc'.matches('^b')
'abc'.charAt(1) == 'b'
'abc'.charAt(3) == ''
'abcb'.indexOf('b') == 1
'abcb'.indexOf('b', 2) == 3
'abcb'.lastIndexOf('b') == 3
'abc'.indexOf('x') == -1
'ABC'.lowerAscii() == 'abc'
'aé'.upperAscii() == 'Aé'
'abab'.replace('a', 'c') == 'cbcb'
'abab'.replace('a', 'c', 1) == 'cbab'
'a,b,c'.split(',') == ['a', 'b', 'c']
'a,b,c'.split(',', 2) == ['a', 'b,c']
'a,b,c'.split(',', 0) == []
'abc'.split('') == ['a', 'b', 'c']
['a', 'b'].join('-') == 'a-b'
['a', 'b'].join() == 'ab'
'abcd'.substring(2) == 'cd'
'abcd'.substring(1, 3) == 'bc'
' a '.trim() == 'a'
'abc'.reverse() == 'cba'
'abc123'.find('[0-9]+') == '123'
'abc'.find('[0-9]+') == ''
'1a22'.findAll('[0-9]+') == ['1', '22']
'1a22'.findAll('[0-9]+', 1) == ['1']
'%s is %d'.format(['a', 3]) == 'a is 3'
'%.2f'.format([1.234]) == '1.23'
'%x %X %o %b'.format([255, 255, 8, 5]) == 'ff FF 10 101'
'100%%'.format([]) == '100%'
'%s'.format([[1, 'a', true]]) == '[1, a, true]'
'%s'.format([{'a': 1}]) == '{a: 1}'
int('3') == 3
int(3.9) == 3
double('1.5') == 1.5
double(2) == 2.0
string(3) == '3'
string(true) == 'true'
string(1.5) == '1.5'
bool('true')
!bool('false')
uint(3) == 3u
bytes('a') == b'a'
string(b'a') == 'a'
type(1) == int
type('a') == string
type([]) == list
type({}) == map
type(1.0) == double
type(true) == bool
type(null) == null_type
dyn(1) == 1
duration('1h') == duration('60m')
duration('90s').getMinutes() == 1
duration('1h30m').getHours() == 1
duration('1.5s').getMilliseconds() == 1500
duration('1h') > duration('59m')
duration('1h') + duration('1h') == duration('2h')
duration('-1h') < duration('0')
timestamp('2026-01-02T03:04:05Z').getFullYear() == 2026
timestamp('2026-01-02T03:04:05Z').getMonth() == 0
timestamp('2026-01-02T03:04:05Z').getDate() == 2
timestamp('2026-01-02T03:04:05Z').getDayOfMonth() == 1
timestamp('2026-01-02T03:04:05Z').getDayOfWeek() == 5
timestamp('2026-01-02T03:04:05Z').getDayOfYear() == 1
timestamp('2026-01-02T03:04:05Z').getHours() == 3
timestamp('2026-01-02T03:04:05Z').getHours('Europe/Berlin') == 4
timestamp('2026-01-02T03:04:05Z').getMinutes() == 4
timestamp('2026-01-02T03:04:05Z').getSeconds() == 5
timestamp('2026-01-02T03:04:05.006Z').getMilliseconds() == 6
timestamp('2026-01-02T03:04:05+01:00') < timestamp('2026-01-02T03:04:05Z')
timestamp('2026-01-02T01:00:00Z') - duration('1h') == \
timestamp('2026-01-02T00:00:00Z')
timestamp('2026-01-02T01:00:00Z') - timestamp('2026-01-02T00:00:00Z') == \
duration('1h')
duration('1h') + timestamp('2026-01-02T00:00:00Z') == \
timestamp('2026-01-02T01:00:00Z')
string(timestamp('2026-01-02T03:04:05Z')) == '2026-01-02T03:04:05Z'
int(timestamp('1970-01-01T00:00:10Z')) == 10
string(duration('90s')) == '90s'
[1, 2, 3].all(x, x > 0)
![1, -2].all(x, x > 0)
[].all(x, false)
[1, 2].exists(x, x == 2)
![].exists(x, true)
[1, 2, 3].exists_one(x, x > 2)
![1, 2, 3].exists_one(x, x > 1)
[1, 2, 3].filter(x, x > 1) == [2, 3]
[1, 2].map(x, x * 2) == [2, 4]
[1, 2, 3].map(x, x > 1, x * 2) == [4, 6]
{'a': 1, 'b': 2}.all(k, k in ['a', 'b'])
{'a': 1}.exists(k, k == 'a')
[[1], [2, 3]].map(x, x.size()) == [1, 2]
[1, 2].all(x, [3, 4].all(y, x < y))
[1, 2].isSorted()
![2, 1].isSorted()
[1, 2, 3].sum() == 6
[].sum() == 0
[3, 1, 2].min() == 1
[3, 1, 2].max() == 3
['b', 'a'].min() == 'a'
[1, 2, 1].indexOf(1) == 0
[1, 2, 1].lastIndexOf(1) == 2
[1].indexOf(5) == -1
sets.contains([1, 2, 3], [2])
!sets.contains([1], [2])
sets.equivalent([1, 2], [2, 1, 1])
sets.intersects([1, 2], [2, 3])
!sets.intersects([1], [2])
cel.bind(x, 2, x * x) == 4
optional.of(1).hasValue()
!optional.none().hasValue()
optional.of(1).value() == 1
optional.none().orValue(7) == 7
optional.of(1).orValue(7) == 1
optional.none().or(optional.of(2)).value() == 2
optional.of(3).optMap(x, x + 1).value() == 4
!optional.none().optMap(x, x + 1).hasValue()
optional.of(3).optFlatMap(x, optional.none()) == optional.none()
!optional.ofNonZeroValue(0).hasValue()
optional.of({'a': 1}).a.value() == 1
quantity('1Ki') == quantity('1024')
quantity('1500m') == quantity('1.5')
quantity('2e3') == quantity('2k')
quantity('1Gi').isGreaterThan(quantity('1G'))
quantity('1').isLessThan(quantity('2'))
quantity('1').compareTo(quantity('2')) == -1
quantity('5').asInteger() == 5
!quantity('0.5').isInteger()
quantity('100m').asApproximateFloat() == 0.1
quantity('1').add(quantity('500m')) == quantity('1.5')
quantity('1').sub(2) == quantity('-1')
quantity('-1').sign() == -1
isQuantity('100Mi')
!isQuantity('100 MB')
isURL('https://a.example/x')
!isURL('a b')
url('https://u:p@a.example:8080/x%20y?a=1&a=2').getHost() == 'a.example:8080'
url('https://a.example:8080/').getHostname() == 'a.example'
url('https://a.example:8080/').getPort() == '8080'
url('https://a.example/').getPort() == ''
url('https://a.example/x%20y').getEscapedPath() == '/x%20y'
url('https://a.example/?a=1&a=2').getQuery()['a'] == ['1', '2']
url('https://a.example').getScheme() == 'https'
isIP('10.0.0.1')
isIP('::1')
!isIP('10.0.0')
ip('::1').family() == 6
ip('127.0.0.1').isLoopback()
ip('0.0.0.0').isUnspecified()
ip('169.254.1.1').isLinkLocalUnicast()
ip('10.0.0.1').isGlobalUnicast()
!ip('255.255.255.255').isGlobalUnicast()
ip.isCanonical('::1')
!ip.isCanonical('0::1')
isCIDR('10.0.0.0/8')
!isCIDR('10.0.0.0')
cidr('10.0.0.0/8').containsIP('10.1.2.3')
!cidr('10.0.0.0/8').containsIP(ip('11.0.0.1'))
cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16')
!cidr('10.0.0.0/16').containsCIDR(cidr('10.0.0.0/8'))
cidr('10.1.2.3/8').prefixLength() == 8
cidr('10.1.2.3/8').masked() == cidr('10.0.0.0/8')
cidr('10.1.2.3/8').ip() == ip('10.1.2.3')
""".replace("\\\n", "").strip()


@pytest.mark.parametrize("text", TRUE.splitlines())
def test_true(text):
    assert evaluate(text) is True


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1 / 0", "division by zero"),
        ("1 % 0", "modulus by zero"),
        ("9223372036854775807 + 1", "integer overflow"),
        ("-(-9223372036854775807 - 1)", "integer overflow"),
        ("1u - 2u", "unsigned integer overflow"),
        ("9223372036854775807 * 2", "integer overflow"),
        ("[1][1]", "index out of bounds: 1"),
        ("[1][-1]", "index out of bounds: -1"),
        ("{'a': 1}['b']", "no such key: b"),
        ("{'a': 1}.b", "no such key: b"),
        ("1 + 'a'", "no such overload"),
        ("1 + 1.0", "no such overload"),
        ("1 < 'a'", "no such overload"),
        ("-'a'", "no such overload"),
        ("!1", "no such overload"),
        ("1 ? 2 : 3", "no such overload"),
        ("1 && true", "no such overload"),
        ("'a'.size(1)", "no such overload"),
        ("size(1)", "no such overload"),
        ("[1].all(x, x)", "no such overload"),
        ("(1).exists(x, true)", "no such overload"),
        ("duration('x')", "invalid duration 'x'"),
        ("timestamp('x')", "invalid timestamp 'x'"),
        ("int('x')", "type conversion error: 'x'"),
        ("'a'.charAt(5)", "index out of range: 5"),
        ("'a'.substring(2)", "index out of range: 2"),
        ("[].min()", "min called on empty list"),
        ("optional.none().value()", "optional.none() dereference"),
        ("'%d'.format([])", "not enough arguments to format"),
        ("quantity('x').sign()", "quantities must match"),
        ("quantity('0.5').asInteger()", "cannot convert value to integer"),
        ("url('a b')", "URL parse error during conversion from string: a b"),
        ("ip('x').family() == 4", "IP Address 'x' parse error"),
        ("cidr('x').prefixLength()", "network address parse error"),
        ("'a'.matches('(')", "error parsing regexp"),
    ],
)
def test_errors(text, wanted):
    assert error(text).startswith(wanted)


@pytest.mark.parametrize(
    "text",
    [
        "true || 1 / 0 == 1",
        "1 / 0 == 1 || true",
        "!(false && 1 / 0 == 1)",
        "!(1 / 0 == 1 && false)",
        "[0, 1].exists(x, 1 / x == 1)",
        "![0, 1].all(x, 1 / x == 5)",
    ],
)
def test_an_error_that_does_not_decide_does_not_matter(text):
    assert evaluate(text) is True


@pytest.mark.parametrize(
    "text",
    [
        "false || 1 / 0 == 1",
        "true && 1 / 0 == 1",
        "1 / 0 == 1 || false",
        "[0, 1].all(x, 1 / x == 1)",
        "[0, 1].exists(x, 1 / x == 5)",
        "[0, 1].exists_one(x, 1 / x == 1)",
        "[0].map(x, 1 / x) == []",
        "has({'a': 1}.b.c)",
    ],
)
def test_an_error_that_decides_is_raised(text):
    assert error(text) != ""


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a", "undeclared reference to 'a' (in container '')"),
        ("nope(1)", "undeclared reference to 'nope' (in container '')"),
        ("'a'.nope()", "undeclared reference to 'nope' (in container '')"),
        ("has(1)", "invalid argument to has() macro"),
        ("has(x.a, x.b)", "invalid argument to has() macro"),
        ("[1].all(x.y, true)", "argument must be a simple name"),
        ("9223372036854775808", "invalid int literal: 9223372036854775808"),
        ("'\\q'", "invalid escape sequence: \\q"),
        ("cel.bind(x, 1)", "cel.bind() takes a name, a value and a body"),
    ],
)
def test_what_does_not_compile(text, wanted):
    with pytest.raises(CompileError) as caught:
        compile_program(text, {"x": None})
    assert str(caught.value) == wanted


def test_macro_variables_hide_and_return():
    text = "[1, 2].all(x, x < 3) && x == 'outer'"
    assert evaluate(text, x="outer") is True


def test_programs_know_the_variables_they_use():
    program = compile_program("self.a == 1", {"self": None, "oldSelf": None})
    assert program.used == {"self"}
    program = compile_program("[1].all(self, true)", {"self": None})
    assert program.used == set()


@pytest.mark.parametrize("text", ["1 +", "", "1 2", "'a", "[1", "a..b", "@"])
def test_syntax_errors_have_a_place(text):
    with pytest.raises(CompileError, match=r"ERROR: <input>:1:\d+: Syntax"):
        compile_program(text, {"a": None})


def test_deep_expressions_are_refused_not_fatal():
    with pytest.raises(CompileError, match="recursion limit exceeded"):
        compile_program("[" * 3000 + "1" + "]" * 3000, {})
    assert evaluate("(" * 500 + "1" + ")" * 500) == 1


# Values of a schema.


def value_of(schema, value):
    return to_cel(value, read_node(schema))


def about(schema, value, text):
    node = read_node(schema)
    program = compile_program(text, {"self": node})
    return program.evaluate({"self": to_cel(value, node)})


SET = {
    "type": "array",
    "items": {"type": "string"},
    "x-kubernetes-list-type": "set",
}
MAP = {
    "type": "array",
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["k"],
    "items": {
        "type": "object",
        "properties": {"k": {"type": "string"}, "v": {"type": "integer"}},
    },
}


@pytest.mark.parametrize(
    ("schema", "value", "text"),
    [
        ({"type": "number"}, 3, "self == 3.0 && type(self) == double"),
        ({"type": "integer"}, 3.0, "self == 3 && type(self) == int"),
        (
            {"type": "string", "format": "date-time"},
            "2026-01-02T03:04:05Z",
            "self < timestamp('2027-01-01T00:00:00Z')",
        ),
        (
            {"type": "string", "format": "date"},
            "2026-01-02",
            "self.getFullYear() == 2026",
        ),
        (
            {"type": "string", "format": "duration"},
            "90m",
            "self > duration('1h')",
        ),
        ({"type": "string", "format": "byte"}, "aGk=", "self == b'hi'"),
        (SET, ["a", "b"], "self == ['b', 'a'] && self + ['a'] == self"),
        (
            MAP,
            [{"k": "a", "v": 1}, {"k": "b", "v": 2}],
            "self == [{'k': 'b', 'v': 2}, {'k': 'a', 'v': 1}]",
        ),
        (
            MAP,
            [{"k": "a", "v": 1}],
            "(self + [{'k': 'a', 'v': 5}])[0].v == 5",
        ),
        (
            {"x-kubernetes-int-or-string": True},
            "50%",
            "type(self) == string ? self == '50%' : self == 50",
        ),
        (
            {"type": "object", "additionalProperties": {"type": "integer"}},
            {"a-b": 1},
            "self['a-b'] == 1 && self.all(k, self[k] == 1)",
        ),
        (
            {
                "type": "object",
                "properties": {
                    "a-b": {"type": "integer"},
                    "a.b": {"type": "integer"},
                    "a/b": {"type": "integer"},
                    "a__b": {"type": "integer"},
                    "namespace": {"type": "integer"},
                },
            },
            {"a-b": 1, "a.b": 2, "a/b": 3, "a__b": 4, "namespace": 5},
            (
                "self.a__dash__b == 1 && self.a__dot__b == 2 && "
                "self.a__slash__b == 3 && self.a__underscores__b == 4 && "
                "self.__namespace__ == 5"
            ),
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_values_of_a_schema(schema, value, text):
    assert about(schema, value, text) is True


def test_undeclared_fields_are_not_seen():
    value = value_of({"type": "object", "properties": {}}, {"a": 1})
    assert value == {}


def test_a_duration_that_is_too_long_stays_text():
    schema = {"type": "string", "format": "duration"}
    long = "9" * 400 + "h"
    assert about(schema, long, f"self == '{long}'") is True


def test_a_text_that_has_not_its_format_stays_text():
    schema = {"type": "string", "format": "date-time"}
    assert value_of(schema, "soon") == "soon"


def test_fields_are_checked_when_compiled():
    node = read_node({"type": "object", "properties": {"a": SET}})
    with pytest.raises(CompileError, match="undefined field 'b'"):
        compile_program("self.b", {"self": node})
    with pytest.raises(CompileError, match="undefined field 'b'"):
        compile_program("has(self.b)", {"self": node})
    compile_program("self.a.all(x, x.size() > 0)", {"self": node})


NAMES = st.text(st.sampled_from("ab_-./1x"), min_size=1, max_size=8)


@given(NAMES)
def test_escaped_names_read_back(name):
    escaped = escape(name)
    if escaped is not None:
        assert unescape(escaped) == name


@given(st.lists(st.integers(-100, 100), min_size=1), st.integers(-100, 100))
def test_macros_agree_with_python(items, limit):
    text = (
        "[s.all(x, x < n), s.exists(x, x == n), s.filter(x, x > n).size(), "
        "s.sum(), s.min(), s.max()]"
    )
    assert evaluate(text, s=items, n=limit) == [
        all(x < limit for x in items),
        limit in items,
        sum(x > limit for x in items),
        sum(items),
        min(items),
        max(items),
    ]


@given(st.integers(-50, 50), st.integers(-50, 50).filter(bool))
def test_division_rounds_towards_zero(left, right):
    assert evaluate("a / b * b + a % b == a", a=left, b=right) is True
    assert abs(evaluate("a % b", a=left, b=right)) < abs(right)


@given(st.text(max_size=30))
def test_no_text_breaks_the_compiler(text):
    said = "compiled"
    try:
        compile_program(text, {"self": None})
    except CompileError as problem:
        said = str(problem)
    assert said
