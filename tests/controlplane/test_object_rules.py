"""Names, metadata, selectors, tokens, ages: pure rules."""

import contextlib
import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.controlplane import media, route
from reconciler.controlplane.errors import ApiError
from reconciler.controlplane.kinds.registry import version_rank
from reconciler.controlplane.objects import age, metadata, names, paging
from reconciler.controlplane.objects.labels import parse_labels
from reconciler.controlplane.objects.selection import Selector, parse_fields

LABELS = st.dictionaries(
    st.sampled_from(["a", "b", "example.dev/c"]),
    st.sampled_from(["x", "y", ""]),
)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-5, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (185, "3m5s"),
        (600, "10m"),
        (10799, "179m"),
        (10800, "3h"),
        (11100, "3h5m"),
        (8 * 3600, "8h"),
        (47 * 3600, "47h"),
        (48 * 3600, "2d"),
        (50 * 3600, "2d2h"),
        (8 * 86400, "8d"),
        (729 * 86400, "729d"),
        (730 * 86400, "2y"),
        (800 * 86400, "2y70d"),
        (9 * 365 * 86400, "9y"),
    ],
)
def test_ages_as_kubectl_shows_them(seconds, shown):
    assert age.human(seconds) == shown


def test_ages_of_timestamps():
    now = dt.datetime(2026, 1, 1, 0, 1, tzinfo=dt.UTC)
    assert age.since("2026-01-01T00:00:00Z", now) == "60s"
    assert age.since("2026-01-01T00:00:00.123456789Z", now) == "59s"
    assert age.since("yesterday", now) == "<invalid>"
    assert age.since(None, now) == "<unknown>"


@pytest.mark.parametrize(
    ("text", "labels", "matches"),
    [
        ("a=x", {"a": "x"}, True),
        ("a==x", {"a": "y"}, False),
        ("a!=x", {}, True),
        ("a!=x", {"a": "x"}, False),
        ("a in (x, y)", {"a": "y"}, True),
        ("a in (x,y)", {}, False),
        ("a notin (x)", {}, True),
        ("a", {"a": ""}, True),
        ("!a", {"a": ""}, False),
        ("a=", {"a": ""}, True),
        ("a=x,b in (y),!c", {"a": "x", "b": "y"}, True),
        ("example.dev/c=x", {"example.dev/c": "x"}, True),
        (" a = x , ! c ", {"a": "x"}, True),
        ("a in (,x)", {"a": ""}, True),
        ("a=in", {"a": "in"}, True),
        ("in in (in)", {"in": "in"}, True),
        ("a>3", {"a": "4"}, True),
        ("a>3", {"a": "3"}, False),
        ("a<3,a>1", {"a": "2"}, True),
        ("a<3", {"a": "x"}, False),
        ("a<3", {}, False),
        ("", {"a": "x"}, True),
    ],
)
def test_label_selectors(text, labels, matches):
    selector = Selector(parse_labels(text))
    assert selector.matches({"metadata": {"labels": labels}}) is matches


@given(LABELS, st.sampled_from(["a", "b"]), st.sampled_from(["x", "y"]))
def test_opposite_selectors_split_the_world(labels, key, value):
    obj = {"metadata": {"labels": labels}}
    for one, other in (
        (f"{key}={value}", f"{key}!={value}"),
        (f"{key} in ({value})", f"{key} notin ({value})"),
        (key, f"!{key}"),
    ):
        first = Selector(parse_labels(one)).matches(obj)
        assert first is not Selector(parse_labels(other)).matches(obj)


PARSE = "unable to parse requirement: "


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("=x", "found '=', expected: !, identifier, or 'end of string'"),
        ("a=b=c", "found '=', expected: ',' or 'end of string'"),
        ("!a=b", "found '=', expected: ',' or 'end of string'"),
        ("a,", "found '', expected: identifier after ','"),
        ("a=(b", PARSE + "found '(', expected: identifier"),
        ("!!a", PARSE + "found '!', expected: identifier"),
        ("a(", PARSE + "found '(', expected: in, notin, =, ==, !=, gt, lt"),
        ("a b", PARSE + "found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("a in x", PARSE + "found 'x', expected: '('"),
        ("a in (=)", PARSE + "found '=', expected: ',', ')' or identifier"),
        ("a in (x", PARSE + "found '', expected: ',' or ')'"),
        (
            "a in ()",
            PARSE + "values: Invalid value: []: for 'in', 'notin' operators, "
            "values set can't be empty",
        ),
        (
            "a>x",
            PARSE + "values[0]: Invalid value: \"x\": for 'Gt', 'Lt' "
            "operators, the value must be an integer",
        ),
        ("ä=b", PARSE + '<nil>: Invalid value: "ä": name part must consist'),
        ("a=ä", PARSE + 'values[0][a]: Invalid value: "ä": a valid label'),
        (f"a={'x' * 64}", PARSE + "values[0][a]: Invalid value: "),
    ],
)
def test_malformed_label_selectors(text, sentence):
    with pytest.raises(ApiError) as refused:
        parse_labels(text)
    assert refused.value.code == 400
    assert refused.value.message.startswith(sentence)


def test_field_selectors():
    obj = {"metadata": {"name": "a"}, "spec": {"on": True, "n": 3}}
    allowed = ("metadata.name", "spec.on", "spec.n", "spec.none")
    for text, matches in (
        ("metadata.name=a", True),
        ("metadata.name!=a", False),
        ("spec.on==true,spec.n=3", True),
        ("spec.none=", True),
        ("spec.n=4", False),
    ):
        selector = Selector((), parse_fields(text, allowed))
        assert selector.matches(obj) is matches, text
    for text in ("spec.other=1", "metadata.name"):
        with pytest.raises(ApiError):
            parse_fields(text, allowed)
    (term,) = parse_fields("alias=a\\,b\\=c", (), [("alias", "spec.n")])
    assert (term.path, term.value) == ("spec.n", "a,b=c")


