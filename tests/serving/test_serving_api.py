"""The HTTP endpoint with a real model behind it."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler.serving.client import CompletionError, complete, request

from .conftest import Served

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def url(server: Served, first: Path) -> str:
    assert server.deploy(first, "g1").state == "Serving"
    return server.url


def ask(url: str, **more: Any) -> dict[str, Any]:
    body = {"model": "tiny", "prompt": "Who?", "max_tokens": 12, **more}
    return request(url, body)


def texts(answer: dict[str, Any]) -> list[str]:
    return [choice["text"] for choice in answer["choices"]]


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310
        return json.load(answer)


def post(url: str, data: bytes) -> tuple[int, Any]:
    asked = urllib.request.Request(f"{url}/v1/completions", data)  # noqa: S310
    try:
        with urllib.request.urlopen(asked, timeout=10) as answer:  # noqa: S310
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_health_tells_memory_and_what_serves(url: str) -> None:
    health = get(f"{url}/healthz")
    assert health["status"] == "ok"
    assert health["models"] == {"tiny": "g1"}
    assert health["rssBytes"] > 20 * 2**20


def test_models_are_listed_with_their_generation(url: str) -> None:
    listed = get(f"{url}/v1/models")
    assert listed["object"] == "list"
    card = listed["data"][0]
    assert (card["id"], card["generation"]) == ("tiny", "g1")
    assert card["context_length"] == 96


def test_the_answer_has_the_shape_of_the_api(url: str) -> None:
    answer = ask(url, temperature=0)
    assert answer["object"] == "text_completion"
    assert answer["model"] == "tiny"
    assert answer["system_fingerprint"] == "tiny@g1"
    assert answer["choices"][0]["finish_reason"] == "length"
    usage = answer["usage"]
    assert usage["completion_tokens"] == 12
    assert usage["total_tokens"] == usage["prompt_tokens"] + 12


def test_greedy_answers_repeat_alone_and_in_a_batch(url: str) -> None:
    alone = texts(ask(url, temperature=0))
    assert texts(ask(url, temperature=0)) == alone
    assert texts(ask(url, temperature=0, n=3)) == alone * 3


def test_a_seed_repeats_the_draws_and_answers_differ(url: str) -> None:
    first = texts(ask(url, seed=7, n=4, temperature=2))
    assert texts(ask(url, seed=7, n=4, temperature=2)) == first
    assert len(set(first)) > 1
    assert texts(ask(url, seed=8, n=4, temperature=2)) != first


def test_without_a_seed_draws_differ(url: str) -> None:
    drawn = {texts(ask(url, temperature=2))[0] for _ in range(5)}
    assert len(drawn) > 1


def test_a_stop_string_ends_the_answer_before_it(url: str) -> None:
    whole = texts(ask(url, temperature=0))[0]
    stop = whole[4:6]
    answer = ask(url, temperature=0, stop=stop)
    assert texts(answer) == [whole[: whole.index(stop)]]
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"]["completion_tokens"] < 12


def test_no_tokens_are_no_tokens(url: str) -> None:
    answer = ask(url, max_tokens=0)
    assert texts(answer) == [""]
    assert answer["choices"][0]["finish_reason"] == "length"


def test_the_context_bounds_the_answer(url: str) -> None:
    usage = ask(url, max_tokens=5000, temperature=0)["usage"]
    assert usage["total_tokens"] <= 96


def test_a_prompt_longer_than_the_context_is_refused(url: str) -> None:
    with pytest.raises(CompletionError, match="400: the prompt has"):
        ask(url, prompt="x" * 200)


@pytest.mark.parametrize(
    ("data", "status", "message"),
    [
        (b"", 400, "the body is not JSON"),
        (b"[1]", 400, "the body is not a JSON object"),
        (b"[" * 100_000, 400, "the body is not JSON"),
        (b"\xff\xfe", 400, "the body is not JSON"),
        (b'{"prompt": "x"}', 400, "you must provide model"),
        (b'{"model": "no", "prompt": "x"}', 404, "does not exist"),
        (b'{"model": "tiny", "prompt": "\\ud800"}', 400, "prompt"),
        (b'{"model": "tiny", "prompt": "x", "n": 9}', 400, "n: "),
        (b'{"model":"tiny","prompt":"x","temperature":NaN}', 400, "temp"),
        (b'{"model":"tiny","prompt":"x","stream":true}', 400, "stream is"),
        (b"x" * (1 << 21), 413, "Too Large"),
    ],
)
def test_what_is_wrong_is_said_in_the_shape_of_the_api(
    url: str, data: bytes, status: int, message: str
) -> None:
    code, body = post(url, data)
    assert code == status
    assert message in body["error"]["message"]
    assert body["error"]["type"] == "invalid_request_error"


def test_unknown_paths_and_methods_have_that_shape_too(url: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as missing:
        get(f"{url}/v1/nothing")
    assert json.load(missing.value)["error"]["message"] == "Not Found"
    with pytest.raises(urllib.error.HTTPError) as wrong:
        get(f"{url}/v1/completions")
    assert wrong.value.code == 405
    missing.value.close()
    wrong.value.close()


def test_many_requests_at_once_are_answered_or_told_to_come_back(
    url: str,
) -> None:
    outcomes: list[str] = []

    def once() -> None:
        try:
            ask(url, n=8, max_tokens=80)
            outcomes.append("ok")
        except CompletionError as error:
            outcomes.append(str(error)[:3])

    run_together([once] * 100)
    assert len(outcomes) == 100
    assert set(outcomes) <= {"ok", "429"}
    assert outcomes.count("ok") >= 64
    assert complete(url, "tiny", "Who?")


def run_together(work: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=each) for each in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_it_listens_on_the_loopback_address_only(url: str) -> None:
    port = int(url.rpartition(":")[2])
    wanted = f"0100007F:{port:04X}"
    rows = Path("/proc/net/tcp").read_text().splitlines()[1:]
    listening = [r.split()[1] for r in rows if r.split()[3] == "0A"]
    mine = [a for a in listening if a.endswith(f":{port:04X}")]
    assert mine == [wanted]


def test_the_client_explains_what_does_not_answer() -> None:
    with pytest.raises(CompletionError, match="127"):
        complete("http://127.0.0.1:9", "tiny", "Who?", timeout=1)
    with pytest.raises(CompletionError, match="not an HTTP URL"):
        complete("file:///etc", "tiny", "Who?")


def test_the_client_takes_the_endpoint_with_or_without_v1(url: str) -> None:
    answer = complete(f"{url}/v1", "tiny", "Who?")
    assert answer == complete(f"{url}/", "tiny", "Who?")
