"""Variables in files: what is replaced, and what is refused."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.gitops.documents import BuildError, Reading, documents
from reconciler.gitops.variables import SubstitutionError, Variables

VARIABLES = Variables.of(
    {"A": "1", "EMPTY": "", "TEXT": "a: {b", "YES": "true"}, strict=True
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${A}", "1"),
        ("x-${A}-${A}y", "x-1-1y"),
        ("${A:-2}", "1"),
        ("${B:-2}", "2"),
        ("${B:=two words}", "two words"),
        ("${B-2}", "2"),
        ("${B:-}", ""),
        ("${EMPTY}", ""),
        ("${EMPTY:-full}", "full"),
        ("${EMPTY-full}", ""),
        ("$${A}", "${A}"),
        ("$A $(A) $", "$A $(A) $"),
        ("${B:-a:-b}", "a:-b"),
    ],
)
def test_replaced(text: str, expected: str) -> None:
    assert VARIABLES.substitute(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${B}", "variable B is not defined"),
        ("${A%%x}", "is no variable"),
        ("${", "is no variable"),
        ("${A", "is no variable"),
        ("${1}", "is no variable"),
        ("${a b}", "is no variable"),
    ],
)
def test_refused(text: str, message: str) -> None:
    with pytest.raises(SubstitutionError, match=message):
        VARIABLES.substitute(text)


def test_lenient_variables_are_empty() -> None:
    assert Variables.of({}, strict=False).substitute("a${B}c") == "ac"


@given(st.text(st.characters(exclude_characters="$"), max_size=20))
def test_a_value_is_never_read_again(value: str) -> None:
    found = Variables.of({"A": value + "${A}"}, strict=True)
    assert found.substitute("${A}") == value + "${A}"


def read(text: str) -> Any:
    reading = Reading(VARIABLES)
    return [d.value for d in documents("f.yaml", text.encode(), reading)]


def test_types_follow_the_quotes() -> None:
    text = "a: ${A}\nb: \"${A}\"\nc: x${A}\nd: ${YES}\ne: '${YES}'\n"
    assert read(text) == [
        {"a": 1, "b": "1", "c": "x1", "d": True, "e": "true"}
    ]


def test_structure_cannot_be_changed_by_a_value() -> None:
    assert read("a: ${TEXT}\nb: ['${TEXT}']\n") == [
        {"a": "a: {b", "b": ["a: {b"]}
    ]


def test_a_document_may_opt_out() -> None:
    for prefix in ("reconciler.dev", "kustomize.toolkit.fluxcd.io"):
        text = (
            f"metadata: {{annotations: {{{prefix}/substitute: disabled}}}}\n"
            "a: ${B}\n---\na: ${A}\n"
        )
        found = read(text)
        assert found[0]["a"] == "${B}"
        assert found[1]["a"] == 1


def test_the_line_is_named() -> None:
    with pytest.raises(BuildError, match=r"f.yaml:2: variable B"):
        read("a: 1\nb: ${B}\n")


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "default"}, "data": data}


async def test_variables_of_config_maps_and_secrets(
    engine: Any, remote: Any, cluster: Any, make_config_map: Any
) -> None:
    engine.raw["spec"]["postBuild"] = {
        "substitute": {"REGION": "eu"},
        "substituteFrom": [
            {"kind": "ConfigMap", "name": "vars"},
            {"kind": "Secret", "name": "more"},
            {"kind": "ConfigMap", "name": "none", "optional": True},
        ],
    }
    text = make_config_map("a", x="${REGION}-${SIZE}-${WORD:-none}")
    remote.commit({"a.yaml": text})
    await engine.settle()
    found = engine.condition()
    assert "ConfigMap default/vars does not exist" in found["message"]
    word = base64.b64encode(b"hush").decode()
    cluster.objects["ConfigMap", "default", "vars"] = config_map(
        "vars", SIZE="s", REGION="us"
    )
    cluster.objects["Secret", "default", "more"] = config_map(
        "more", WORD=word, SIZE=base64.b64encode(b"m").decode()
    )
    engine.wait()
    await engine.settle()
    data = cluster.objects["ConfigMap", "default", "a"]["data"]
    assert data == {"x": "eu-m-hush"}
    cluster.objects["ConfigMap", "default", "vars"]["data"]["SIZE"] = "l"
    engine.raw["spec"]["postBuild"]["substituteFrom"].pop(1)
    engine.wait()
    await engine.settle()
    data = cluster.objects["ConfigMap", "default", "a"]["data"]
    assert data == {"x": "eu-l-none"}
    assert engine.condition()["status"] == "True"


async def test_without_post_build_nothing_is_replaced(
    engine: Any, remote: Any, cluster: Any, make_config_map: Any
) -> None:
    remote.commit({"a.yaml": make_config_map("a", x="${HOME}")})
    await engine.settle()
    data = cluster.objects["ConfigMap", "default", "a"]["data"]
    assert data == {"x": "${HOME}"}


async def test_an_undefined_variable_applies_nothing(
    engine: Any, remote: Any, cluster: Any, make_config_map: Any
) -> None:
    engine.raw["spec"]["postBuild"] = {}
    remote.commit(
        {"a.yaml": make_config_map("a"), "b.yaml": "kind: X\nb: ${NO}\n"}
    )
    await engine.settle()
    found = engine.condition()
    assert found["reason"] == "BuildFailed"
    assert "b.yaml:2: variable NO is not defined" in found["message"]
    assert cluster.writes == []
