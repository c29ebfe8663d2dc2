from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.serving.completions import (
    UNSUPPORTED,
    ApiError,
    parse,
    response,
)
from reconciler.serving.generation import Answer
from reconciler.serving.sampling import Sampler

SMALL = {"model": "m", "prompt": "Who?"}


def refusal(body: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        parse(body)
    return caught.value


def test_defaults_are_those_of_the_api() -> None:
    request = parse(SMALL)
    assert request.max_tokens == 16
    assert request.temperature == 1
    assert request.top_p == 1
    assert request.n == 1
    assert request.stop == []
    assert request.seed is None


def test_null_means_the_default() -> None:
    nulls = dict.fromkeys(["max_tokens", "stop", "n", "seed", "user"])
    assert parse({**SMALL, **nulls}) == parse(SMALL)


def test_one_stop_string_and_one_prompt_may_stand_alone_or_in_a_list() -> None:
    assert parse({**SMALL, "stop": "x"}).stop == ["x"]
    assert parse({**SMALL, "stop": ["x", "y"]}).stop == ["x", "y"]
    assert parse({**SMALL, "prompt": ["Who?"]}) == parse(SMALL)


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"n": 0}, "n"),
        ({"n": 9}, "n"),
        ({"n": True}, "n"),
        ({"n": "2"}, "n"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"top_p": 1.1}, "top_p"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**64}, "seed"),
        ({"stop": [""]}, "stop"),
        ({"stop": ["a"] * 5}, "stop"),
        ({"stop": [1]}, "stop"),
        ({"prompt": 1}, "prompt"),
        ({"prompt": ["a", "b"]}, "prompt"),
        ({"prompt": [1, 2]}, "prompt"),
        ({"prompt": "x" * 200_001}, "prompt"),
        ({"prompt": "\ud800"}, "prompt"),
        ({"model": ""}, "model"),
        ({"tools": []}, "tools"),
    ],
)
def test_invalid_parameters_are_named(
    more: dict[str, Any], param: str
) -> None:
    error = refusal({**SMALL, **more})
    assert error.status == 400
    assert error.param == param
    assert param in str(error)


def test_required_parameters_are_named() -> None:
    assert str(refusal({"prompt": "x"})) == "you must provide model"
    assert str(refusal({"model": "x"})) == "you must provide prompt"


@pytest.mark.parametrize("name", sorted(UNSUPPORTED))
def test_what_is_unsupported_is_refused_unless_it_asks_for_nothing(
    name: str,
) -> None:
    for neutral in UNSUPPORTED[name]:
        assert parse({**SMALL, name: neutral}) == parse(SMALL)
    error = refusal({**SMALL, name: 3})
    assert (error.status, error.param) == (400, name)
    assert error.code == "unsupported"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(
    body=JSON
    | st.fixed_dictionaries(
        {}, optional=dict.fromkeys(["model", "prompt", *UNSUPPORTED], JSON)
    )
)
def test_any_json_is_parsed_or_refused_with_a_message(body: Any) -> None:
    try:
        parse(body)
    except ApiError as error:
        shaped = error.body()["error"]
        assert shaped["message"]
        assert shaped["type"] == "invalid_request_error"


def test_usage_counts_all_answers() -> None:
    answers = [
        Answer(Sampler(), [1, 2, 3], "abc", "length"),
        Answer(Sampler(), [4], "d", "stop"),
    ]
    body = response(parse(SMALL), "m-2", 5, answers, "id", 7)
    assert body["usage"] == {
        "prompt_tokens": 5,
        "completion_tokens": 4,
        "total_tokens": 9,
    }
    assert body["system_fingerprint"] == "m@m-2"
    assert [c["index"] for c in body["choices"]] == [0, 1]
    assert [c["finish_reason"] for c in body["choices"]] == ["length", "stop"]
