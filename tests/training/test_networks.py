import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from reconciler.artifacts import digest_of
from reconciler.runs.worker import InvalidRequestError
from reconciler.training import network
from reconciler.training.parameters import Adapters, Network
from reconciler.training.tokenizer import load_tokenizer, train_tokenizer

TINY = Network(
    vocabulary_size=320, hidden_size=16, layers=1, heads=2, context_length=64
)
TEXTS = ["Return the sum of a and b.", "Close the file."] * 3


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(TEXTS, 320)


def made(seed: int = 1):
    network.seed_everything(seed, threads=1)
    return network.build(TINY, 300)


def test_a_seed_is_a_network(tokenizer, tmp_path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        network.write_model(made(seed), tokenizer, tmp_path / name)
    a, b, c = (digest_of(tmp_path / name) for name in "abc")

    assert a == b
    assert a != c


def test_a_written_network_is_read_back_in_fp32(tokenizer, tmp_path) -> None:
    model = made()
    network.write_model(model, tokenizer, tmp_path)

    again = network.load(tmp_path)

    state = again.state_dict()
    assert all(v.dtype == torch.float32 for v in state.values())
    assert all(torch.equal(state[k], v) for k, v in model.state_dict().items())
    config = json.loads((tmp_path / "config.json").read_text())
    assert (config["vocab_size"], config["tie_word_embeddings"]) == (300, True)


def test_a_directory_without_a_network_is_an_invalid_request(tmp_path) -> None:
    with pytest.raises(InvalidRequestError, match="holds no model"):
        network.load(tmp_path)


def test_fresh_adapters_change_nothing_and_merge_away() -> None:
    from peft import get_peft_model

    ids = torch.arange(3, 13)[None]
    model = made()
    before = model(input_ids=ids).logits
    adapted = get_peft_model(
        model, network.lora_config(Adapters(rank=4, alpha=8))
    )

    merged = network.merged(adapted)

    assert torch.equal(merged(input_ids=ids).logits, before)
    assert not [n for n, _ in merged.named_parameters() if "lora" in n]
    assert network.merged(merged) is merged


def test_a_tokenizer_round_trips_any_text(tokenizer, tmp_path) -> None:
    network.write_model(made(), tokenizer, tmp_path)
    again = load_tokenizer(tmp_path)

    for text in ("Return x.", "  `a_b`: é ☃\n", "What does json.dumps do?"):
        ids = again.encode(text).ids
        assert again.decode(ids) == text
        assert ids == tokenizer.encode(text).ids
        assert min(ids) > 2, "no special token is added"


def test_the_same_texts_make_the_same_tokenizer() -> None:
    first, second = (train_tokenizer(TEXTS, 320).to_str() for _ in "ab")

    assert first == second


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("reconciler.training.__main__", {"torch", "transformers", "trl"}),
        ("reconciler.training.data", {"torch", "transformers", "trl"}),
        ("reconciler.training.sft", {"trl", "datasets"}),
        ("reconciler.compute.local", {"torch", "transformers", "trl"}),
    ],
)
def test_what_is_not_needed_is_not_imported(
    module: str, absent: set[str]
) -> None:
    code = f"import sys, {module}; print(*sys.modules)"

    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )

    assert not absent & set(done.stdout.split())
