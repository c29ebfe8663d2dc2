"""Kinds: columns, Event forms, definitions and their names. Pure."""

import copy

import pytest
from controlplane_support import widget, widget_crd
from hypothesis import given
from hypothesis import strategies as st

from reconciler.controlplane.kinds import columns, definitions, event_forms
from reconciler.controlplane.kinds.builtin import builtin_registry
from reconciler.controlplane.kinds.definition_rules import check
from reconciler.controlplane.kinds.model import ResourceKind
from reconciler.controlplane.objects import form
from reconciler.controlplane.objects.strategy import drop_nulls, unchanged
from reconciler.controlplane.objects.table import table
from reconciler.controlplane.storage.record import Key, Stored

CREATED = {"creationTimestamp": "2020-01-01T00:00:00Z"}


def _cells(definitions_, obj):
    made = columns.custom_columns(definitions_)
    return [column.read(obj) for column in made]


def _column(path, kind="string"):
    return {"name": "C", "type": kind, "jsonPath": path}


@pytest.mark.parametrize(
    ("kind", "value", "cell"),
    [
        ("string", "text", "text"),
        ("string", 3, "3"),
        ("string", True, "true"),
        ("string", {"a": [1]}, '{"a":[1]}'),
        ("integer", 3, 3),
        ("integer", 3.7, 3),
        ("integer", "3", None),
        ("integer", True, None),
        ("number", 1.5, 1.5),
        ("number", "x", None),
        ("boolean", False, False),
        ("boolean", "false", None),
        ("date", "nonsense", "<invalid>"),
        ("date", 3, "<invalid>"),
    ],
)
def test_cells_by_type(kind, value, cell):
    obj = {"metadata": {"name": "a"}, "spec": {"v": value}}
    assert _cells([_column(".spec.v", kind)], obj) == ["a", cell]


def test_a_missing_value_is_no_cell():
    obj = {"metadata": {"name": "a"}}
    assert _cells([_column(".spec.v"), _column(".metadata.name")], obj) == [
        "a",
        None,
        "a",
    ]


def test_without_columns_there_are_name_and_age():
    made = columns.custom_columns([])
    assert [column.name for column in made] == ["Name", "Age"]
    age = made[1].read({"metadata": CREATED})
    assert age.endswith(("y", "d"))


def test_rows_carry_what_was_asked_for():
    kind = ResourceKind("", "v1", "things", "Thing", namespaced=True)
    obj = {"metadata": {"name": "a", **CREATED}, "spec": {}}
    rows = {
        include: table(kind, [obj], {}, include)["rows"][0]
        for include in ("None", "Metadata", "Object")
    }
    assert "object" not in rows["None"]
    assert rows["Metadata"]["object"]["kind"] == "PartialObjectMetadata"
    assert rows["Object"]["object"] is obj
    assert table(kind, [], {}, headed=False)["columnDefinitions"] == []


def test_columns_of_events():
    event = {
        "metadata": {"name": "e"},
        "involvedObject": {"kind": "Widget", "name": "a"},
        "type": "Warning",
        "reason": "Failed",
        "message": " it failed\n",
        "source": {"component": "x", "host": "y"},
        "series": {"count": 4, "lastObservedTime": "2020-01-01T00:00:00Z"},
    }
    cells = [column.read(event) for column in columns.CORE_EVENT]
    assert cells[1:4] == ["Warning", "Failed", "widget/a"]
    assert cells[5:7] == ["x, y", "it failed"]
    assert cells[8] == 4
    assert cells[0].endswith(("y", "d"))
    bare = {"metadata": {"name": "e"}}
    cells = [column.read(bare) for column in columns.CORE_EVENT]
    assert cells[0] == "<unknown>"
    assert cells[3] == ""


EVENT_KEYS = st.sampled_from(
    [
        "regarding",
        "note",
        "reportingController",
        "reportingInstance",
        "deprecatedSource",
        "deprecatedCount",
        "deprecatedFirstTimestamp",
        "deprecatedLastTimestamp",
        "series",
        "action",
        "reason",
        "type",
        "metadata",
        "eventTime",
    ]
)


