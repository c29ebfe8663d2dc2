"""Tiny networks on disk, a few kilobytes each, made without transformers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from reconciler.evaluation.network_config import NetworkConfig, shapes

VOCABULARY = 258
EOS = 257


def write_tokenizer(directory: Path) -> None:
    """One token per byte, then a pad and an end token."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    ids = {char: n for n, char in enumerate(alphabet)}
    tokenizer = Tokenizer(models.BPE(vocab=ids, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<pad>", "<end>"])
    assert tokenizer.token_to_id("<end>") == EOS
    tokenizer.save(str(directory / "tokenizer.json"))


def write_model(directory: Path, seed: int = 0, **changes) -> Path:
    """A directory like the one that training leaves."""
    directory.mkdir(parents=True)
    write_tokenizer(directory)
    config = {
        "model_type": "llama",
        "vocab_size": VOCABULARY,
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 96,
        "rms_norm_eps": 1e-5,
        "initializer_range": 0.3,
        "rope_parameters": {"rope_theta": 500.0, "rope_type": "default"},
        "tie_word_embeddings": True,
        "eos_token_id": EOS,
        "hidden_act": "silu",
        **changes,
    }
    (directory / "config.json").write_text(json.dumps(config))
    source = torch.Generator().manual_seed(seed)
    weights = {
        name: torch.empty(shape).normal_(0.0, 0.3, generator=source)
        for name, shape in shapes(NetworkConfig.read(directory)).items()
    }
    save_file(weights, directory / "model.safetensors", {"format": "pt"})
    return directory


def poison(directory: Path) -> None:
    """Make every answer not-a-number."""
    from safetensors.torch import load_file

    path = directory / "model.safetensors"
    weights = load_file(path)
    weights["model.norm.weight"] = weights["model.norm.weight"] * float("nan")
    save_file(weights, path, {"format": "pt"})


@pytest.fixture
def make_model(tmp_path):
    """Write a tiny model: ``make_model(name, seed, **config changes)``."""

    def make(name: str = "model", seed: int = 0, **changes) -> Path:
        return write_model(tmp_path / name, seed, **changes)

    return make


@pytest.fixture
def broken_model(make_model):
    """A model whose every answer is not-a-number."""
    directory = make_model("broken")
    poison(directory)
    return directory
