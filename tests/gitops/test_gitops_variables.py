"""Variables in files."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.gitops.build import Builder
from reconciler.gitops.diff import difference, render
from reconciler.gitops.documents import BuildError, documents
from reconciler.gitops.edit import EditError, ModelName, pin
from reconciler.gitops.variables import (
    SubstitutionError,
    Variable,
    Variables,
)

CM = 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: "%s"}\n'


def known(strict: bool = True, **values: str) -> Variables:
    found = {k: Variable(v) for k, v in values.items()}
    return Variables.of(found, strict=strict)


def value(text: str, **values: str) -> Any:
    found = documents("f.yaml", f"a: {text}\n".encode(), known(**values))
    return found[0].value["a"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${A}", "one"),
        ("<${A}-${B}>", "<one->"),
        ("${N:-x}", "x"),
        ("${N:=x}", "x"),
        ("${N-x}", "x"),
        ("${N:-}", ""),
        ("${N:-a:-b=c}", "a:-b=c"),
        ("${B:-x}", "x"),
        ("${B-x}", ""),
        ("${A:-x}", "one"),
        ("$${A}", "${A}"),
        ("$A", "$A"),
        ("a$", "a$"),
        ("${C}", "${A}"),
    ],
)
def test_expressions(text: str, expected: str) -> None:
    variables = known(A="one", B="", C="${A}")
    assert variables.substitute(text).value == expected


@pytest.mark.parametrize("text", ["${", "${A", "${}", "${a b}", "${A:?x}"])
def test_what_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(SubstitutionError, match="not understood"):
        known(A="1").substitute(text)


def test_strict_refuses_and_names_what_has_no_value() -> None:
    with pytest.raises(SubstitutionError, match="variable GONE has no value"):
        known().substitute("${GONE}")
    assert known(strict=False).substitute("<${GONE}>").value == "<>"
    with pytest.raises(BuildError, match=r"^f\.yaml:2: variable GONE"):
        documents("f.yaml", b"a: 1\nb: ${GONE}\n", known())


@pytest.mark.parametrize(
    ("given_value", "plain"),
    [
        ("8080", 8080),
        ("-1", -1),
        ("1.5", 1.5),
        ("true", True),
        ("False", False),
        ("", ""),
        ("null", "null"),
        ("~", "~"),
        ("yes", "yes"),
        ("2026-11-25", "2026-11-25"),
        ("1_000", "1_000"),
        ("99999999999999999999", "99999999999999999999"),
        ("nan", "nan"),
        ("[1]", "[1]"),
        ("a: b", "a: b"),
        ("x\ny: 1", "x\ny: 1"),
        ("# no comment", "# no comment"),
        ("*alias", "*alias"),
    ],
)
def test_only_plain_numbers_and_truth_values_are_typed(
    given_value: str, plain: Any
) -> None:
    found = value("${X}", X=given_value)
    assert (found, type(found)) == (plain, type(plain))
    assert value('"${X}"', X=given_value) == given_value
    assert value("'${X}'", X=given_value) == given_value
    assert value("|-\n  ${X}", X=given_value) == given_value


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=30))
def test_whatever_a_variable_holds_is_one_value(text: str) -> None:
    variables = Variables.of({"X": Variable(text)}, strict=True)
    data = b'a: "${X}"\nb: 1\n'
    assert documents("f.yaml", data, variables)[0].value == {
        "a": text,
        "b": 1,
    }


def test_keys_and_documents_that_opt_out_are_left() -> None:
    text = (
        "metadata: {annotations: {reconciler.dev/substitute: disabled}}\n"
        "a: ${A}\n---\n${A}: ${A}\n"
    )
    first, second = documents("f.yaml", text.encode(), known(A="x"))
    assert first.value["a"] == "${A}"
    assert second.value == {"${A}": "x"}
    assert documents("f.yaml", b"a: ${A}\n")[0].value == {"a": "${A}"}


def test_what_becomes_too_large_is_refused() -> None:
    data = ("a:\n" + "- ${X}\n" * 10).encode()
    with pytest.raises(BuildError, match="too large"):
        documents("f.yaml", data, known(X="x" * 1_000_000))


def test_values_of_secrets_are_never_shown() -> None:
    variables = Variables.of(
        {"P": Variable("Hunter2", secret=True)}, strict=True
    )
    bad = CM.replace("name: a", "name: '${P}'") % ""
    with pytest.raises(BuildError, match=r"metadata\.name") as refused:
        Builder("default", variables=variables).build({"f": bad.encode()})
    assert "Hunter2" not in str(refused.value)
    files = {"f": (CM % "${P}").encode()}
    (item,) = Builder("default", variables=variables).build(files)
    assert item.secret
    there = item.body | {"data": {"x": "Swordfish"}}
    text = render(difference([item], {item.id: there}))
    assert "data.x" in text
    assert "Hunter2" not in text
    assert "Swordfish" not in text
    assert "Hunter2" not in repr((item, variables))


def test_a_generation_that_is_a_variable_is_not_written_over() -> None:
    model = (
        b"apiVersion: reconciler.dev/v1alpha1\nkind: Model\n"
        b"metadata: {name: m}\nspec: {generation: '${G}'}\n"
    )
    with pytest.raises(EditError, match=r"spec\.generation is a variable"):
        pin("f.yaml", model, ModelName("default", "m", "default"), "m-2")


def config(kind: str, name: str, **data: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "default"},
        "data": data,
    }


async def test_sources_in_their_order_and_a_change_is_applied(
    engine: Any, remote: Any, cluster: Any
) -> None:
    await cluster.apply(config("ConfigMap", "one", A="1", B="1", C="1"))
    secret = base64.b64encode(b"2").decode()
    await cluster.apply(config("Secret", "two", B=secret, C=secret))
    engine.raw["spec"]["postBuild"] = {
        "substitute": {"C": "3"},
        "substituteFrom": [
            {"kind": "ConfigMap", "name": "one"},
            {"kind": "Secret", "name": "two"},
            {"kind": "Secret", "name": "none", "optional": True},
        ],
    }
    remote.commit({"a.yaml": CM % "${A}${B}${C}${D:-4}"})
    await engine.settle()
    made = cluster.objects["ConfigMap", "default", "a"]
    assert made["data"] == {"x": "1234"}
    await cluster.apply(config("ConfigMap", "one", A="9"))
    engine.wait()
    await engine.settle()
    made = cluster.objects["ConfigMap", "default", "a"]
    assert made["data"] == {"x": "9234"}


async def test_a_missing_source_applies_and_prunes_nothing(
    engine: Any, remote: Any, cluster: Any
) -> None:
    await cluster.apply(config("ConfigMap", "site", A="1"))
    engine.raw["spec"]["postBuild"] = {
        "substituteFrom": [{"kind": "ConfigMap", "name": "site"}]
    }
    remote.commit({"a.yaml": CM % "${A}", "b.yaml": CM.replace("a}", "b}")})
    await engine.settle()
    await cluster.delete("v1", "ConfigMap", "default", "site")
    cluster.writes.clear()
    remote.commit({"a.yaml": CM % "new ${A}", "b.yaml": None})
    inventory = engine.status["inventory"]
    for restart in (False, True):
        if restart:
            engine.restart()
        engine.wait()
        await engine.settle()
        assert cluster.writes == []
        assert engine.status["inventory"] == inventory
        ready = engine.condition()
        assert ready["reason"] == "BuildFailed"
        assert ready["message"] == (
            "spec.postBuild.substituteFrom[0]: ConfigMap default/site does "
            "not exist"
        )
    await cluster.apply(config("ConfigMap", "site", A="2"))
    engine.wait()
    await engine.settle()
    made = cluster.objects["ConfigMap", "default", "a"]
    assert made["data"] == {"x": "new 2"}
    assert ("ConfigMap", "default", "b") not in cluster.objects


async def test_a_variable_without_value_keeps_the_last_good_revision(
    engine: Any, remote: Any, cluster: Any
) -> None:
    engine.raw["spec"]["postBuild"] = {"substitute": {"A": "1"}}
    remote.commit({"a.yaml": CM % "${A}"})
    await engine.settle()
    remote.commit({"a.yaml": CM % "${B}"})
    cluster.objects["ConfigMap", "default", "a"]["data"] = {"x": "drift"}
    engine.wait()
    await engine.settle()
    assert "a.yaml:4: variable B has no value" in engine.condition()["message"]
    made = cluster.objects["ConfigMap", "default", "a"]
    assert made["data"] == {"x": "1"}


async def test_a_name_that_is_none_is_refused(
    engine: Any, remote: Any
) -> None:
    engine.raw["spec"]["postBuild"] = {"substitute": {"a-b": "1"}}
    remote.commit({"a.yaml": CM % "${A:-1}"})
    await engine.settle()
    message = engine.condition()["message"]
    assert message.startswith("spec.postBuild.substitute: 'a-b'")


async def test_a_refusal_does_not_show_what_came_from_a_secret(
    engine: Any, remote: Any, cluster: Any
) -> None:
    secret = base64.b64encode(b"hunter2").decode()
    await cluster.apply(config("Secret", "keys", P=secret))
    engine.raw["spec"]["postBuild"] = {
        "substituteFrom": [{"kind": "Secret", "name": "keys"}]
    }
    cluster.refuse = lambda body, _: (
        f'ConfigMap "a" is invalid: data.x: Invalid value: {body["data"]}'
        if body["metadata"]["name"] == "a"
        else None
    )
    remote.commit({"a.yaml": CM % "${P}"})
    await engine.settle()
    text = str((engine.status, engine.events.told))
    assert "data.x is invalid" in text
    assert "hunter2" not in text