@given(st.dictionaries(EVENT_KEYS, st.integers()))
def test_event_forms_are_the_same_events(fields):
    event = {"apiVersion": event_forms.NEW_VERSION, "kind": "Event", **fields}
    core = event_forms.to_core(event)
    assert core["apiVersion"] == "v1"
    assert "regarding" not in core
    assert event_forms.from_core(core) == event


@pytest.mark.parametrize(
    ("namespace", "subject", "sound"),
    [
        ("x", "x", True),
        ("x", "y", False),
        ("x", "", False),
        ("default", "", True),
    ],
)
def test_core_events_live_with_their_subject(namespace, subject, sound):
    event = {
        "metadata": {"namespace": namespace},
        "involvedObject": {"namespace": subject},
    }
    assert (not event_forms.check_core(event, None)) is sound
    assert event_forms.check_core(event, event) == []


def test_new_events_say_who_what_and_why():
    sound = {
        "eventTime": "2026-01-01T00:00:00.000000Z",
        "reportingController": "e.dev/c",
        "reportingInstance": "i",
        "action": "Act",
        "reason": "Because",
        "type": "Normal",
        "note": "x",
    }
    assert event_forms.check_new(sound, None) == []
    assert event_forms.check_new({}, {}) == []
    for field in ("eventTime", "action", "reason", "type"):
        broken = {k: v for k, v in sound.items() if k != field}
        faults = event_forms.check_new(broken, None)
        assert [fault.field for fault in faults] == [field]
    long = event_forms.check_new(sound | {"note": "x" * 2000}, None)
    assert [fault.field for fault in long] == ["note"]


def _free(_group, _source):
    return set()


APPROVED = "api-approved.kubernetes.io"


def _prepared(crd=None, old=None, taken=_free):
    crd = crd or widget_crd()
    definitions.prepare(crd, old, taken)
    return crd


def test_a_definition_is_completed_and_established():
    crd = _prepared()
    names = crd["spec"]["names"]
    assert (names["singular"], names["listKind"]) == ("widget", "WidgetList")
    assert crd["spec"]["conversion"] == {"strategy": "None"}
    assert crd["metadata"]["finalizers"] == [definitions.FINALIZER]
    assert crd["status"]["storedVersions"] == ["v1"]
    assert definitions.condition(crd, "Established") == "True"
    assert definitions.condition(crd, "Terminating") == "Unknown"


def test_preparing_again_changes_nothing():
    crd = _prepared()
    again = copy.deepcopy(crd)
    definitions.prepare(again, crd, _free)
    assert again == crd


def test_taken_names_are_not_accepted_until_they_are_free():
    crd = _prepared(taken=lambda *_: {"wg"})
    assert definitions.condition(crd, "NamesAccepted") == "False"
    assert definitions.kinds_of(crd) == []
    definitions.accept(crd, _free)
    assert definitions.condition(crd, "Established") == "True"


def test_an_established_definition_stays_served_when_new_names_clash():
    crd = _prepared()
    crd["spec"]["names"]["shortNames"] = ["cm"]
    definitions.accept(crd, lambda *_: {"cm"})
    crd["metadata"]["resourceVersion"] = "7"
    (kind,) = definitions.kinds_of(crd)
    assert kind.short_names == ("wg",)


def test_kinds_of_a_definition():
    crd = _prepared()
    crd["metadata"]["resourceVersion"] = "7"
    (kind,) = definitions.kinds_of(crd)
    assert kind.qualified == "widgets.example.dev"
    assert kind.api_version == "example.dev/v1"
    assert kind.selectable == ("spec.color",)
    assert kind.scale.spec == ".spec.replicas"
    assert kind.since == 7
    crd["spec"]["versions"][0]["served"] = False
    assert definitions.kinds_of(crd) == []


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("scope", "Cluster", "spec.scope"),
        ("group", "other.dev", "spec.group"),
    ],
)
def test_what_stays_in_a_definition(old, new, field):
    live = _prepared()
    crd = copy.deepcopy(live)
    crd["spec"][old] = new
    assert field in [fault.field for fault in check(crd, live)]
    assert check(live, live) == []


