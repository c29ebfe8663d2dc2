"""The network reads what training wrote, and refuses anything else."""

from __future__ import annotations

import json

import pytest
import torch

from reconciler.evaluation.network import Network
from reconciler.evaluation.network_config import (
    NetworkConfig,
    NetworkError,
    shapes,
)


def logits(network: Network, rows: list[list[int]]) -> torch.Tensor:
    """Logits after each row, all rows in one padded batch."""
    longest = max(map(len, rows))
    padding = torch.tensor([longest - len(row) for row in rows])
    tokens = torch.tensor([[0] * (longest - len(r)) + r for r in rows])
    cache = network.cache(len(rows), longest)
    return network.step(tokens, 0, padding, cache)


def test_padding_does_not_change_an_answer(make_model):
    network = Network.load(make_model())
    rows = [[5, 6, 7], [1, 2, 3, 4, 5, 6, 7, 8, 9], [42]]
    together = logits(network, rows)
    for row, expected in zip(rows, together, strict=True):
        alone = logits(network, [row])[0]
        torch.testing.assert_close(alone, expected, atol=1e-5, rtol=1e-4)


def test_reading_step_by_step_is_reading_at_once(make_model):
    network = Network.load(make_model())
    rows = torch.tensor([[0, 0, 9, 8, 7, 6], [1, 2, 3, 4, 5, 6]])
    padding = torch.tensor([2, 0])
    cache = network.cache(2, 6)
    network.step(rows[:, :4], 0, padding, cache)
    network.step(rows[:, 4:5], 4, padding, cache)
    last = network.step(rows[:, 5:], 5, padding, cache)
    whole = network.step(rows, 0, padding, network.cache(2, 6))
    torch.testing.assert_close(last, whole, atol=1e-5, rtol=1e-4)


def test_rows_that_leave_do_not_disturb_the_others(make_model):
    network = Network.load(make_model())
    rows = torch.tensor([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    none = torch.zeros(3, dtype=torch.long)
    cache = network.cache(3, 4)
    network.step(rows, 0, none, cache)
    cache.keep(torch.tensor([0, 2]))
    short = network.step(torch.tensor([[1], [2]]), 3, none[:2], cache)
    whole = logits(network, [[1, 2, 3, 1], [7, 8, 9, 2]])
    torch.testing.assert_close(short, whole, atol=1e-5, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"tie_word_embeddings": False, "num_key_value_heads": 4},
        {"head_dim": 6, "num_key_value_heads": 1},
    ],
)
def test_the_arithmetic_is_that_of_transformers(make_model, changes):
    from transformers import LlamaForCausalLM

    directory = make_model(**changes)
    reference = LlamaForCausalLM.from_pretrained(directory).eval()
    ours = Network.load(directory)
    source = torch.Generator().manual_seed(3)
    rows = torch.randint(0, 256, (4, 30), generator=source)
    with torch.inference_mode():
        expected = reference(input_ids=rows).logits[:, -1]
    found = logits(ours, rows.tolist())
    torch.testing.assert_close(found, expected, atol=2e-4, rtol=1e-4)


def test_the_untrained_network_is_a_function_of_the_seed(make_model):
    config = NetworkConfig.read(make_model())
    rows = [[1, 2, 3]]
    first = logits(Network.untrained(config, 1), rows)
    assert torch.equal(first, logits(Network.untrained(config, 1), rows))
    assert not torch.equal(first, logits(Network.untrained(config, 2), rows))


def test_the_untrained_network_has_the_spread_of_its_config(make_model):
    config = NetworkConfig.read(make_model(initializer_range=0.05))
    embedding = Network.untrained(config, 1)._embedding
    assert (
        tuple(embedding.shape) == shapes(config)["model.embed_tokens.weight"]
    )
    assert abs(float(embedding.std()) - 0.05) < 0.003


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "gpt2"}, "model_type"),
        ({"hidden_act": "gelu"}, "hidden_act"),
        ({"attention_bias": True}, "attention_bias"),
        ({"mlp_bias": True}, "mlp_bias"),
        ({"rope_scaling": {"factor": 2}}, "rope_scaling"),
        ({"rope_parameters": {"rope_type": "yarn"}}, "rope_type"),
        ({"vocab_size": "many"}, "vocab_size"),
        ({"vocab_size": None}, "vocab_size"),
    ],
)
def test_other_architectures_are_refused(make_model, changes, message):
    with pytest.raises(NetworkError, match=message):
        make_model(**changes)


def test_the_theta_of_older_configs_is_read(make_model):
    directory = make_model(rope_parameters=None, rope_theta=77.0)
    assert NetworkConfig.read(directory).rope_theta == 77.0


@pytest.mark.parametrize(
    ("generation", "expected"),
    [(None, {257}), (9, {9}), ([3, 4], {3, 4})],
)
def test_the_end_tokens_are_those_of_generation(
    make_model, generation, expected
):
    directory = make_model()
    if generation is not None:
        path = directory / "generation_config.json"
        path.write_text(json.dumps({"eos_token_id": generation}))
    assert NetworkConfig.read(directory).eos_token_ids == expected


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("content", [None, b"", b"garbage", b"[]"])
def test_damaged_files_are_reported(make_model, name, content):
    directory = make_model()
    (directory / name).unlink()
    if content is not None:
        (directory / name).write_bytes(content)
    with pytest.raises(NetworkError, match=name):
        Network.load(directory)


def test_weights_of_another_shape_are_reported(make_model):
    directory = make_model()
    config = json.loads((directory / "config.json").read_text())
    config["intermediate_size"] += 1
    (directory / "config.json").write_text(json.dumps(config))
    with pytest.raises(NetworkError, match="has shape"):
        Network.load(directory)