@given(st.integers(1, 2**60), st.text("abc-.", max_size=9), st.text("ab"))
def test_continue_tokens_survive_the_trip(revision, namespace, name):
    token = paging.Token(revision, namespace, name)
    assert paging.decode(token.encode()) == token


@given(st.text(max_size=40))
def test_foreign_tokens_are_refused(text):
    token = None
    with contextlib.suppress(ApiError):
        token = paging.decode(text)
    assert token is None or token.revision > 0


def test_version_order():
    given_ = ["v1alpha1", "v1", "v2", "v1beta2", "v10", "v1beta10", "odd"]
    assert sorted(given_, key=version_rank) == [
        "v10",
        "v2",
        "v1",
        "v1beta10",
        "v1beta2",
        "v1alpha1",
        "odd",
    ]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/v1/pods", ("", "v1", None, "pods", "", "")),
        ("/api/v1/namespaces", ("", "v1", None, "namespaces", "", "")),
        ("/api/v1/namespaces/x", ("", "v1", None, "namespaces", "x", "")),
        (
            "/api/v1/namespaces/x/status",
            ("", "v1", None, "namespaces", "x", "status"),
        ),
        (
            "/apis/g/v1/namespaces/x/things/n/status",
            ("g", "v1", "x", "things", "n", "status"),
        ),
        ("/apis/g/v1/things/n", ("g", "v1", None, "things", "n", "")),
    ],
)
def test_routes(path, expected):
    assert route.parse(path) == route.Route(*expected)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/api",
        "/api/v1",
        "/apis/g",
        "/apis/g/v1",
        "/api/v1//pods",
        "/api/v1/namespaces/x/pods/n/log/more",
        "/healthz",
    ],
)
def test_paths_that_are_no_resources(path):
    assert route.parse(path) is None


@given(st.text(max_size=30))
def test_any_path_is_taken_apart_or_refused(path):
    found = route.parse("/api/v1/" + path)
    assert found is None or found.resource


def test_generated_names_are_valid():
    for prefix in ("a-", "x" * 80):
        name = names.generate(prefix)
        assert not names.name_faults(name, label=True)


def _normalised(fields):
    obj = {"metadata": fields}
    return metadata.normalise(obj), obj["metadata"]


def test_metadata_is_brought_into_shape():
    unknown, shaped = _normalised(
        {
            "name": "a",
            "labels": None,
            "annotations": {},
            "creationTimestamp": None,
            "selfLink": "/x",
            "colour": "red",
        }
    )
    assert unknown == ["metadata.colour"]
    assert shaped == {"name": "a"}


def test_nulls_in_lists_and_maps_are_empty():
    _, shaped = _normalised(
        {"labels": {"a": None}, "finalizers": [None, "x.dev/y"]}
    )
    assert shaped == {"labels": {"a": ""}, "finalizers": ["", "x.dev/y"]}


def _faults(**fields):
    obj = {"metadata": {"name": "a", "namespace": "d", **fields}}
    return {fault.field for fault in metadata.check(obj, namespaced=True)}


def test_metadata_rules():
    assert _faults() == set()
    assert _faults(name="") == {"metadata.name"}
    assert _faults(namespace="") == {"metadata.namespace"}
    assert _faults(labels={"bad key": "x"}) == {"metadata.labels"}
    assert _faults(labels={"a": "bad value"}) == {"metadata.labels"}
    assert _faults(labels={"a": "x" * 64}) == {"metadata.labels"}
    assert _faults(finalizers=["not/a/name"]) == {"metadata.finalizers"}
    assert _faults(annotations={"a": "x" * 300_000}) == {
        "metadata.annotations"
    }
    assert _faults(ownerReferences=[{"kind": "X"}]) == {
        f"metadata.ownerReferences[0].{field}"
        for field in ("apiVersion", "name", "uid")
    }
    owner = {"apiVersion": "v1", "kind": "X", "name": "x", "controller": True}
    assert _faults(
        ownerReferences=[owner | {"uid": "1"}, owner | {"uid": "2"}]
    ) == {"metadata.ownerReferences"}


def test_what_no_client_may_change():
    old = {"metadata": {"name": "a", "uid": "u", "creationTimestamp": "t"}}
    new = {"metadata": {"name": "a", "uid": "x", "deletionTimestamp": "now"}}
    metadata.carry_over(new, old)
    assert new == old


def test_accept_headers():
    table = {("Table", "v1")}
    kubectl = (
        "application/json;as=Table;v=v1;g=meta.k8s.io,"
        "application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"
    )
    assert media.negotiate(kubectl, table).transform == "Table"
    assert media.negotiate(kubectl).transform == ""
    for header in ("", "*/*", "application/vnd.x,application/json"):
        assert media.negotiate(header).type == "application/json"
    assert media.negotiate("application/json;q=bad").type == media.JSON
    with pytest.raises(ApiError) as refused:
        media.negotiate("text/html")
    assert refused.value.code == 406


def test_duplicate_fields_are_found_at_any_depth():
    assert media.duplicates(b'{"a": {"b": 1, "b": 2}, "a": 1}') == ["b", "a"]
    assert media.duplicates(b'{"a": 1}') == []