def _of_group(group, **annotations):
    crd = widget_crd()
    crd["metadata"] |= {"name": f"widgets.{group}", "annotations": annotations}
    crd["spec"]["group"] = group
    return _prepared(crd)


def test_no_definition_takes_the_place_of_a_built_in_kind():
    """The rules of roles would go with it."""
    groups = {kind.group for kind in builtin_registry()} - {""}
    assert "rbac.authorization.k8s.io" in groups
    for group in groups:
        crd = _of_group(group, **{APPROVED: "unapproved, a test"})
        assert [fault.field for fault in check(crd, None)] == ["spec.group"]


@pytest.mark.parametrize(
    ("group", "text", "error"),
    [
        ("a.k8s.io", "", "FieldValueRequired"),
        ("a.kubernetes.io", "because", "FieldValueInvalid"),
        ("a.k8s.io", "https://", "FieldValueInvalid"),
        ("a.k8s.io", "unapproved, a test", None),
        ("a.k8s.io", "https://github.com/kubernetes/enhancements", None),
        ("ak8s.io", "", None),
    ],
)
def test_groups_of_the_community_need_approval(group, text, error):
    crd = _of_group(group, **({APPROVED: text} if text else {}))
    wanted = [(f"metadata.annotations[{APPROVED}]", error)] if error else []
    assert [(fault.field, fault.type) for fault in check(crd, None)] == wanted
    assert check(crd, crd) == []


def test_a_stored_version_must_stay():
    live = _prepared()
    crd = copy.deepcopy(live)
    crd["spec"]["versions"][0]["name"] = "v2"
    definitions.accept(crd, _free)
    faults = [fault.field for fault in check(crd, live)]
    assert faults == ["status.storedVersions[0]"]


def test_names_of_other_definitions_are_taken():
    registry = builtin_registry()
    crd = _prepared()
    crd["metadata"]["resourceVersion"] = "1"
    registry.register("widgets.example.dev", definitions.kinds_of(crd))
    kind = registry.find(
        "apiextensions.k8s.io", "v1", "customresourcedefinitions"
    )
    rival = widget_crd()
    rival["metadata"]["name"] = "other.example.dev"
    kind.hooks.prepare(rival, None)
    assert definitions.condition(rival, "NamesAccepted") == "False"
    same = widget_crd()
    kind.hooks.prepare(same, None)
    assert definitions.condition(same, "NamesAccepted") == "True"


def test_registry_lookups():
    registry = builtin_registry()
    assert registry.by_kind("v1", "Secret").plural == "secrets"
    assert registry.by_kind("v2", "Secret") is None
    assert registry.stored("/events").api_version == "v1"
    generation = registry.generation
    registry.register("x", [])
    assert registry.generation > generation
    assert "" in registry.groups()


def _stored(obj, number=5):
    import orjson

    return Stored(Key("r", "d", "a"), number, orjson.dumps(obj))


def _kind(**changes):
    crd = _prepared()
    crd["metadata"]["resourceVersion"] = "3"
    crd["spec"]["versions"][0] |= changes
    return definitions.kinds_of(crd)[0]


def test_stored_text_is_sent_as_it_is():
    kind = _kind()
    stored = _stored(form.to_storage(kind, widget()))
    assert form.raw(kind, stored) is stored.data
    older = _stored(form.to_storage(kind, widget()), number=1)
    assert form.read(kind, older)["spec"]["color"] == "red"
    assert b'"color":"red"' in form.raw(kind, older)


def test_the_stored_form_begins_with_its_type():
    kind = _kind()
    shuffled = dict(reversed(widget().items()))
    assert list(form.to_storage(kind, shuffled)) == [
        "apiVersion",
        "kind",
        "metadata",
        "spec",
    ]


def test_times_of_managers_are_no_change():
    def obj(time, size=1):
        entry = {"manager": "m", "time": time}
        return widget(size=size, managedFields=[entry], resourceVersion=time)

    assert unchanged(obj("1"), obj("2"))
    assert not unchanged(obj("1"), obj("1", size=2))


def test_nulls_mean_not_set():
    body = {"a": None, "b": [{"c": None, "d": 1}], "e": {"f": None}}
    drop_nulls(body)
    assert body == {"b": [{"d": 1}], "e": {}}
