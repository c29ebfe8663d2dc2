"""The evaluate run on tiny networks, in process and as a process."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import time

import pytest

from reconciler.corpus import Example
from reconciler.evaluation import worker
from reconciler.evaluation.report import Report
from reconciler.evaluation.worker import evaluate
from reconciler.runs.protocol import Request, RunDirectory
from reconciler.runs.worker import InvalidRequestError

CORPUS = [
    Example(
        f"id{n}",
        f"mod.name{n}",
        f"What does mod.name{n} do?",
        f"Return the name number {n}.",
        "heldout" if n % 2 else "train",
    )
    for n in range(80)
]
SUITE = {
    "data": {"corpus": "python-docstrings", "samples": 30},
    "decoding": {"maxNewTokens": 6},
    "primary": {"name": "house-style"},
    "guardrails": [{"name": "chrf", "maxDrop": "0.9"}],
    "gate": {"minSamples": 20, "resamples": 1000},
}


@pytest.fixture
def corpus(monkeypatch):
    monkeypatch.setattr(worker, "python_docstrings", lambda: list(CORPUS))


@pytest.fixture
def start(tmp_path):
    """Prepare a run: ``start(candidate, baseline, suite, name)``."""

    def prepare(candidate, baseline=None, suite=SUITE, name="run", **more):
        run = RunDirectory(tmp_path / name)
        request = Request(
            work="reconciler.evaluation",
            name="evaluate",
            key=name,
            parameters={
                "candidate": str(candidate),
                "candidateName": "docs-2",
                "baseline": None if baseline is None else str(baseline),
                "baselineName": "docs-1" if baseline else "untrained",
                "suite": suite,
                "seed": 3,
                **more,
            },
        )
        run.write_request(request)
        return run, request

    return prepare


def answers(run):
    text = (run.output / "answers.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.usefixtures("corpus")
def test_a_run_leaves_a_report_and_all_answers(make_model, start):
    run, request = start(make_model("new", 1), make_model("old", 2))
    result = evaluate(run, request)
    assert result.phase == "Succeeded"
    for path in result.outputs.values():
        assert (run.path / path).is_file()
    report = Report.model_validate(result.facts["report"])
    data = (run.output / "report.json").read_bytes()
    assert report == Report.model_validate_json(data)
    digest = hashlib.sha256(data).hexdigest()
    assert result.facts["reportDigest"] == f"sha256:{digest}"
    assert (report.candidate, report.baseline) == ("docs-2", "docs-1")
    assert report.samples == report.questions.samples == 30
    assert report.gate in {"Passed", "Failed"}
    assert result.message == f"{report.gate}: {report.message}"
    assert report.decoding == "greedy decoding, at most 6 new tokens"
    assert report.versions["house-style"] == "house-style/2"
    assert result.metrics["ciLow"] == report.ci_low


@pytest.mark.usefixtures("corpus")
def test_only_held_out_questions_are_asked_and_scores_add_up(
    make_model, start
):
    run, request = start(make_model("new", 1), make_model("old", 2))
    result = evaluate(run, request)
    report = Report.model_validate(result.facts["report"])
    rows = answers(run)
    held_out = {e.prompt: e.answer for e in CORPUS if e.split == "heldout"}
    assert len({row["prompt"] for row in rows}) == 30
    for row in rows:
        assert held_out[row["prompt"]] == row["reference"]
    for side, mean in (
        ("baseline", report.baseline_score),
        ("candidate", report.score),
    ):
        found = [row[side]["scores"]["house-style"] for row in rows]
        assert sum(found) / 30 == pytest.approx(mean, abs=1e-5)


@pytest.mark.usefixtures("corpus")
def test_a_run_gives_the_same_bytes_again(make_model, start):
    new, old = make_model("new", 1), make_model("old", 2)
    runs = []
    for name in ("one", "two"):
        run, request = start(new, old, name=name)
        evaluate(run, request)
        evaluate(run, request)  # a restart over what is there
        runs.append(run)
    for file in ("report.json", "report.md", "answers.jsonl"):
        first, second = ((run.output / file).read_bytes() for run in runs)
        assert first == second


@pytest.mark.usefixtures("corpus")
def test_a_model_never_beats_itself(make_model, start):
    model = make_model()
    run, request = start(model, model)
    report = evaluate(run, request).facts["report"]
    assert report["gate"] == "Failed"
    assert report["estimate"] == report["ciLow"] == 0
    assert report["message"].startswith("no difference")


@pytest.mark.usefixtures("corpus")
def test_without_a_baseline_the_untrained_network_is_asked(make_model, start):
    model = make_model()
    results = []
    for seed in (3, 4):
        run, request = start(model, name=f"seed{seed}", seed=seed)
        evaluate(run, request)
        results.append(
            [
                [row[side]["answer"] for row in answers(run)]
                for side in ("baseline", "candidate")
            ]
        )
    assert results[0][0] != results[0][1]
    assert results[0][0] != results[1][0]  # another untrained network
    assert results[0][1] == results[1][1]  # the same candidate


@pytest.mark.usefixtures("corpus")
def test_a_candidate_without_answers_is_inconclusive(
    make_model, broken_model, start
):
    run, request = start(broken_model, make_model())
    result = evaluate(run, request)
    assert result.phase == "Succeeded"
    report = Report.model_validate(result.facts["report"])
    assert report.gate == "Inconclusive"
    assert report.score is None
    assert "docs-2: the network returned non-finite" in report.message
    assert "scores of the candidate are missing" in report.message
    assert {row["candidate"]["answer"] for row in answers(run)} == {None}


@pytest.mark.usefixtures("corpus")
def test_a_corpus_that_is_too_small_is_inconclusive(make_model, start):
    suite = SUITE | {
        "data": {"corpus": "python-docstrings", "samples": 500},
        "gate": {"minSamples": 200, "resamples": 1000},
    }
    run, request = start(make_model("a", 1), make_model("b", 2), suite)
    report = evaluate(run, request).facts["report"]
    assert report["gate"] == "Inconclusive"
    assert report["samples"] == 40
    assert "minSamples 200" in report["message"]


@pytest.mark.usefixtures("corpus")
def test_sampled_answers_are_described_and_repeat(make_model, start):
    suite = SUITE | {"decoding": {"maxNewTokens": 6, "temperature": "0.9"}}
    new, old = make_model("new", 1), make_model("old", 2)
    found = []
    for name, seed in (("one", 3), ("two", 3), ("three", 4)):
        run, request = start(new, old, suite, name=name, seed=seed)
        report = evaluate(run, request).facts["report"]
        assert "temperature 0.9" in report["decoding"]
        assert f"seed {seed}" in report["decoding"]
        found.append([row["candidate"]["answer"] for row in answers(run)])
    assert found[0] == found[1] != found[2]


@pytest.mark.usefixtures("corpus")
def test_networks_with_different_tokens_can_be_compared(make_model, start):
    """A baseline is read with its own tokenizer and sizes."""
    old = make_model("old", 2, vocab_size=300, num_hidden_layers=1)
    run, request = start(make_model("new", 1), old)
    assert evaluate(run, request).phase == "Succeeded"
    assert all(row["baseline"]["answer"] is not None for row in answers(run))


@pytest.mark.usefixtures("corpus")
def test_a_metric_that_guards_itself_is_scored_once(make_model, start):
    suite = SUITE | {"guardrails": [{"name": "house-style", "maxDrop": "1"}]}
    run, request = start(make_model("a", 1), make_model("b", 2), suite)
    report = evaluate(run, request).facts["report"]
    assert report["guardrails"][0]["ciLow"] == report["ciLow"]
    assert set(answers(run)[0]["candidate"]["scores"]) == {"house-style"}


@pytest.mark.usefixtures("corpus")
def test_progress_ends_with_all_answers(make_model, start):
    run, request = start(make_model("new", 1), make_model("old", 2))
    evaluate(run, request)
    lines = list(run.progress())
    assert lines[-1]["step"] == lines[-1]["maxSteps"] == 60


@pytest.mark.usefixtures("corpus")
def test_a_model_that_cannot_be_read_fails_the_run(tmp_path, start):
    (tmp_path / "empty").mkdir()
    run, request = start(tmp_path / "empty")
    result = evaluate(run, request)
    assert result.phase == "Failed"
    assert "config.json" in result.message
    assert not run.output.exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": "x"}, "seed"),
        ({"surprise": 1}, "surprise"),
        ({"suite": {}}, "suite"),
        ({"suite": SUITE | {"gate": {"alpha": "0"}}}, "gate.alpha"),
    ],
)
def test_an_impossible_request_is_invalid(make_model, start, change, words):
    run, request = start(make_model(), **change)
    with pytest.raises(InvalidRequestError, match=words):
        evaluate(run, request)


def test_the_supervisor_does_not_load_torch():
    code = (
        "import sys, reconciler.evaluation.__main__, "
        "reconciler.evaluation.controller\n"
        "print(sorted({'torch', 'numpy', 'sacrebleu'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_the_whole_run_as_a_process(make_model, start):
    """Real corpus, real command; a second start changes nothing."""
    run, _ = start(make_model("new", 1), make_model("old", 2))
    command = [sys.executable, "-m", "reconciler.evaluation", str(run.path)]
    assert subprocess.run(command, timeout=100, check=False).returncode == 0
    result = run.result()
    assert result is not None
    assert result.phase == "Succeeded"
    assert result.facts["report"]["samples"] == 30
    status = run.status()
    assert status is not None
    assert (status.step, status.max_steps) == (60, 60)
    written = (run.path / "result.json").stat().st_mtime_ns
    assert subprocess.run(command, timeout=100, check=False).returncode == 0
    assert (run.path / "result.json").stat().st_mtime_ns == written


def wait_until(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_stopped_run_is_started_again(make_model, start, number):
    """The supervisor is stopped in the middle; the next one ends the run."""
    run, _ = start(make_model("new", 1), make_model("old", 2))
    command = [sys.executable, "-m", "reconciler.evaluation", str(run.path)]
    first = subprocess.Popen(command)
    wait_until(lambda: run.status() is not None)
    first.send_signal(number)
    code = first.wait(timeout=30)
    assert code == (75 if number == signal.SIGTERM else -signal.SIGKILL)
    assert run.result() is None
    assert subprocess.run(command, timeout=100, check=False).returncode == 0
    result = run.result()
    assert result is not None
    assert result.facts["report"]["samples"] == 30
    status = run.status()
    assert status is not None
    assert status.attempt == 2
