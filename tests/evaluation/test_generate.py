"""Generation: the same answers every time, ended where they end."""

from __future__ import annotations

import pytest
import torch

from reconciler.evaluation import generate as generation
from reconciler.evaluation.generate import (
    DecodingSettings,
    GenerationError,
    generate,
    load_tokenizer,
)
from reconciler.evaluation.network import Network
from reconciler.evaluation.network_config import NetworkError

TEXTS = [f"What does a.{'x' * (n % 7)} do?\n" for n in range(20)]


@pytest.fixture
def model(make_model):
    directory = make_model()
    return Network.load(directory), load_tokenizer(directory)


def test_greedy_answers_follow_the_largest_logit(model):
    network, tokenizer = model
    (answer,) = generate(network, tokenizer, ["ab"], DecodingSettings(5))
    ids = tokenizer.encode("ab").ids
    none = torch.zeros(1, dtype=torch.long)
    for _ in range(5):
        row = torch.tensor([ids])
        cache = network.cache(1, len(ids))
        ids.append(int(network.step(row, 0, none, cache).argmax()))
    assert answer == tokenizer.decode(ids[2:]).strip()


@pytest.mark.slow
def test_greedy_answers_are_those_of_transformers(make_model):
    from transformers import LlamaForCausalLM

    directory = make_model()
    tokenizer = load_tokenizer(directory)
    ours = generate(
        Network.load(directory), tokenizer, TEXTS, DecodingSettings(12)
    )
    reference = LlamaForCausalLM.from_pretrained(directory).eval()
    for text, answer in zip(TEXTS, ours, strict=True):
        ids = torch.tensor([tokenizer.encode(text).ids])
        found = reference.generate(
            ids, max_new_tokens=12, do_sample=False, pad_token_id=0
        )[0, ids.shape[1] :].tolist()
        assert answer == tokenizer.decode(found).strip()


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_answers_repeat(model, temperature):
    settings = DecodingSettings(10, temperature, seed=4)
    first = generate(*model, TEXTS, settings)
    assert first == generate(*model, TEXTS, settings)
    assert len(set(first)) > 1


def test_sampling_depends_on_the_seed(model):
    one = generate(*model, TEXTS, DecodingSettings(10, 1.0, seed=1))
    two = generate(*model, TEXTS, DecodingSettings(10, 1.0, seed=2))
    assert one != two


def test_answers_do_not_depend_on_the_batch(model, monkeypatch):
    together = generate(*model, TEXTS, DecodingSettings(8))
    monkeypatch.setattr(generation, "BATCH", 3)
    assert generate(*model, TEXTS, DecodingSettings(8)) == together


def end_after(network, monkeypatch, steps):
    """Make row n of a batch end after steps[n] tokens of 'a'."""
    alive = list(steps)
    taken = 0

    def step(tokens, _start, padding, cache):
        nonlocal taken
        assert tokens.shape[0] == padding.shape[0] == len(alive)
        assert cache.keys.shape[1] == len(alive)
        logits = torch.zeros(len(alive), network.config.vocab_size)
        for row, last in enumerate(alive):
            logits[row, 257 if taken >= last else 64] = 1
        taken += 1
        return logits

    monkeypatch.setattr(network, "step", step)
    return alive


def test_an_answer_stops_at_the_end_token(model, monkeypatch):
    network, tokenizer = model
    letter = tokenizer.decode([64])
    end_after(network, monkeypatch, [0, 1, 2, 3])
    monkeypatch.setattr(generation, "_COMPACT_BELOW", -1.0)
    answers = generate(network, tokenizer, ["a"] * 4, DecodingSettings(9))
    assert answers == [letter * n for n in range(4)]


def test_ended_rows_leave_the_batch(model, monkeypatch):
    network, tokenizer = model
    sizes = []
    real = network.step

    def step(tokens, start, padding, cache):
        logits = real(tokens, start, padding, cache)
        sizes.append(len(tokens))
        if len(sizes) == 3:  # half of the rows end here
            logits[: len(tokens) // 2, 257] = 1e9
        else:
            logits[:, 257] = -1e9
        return logits

    untouched = generate(network, tokenizer, TEXTS, DecodingSettings(8))
    monkeypatch.setattr(network, "step", step)
    answers = generate(network, tokenizer, TEXTS, DecodingSettings(8))
    assert sizes == [20] * 3 + [10] * 5
    order = sorted(range(20), key=lambda n: (len(TEXTS[n]), n))
    assert [len(answers[n]) < len(untouched[n]) for n in order[:10]].count(
        True
    ) >= 5
    assert [answers[n] for n in order[10:]] == [
        untouched[n] for n in order[10:]
    ]


def test_long_prompts_lose_their_beginning(model):
    network, tokenizer = model
    tail = "y" * 60
    settings = DecodingSettings(96 - 60)
    short = generate(network, tokenizer, [tail], settings)
    assert generate(network, tokenizer, ["x" * 500 + tail], settings) == short


def test_an_answer_longer_than_the_context_is_bounded(model):
    (answer,) = generate(*model, ["hello"], DecodingSettings(5000))
    assert len(answer) <= 95


def test_progress_counts_every_text(model, monkeypatch):
    monkeypatch.setattr(generation, "BATCH", 8)
    seen = []
    generate(*model, TEXTS, DecodingSettings(1), seen.append)
    assert seen == [8, 8, 4]


def test_no_questions_no_answers(model):
    assert generate(*model, [], DecodingSettings(5)) == []


def test_not_a_number_is_no_answer(broken_model):
    network = Network.load(broken_model)
    tokenizer = load_tokenizer(broken_model)
    with pytest.raises(GenerationError, match="finite"):
        generate(network, tokenizer, TEXTS, DecodingSettings(3))


def test_a_tokenizer_of_another_network_is_refused(make_model):
    directory = make_model(vocab_size=50)
    with pytest.raises(NetworkError, match="token"):
        generate(
            Network.load(directory),
            load_tokenizer(directory),
            ["zz"],
            DecodingSettings(3),
        )


def test_a_prompt_of_no_tokens_is_refused(model):
    with pytest.raises(NetworkError, match="no tokens"):
        generate(*model, [""], DecodingSettings(3))


@pytest.mark.parametrize("content", [None, "", "{}"])
def test_a_damaged_tokenizer_is_reported(make_model, content):
    directory = make_model()
    (directory / "tokenizer.json").unlink()
    if content is not None:
        (directory / "tokenizer.json").write_text(content)
    with pytest.raises(NetworkError, match=r"tokenizer\.json"):
        load_tokenizer(directory)


def test_decoding_is_described_in_words():
    assert DecodingSettings(7).describe() == (
        "greedy decoding, at most 7 new tokens"
    )
    assert "temperature 0.5" in DecodingSettings(7, 0.5, 3).describe()
