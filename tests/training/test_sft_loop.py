from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from reconciler.corpus import render_text
from reconciler.runs.progress import Reporter
from reconciler.runs.protocol import RunDirectory
from reconciler.runs.worker import PreemptedError
from reconciler.training import checkpoints
from reconciler.training.parameters import Schedule
from reconciler.training.sft import (
    IGNORED,
    LEAST_RATE,
    Example,
    Loop,
    collate,
    encode,
    factor,
)
from reconciler.training.stopping import DivergedError, StopRequest
from reconciler.training.tokenizer import EOS_ID, PAD_ID, train_tokenizer

ROW = {"prompt": "What does a.b do?", "completion": "Return b."}


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(
        [render_text(ROW["prompt"]) + ROW["completion"]] * 5, 320
    )


def test_a_text_is_prompt_answer_and_end(tokenizer) -> None:
    (found,) = encode(tokenizer, [ROW], 64)

    assert found.tokens[-1] == EOS_ID
    assert tokenizer.decode(found.tokens[: found.answer]) == (
        "What does a.b do?\n"
    )
    assert tokenizer.decode(found.tokens[found.answer : -1]) == "Return b."


def test_the_prompt_is_cut_off_where_serving_cuts_it_off(tokenizer) -> None:
    """What is generated from must be a prefix of what was trained on."""
    (found,) = encode(tokenizer, [ROW], 64)
    prompt = tokenizer.encode(render_text(ROW["prompt"])).ids
    whole = tokenizer.encode(
        render_text(ROW["prompt"]) + ROW["completion"]
    ).ids

    assert list(found.tokens[: found.answer]) == prompt
    assert whole[: len(prompt)] == prompt


@pytest.mark.parametrize("longest", [8, 9])
def test_a_long_text_is_cut(tokenizer, longest: int) -> None:
    row = {**ROW, "completion": "Return b. " * 50}

    (found,) = encode(tokenizer, [row], longest)

    assert len(found.tokens) == longest
    assert found.answer <= longest


@pytest.mark.parametrize(
    ("whole_text", "labels"),
    [
        (False, [[IGNORED, 4, IGNORED], [IGNORED, IGNORED, 7]]),
        (True, [[3, 4, IGNORED], [5, 6, 7]]),
    ],
)
def test_what_is_padding_or_question_is_not_learnt(whole_text, labels) -> None:
    found = collate(
        [Example((3, 4), 1), Example((5, 6, 7), 2)], whole_text=whole_text
    )

    assert found["input_ids"].tolist() == [[3, 4, PAD_ID], [5, 6, 7]]
    assert found["attention_mask"].tolist() == [[1, 1, 0], [1, 1, 1]]
    assert found["labels"].tolist() == labels


@given(steps=st.integers(1, 5000), share=st.floats(0, 1))
def test_the_rate_is_a_share_of_its_peak(steps: int, share: float) -> None:
    step = min(steps - 1, int(share * steps))

    assert 0 < factor(step, steps) <= 1


def test_the_rate_warms_up_and_then_falls_to_its_least() -> None:
    rates = [factor(step, 1000) for step in range(1000)]
    peak = rates.index(max(rates))

    assert peak < 30
    assert rates[:peak] == sorted(rates[:peak])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[-1] == LEAST_RATE


class Line(torch.nn.Module):
    """A network of one weight: enough for a loop."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(2.0))
        self.poison = 1.0

    def forward(self, input_ids, attention_mask, labels):  # noqa: ARG002
        seen = input_ids.float().mean()
        output = torch.nn.Module()
        output.loss = ((self.weight - 1) ** 2 + 0 * seen) * self.poison
        return output


@pytest.fixture
def loop(tmp_path: Path) -> Loop:
    run = RunDirectory(tmp_path)
    return Loop(
        model=Line(),
        examples=[Example((3, 4, 5), 1)] * 8,
        schedule=Schedule(
            steps=20,
            batch_size=2,
            learning_rate=0.05,
            max_length=8,
            beta=0.1,
            sft_weight=1,
            checkpoint_steps=6,
            threads=1,
        ),
        seed=1,
        whole_text=True,
        directory=run.checkpoints,
        reporter=Reporter(run, 20),
        stop=StopRequest(),
    )


def test_a_loop_learns_and_keeps_two_checkpoints(loop: Loop) -> None:
    metrics = loop.run()

    assert metrics["loss"] < 0.9
    names = sorted(p.name for p in loop.directory.iterdir())
    assert names == ["sft-12", "sft-18"]


def test_a_loop_that_is_asked_to_stop_saves_and_goes_on(loop: Loop) -> None:
    whole = loop.run()["loss"]
    for path in loop.directory.iterdir():
        checkpoints._remove(path)

    again = Loop(**{**vars(loop), "model": Line()})
    again.stop = StopRequest()
    again.stop.asked = True
    for step in range(1, 20):
        with pytest.raises(PreemptedError):
            again.run()
        newest = checkpoints.newest(again.directory)
        assert newest is not None
        assert checkpoints.step_of(newest) == step
        again.model = Line()  # nothing survives but the checkpoint

    assert again.run()["loss"] == whole, "the last step ends, it never stops"


def test_a_loop_killed_between_saving_and_telling_tells_later(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        """The process is gone."""

    report = Reporter.report

    def killed_at_twelve(self, step, metrics):
        if step == 12:
            raise Killed
        report(self, step, metrics)

    monkeypatch.setattr(Reporter, "report", killed_at_twelve)
    with pytest.raises(Killed):
        loop.run()
    monkeypatch.undo()
    run = loop.reporter.run
    again = {**vars(loop), "model": Line(), "reporter": Reporter(run, 20)}
    Loop(**again).run()
    lines = list(run.progress())
    assert [line["step"] for line in lines] == list(range(1, 21))
    assert lines[11]["metrics"]["loss"] < lines[10]["metrics"]["loss"]


def test_a_loop_whose_loss_is_not_finite_ends_at_that_step(loop: Loop) -> None:
    loop.model.poison = float("inf")

    with pytest.raises(DivergedError, match="inf at step 1: try a lower"):
        loop.run()

    assert not loop.directory.exists()
