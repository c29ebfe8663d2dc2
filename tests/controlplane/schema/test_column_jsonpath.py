"""JSONPath of printer columns and selectable fields."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.controlplane.schema.jsonpath import JSONPathError, jsonpath

OBJECT = {
    "metadata": {
        "name": "a",
        "labels": {"app.kubernetes.io/name": "web", "x y": "z"},
    },
    "spec": {
        "replicas": 3,
        "ports": [
            {"name": "http", "port": 80},
            {"name": "https", "port": 443},
            {"port": 8080},
        ],
        "nested": [[1, 2], [3]],
        "on": True,
        "ratio": 0.5,
        "nothing": None,
    },
    "status": {
        "conditions": [
            {"type": "Ready", "status": "True", "reason": "Up"},
            {"type": "Stalled", "status": "False"},
        ]
    },
}


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        (".metadata.name", ["a"]),
        ("{.metadata.name}", ["a"]),
        ("$.metadata.name", ["a"]),
        ("{ .metadata.name }", ["a"]),
        ("metadata.name", ["a"]),
        (".metadata['name']", ["a"]),
        ('.metadata["name"]', ["a"]),
        (r".metadata.labels.app\.kubernetes\.io/name", ["web"]),
        (".metadata.labels['app.kubernetes.io/name']", ["web"]),
        (".metadata.labels['x y']", ["z"]),
        (".spec.replicas", [3]),
        (".spec.on", [True]),
        (".spec.nothing", [None]),
        (".spec.missing", []),
        (".spec.missing.deeper", []),
        (".spec.replicas.deeper", []),
        (".spec.ports[0].port", [80]),
        (".spec.ports[-1].port", [8080]),
        (".spec.ports[9].port", []),
        (".spec.ports[-9].port", []),
        (".spec.ports[*].port", [80, 443, 8080]),
        (".spec.ports[*].name", ["http", "https"]),
        (".spec.ports[0:2].port", [80, 443]),
        (".spec.ports[1:].port", [443, 8080]),
        (".spec.ports[:1].port", [80]),
        (".spec.ports[-1:].port", [8080]),
        (".spec.nested[*][*]", [1, 2, 3]),
        (".spec.nested[0][1]", [2]),
        ("..port", [80, 443, 8080]),
        ("..type", ["Ready", "Stalled"]),
        (".metadata.labels.*", ["web", "z"]),
        ('.status.conditions[?(@.type=="Ready")].status', ["True"]),
        (".status.conditions[?(@.type=='Ready')].status", ["True"]),
        ('.status.conditions[?(@.type == "Ready")].reason', ["Up"]),
        ('.status.conditions[?(@.type!="Ready")].type', ["Stalled"]),
        ('.status.conditions[?(@.type=="Gone")].status', []),
        (".status.conditions[?(@.reason)].type", ["Ready"]),
        (".spec.ports[?(@.port>80)].port", [443, 8080]),
        (".spec.ports[?(@.port>=443)].port", [443, 8080]),
        (".spec.ports[?(@.port<443)].port", [80]),
        (".spec.ports[?(@.port<=80)].name", ["http"]),
        (".spec.ports[?(@.port==80)].name", ["http"]),
        ('.spec.ports[?(@.port=="80")].name', []),
        (".spec.nested[0][?(@>1)]", [2]),
        (".", [OBJECT]),
        ("{}", [OBJECT]),
    ],
)
def test_paths(path, wanted):
    assert jsonpath(path)(OBJECT) == wanted


@pytest.mark.parametrize(
    "path",
    [
        ".a[",
        ".a[x]",
        ".a[?(@.b=)]",
        ".a[?(b==1)]",
        ".a[?(@.b==c d)]",
        ".a[?(@.b==word)]",
        ".a]",
        "..",
        ".a..",
        "[?(@.a==1)",
    ],
)
def test_paths_that_are_none(path):
    with pytest.raises(JSONPathError):
        jsonpath(path)


@pytest.mark.parametrize("value", [None, 5, "text", [], {}, True])
def test_a_path_finds_nothing_where_nothing_is(value):
    assert jsonpath(".a.b[0]['c']")(value) == []
    assert jsonpath('.a[?(@.b=="c")].d')(value) == []
    assert jsonpath("..a")(value) == []


def test_the_object_is_not_changed():
    before = repr(OBJECT)
    jsonpath("..port")(OBJECT)
    assert repr(OBJECT) == before


NAMES = st.text(
    st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=6
)


@given(st.lists(NAMES, min_size=1, max_size=4), st.integers())
def test_quoted_paths_reach_every_field(names, value):
    obj = value
    for name in reversed(names):
        obj = {name: obj}
    quoted = "".join(
        "['" + n.replace("\\", "\\\\").replace("'", "\\'") + "']"
        for n in names
    )
    assert jsonpath(quoted)(obj) == [value]


@given(st.text(max_size=20))
def test_no_text_breaks_the_reader(text):
    try:
        find = jsonpath(text)
    except JSONPathError:
        return
    assert isinstance(find(OBJECT), list)
