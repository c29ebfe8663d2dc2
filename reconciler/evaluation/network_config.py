"""What config.json says about a Llama network, and nothing assumed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError


class NetworkError(Exception):
    """The directory is not a network that can be run here."""


class NetworkConfig(BaseModel):
    """The part of config.json that decides the arithmetic.

    Whatever would change it and is not implemented is refused.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    max_position_embeddings: int
    rms_norm_eps: float
    initializer_range: float = 0.02
    rope_theta: float
    tie_word_embeddings: bool = False
    eos_token_ids: frozenset[int]

    @classmethod
    def read(cls, directory: Path) -> NetworkConfig:
        """Read config.json and generation_config.json.

        Raises:
            NetworkError: unreadable, or an architecture not implemented.
        """
        raw = _read_json(directory / "config.json")
        generation = directory / "generation_config.json"
        ends = _read_json(generation) if generation.exists() else {}
        _refuse_unknown(raw)
        heads = raw.get("num_attention_heads") or 1
        eos = ends.get("eos_token_id", raw.get("eos_token_id"))
        defaults = {
            "num_key_value_heads": heads,
            "head_dim": raw.get("hidden_size", 0) // heads,
            "rope_theta": _rope(raw).get("rope_theta", 10000.0),
            "rms_norm_eps": 1e-6,
        }
        given = {name: v for name, v in raw.items() if v is not None}
        try:
            return cls.model_validate(
                {**defaults, **given, "eos_token_ids": _as_set(eos)}
            )
        except ValidationError as error:
            msg = f"{directory / 'config.json'}: {error}"
            raise NetworkError(msg) from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        msg = f"{path} cannot be read: {error}"
        raise NetworkError(msg) from error
    if not isinstance(found, dict):
        msg = f"{path} is not a JSON object"
        raise NetworkError(msg)
    return found


def _rope(raw: dict[str, Any]) -> dict[str, Any]:
    """RoPE settings: transformers 5 nests what 4 had at the top."""
    nested = raw.get("rope_parameters") or {}
    return {**raw, **nested} if isinstance(nested, dict) else raw


def _as_set(value: Any) -> frozenset[int]:
    if value is None:
        return frozenset()
    return frozenset(value if isinstance(value, list) else [value])


def _refuse_unknown(raw: dict[str, Any]) -> None:
    found = {
        "model_type": (raw.get("model_type"), "llama"),
        "hidden_act": (raw.get("hidden_act", "silu"), "silu"),
        "attention_bias": (bool(raw.get("attention_bias")), False),
        "mlp_bias": (bool(raw.get("mlp_bias")), False),
        "rope_scaling": (bool(raw.get("rope_scaling")), False),
        "rope_type": (_rope(raw).get("rope_type", "default"), "default"),
    }
    for name, (value, known) in found.items():
        if value != known:
            msg = f"{name} is {value!r}; only {known!r} can be run here"
            raise NetworkError(msg)


def shapes(config: NetworkConfig) -> dict[str, tuple[int, ...]]:
    """Name and shape of every weight of the network."""
    c = config
    width, inner = c.hidden_size, c.intermediate_size
    queries = c.num_attention_heads * c.head_dim
    keys = c.num_key_value_heads * c.head_dim
    found: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (c.vocab_size, width),
        "model.norm.weight": (width,),
    }
    for n in range(c.num_hidden_layers):
        block = f"model.layers.{n}"
        found |= {
            f"{block}.self_attn.q_proj.weight": (queries, width),
            f"{block}.self_attn.k_proj.weight": (keys, width),
            f"{block}.self_attn.v_proj.weight": (keys, width),
            f"{block}.self_attn.o_proj.weight": (width, queries),
            f"{block}.mlp.gate_proj.weight": (inner, width),
            f"{block}.mlp.up_proj.weight": (inner, width),
            f"{block}.mlp.down_proj.weight": (width, inner),
            f"{block}.input_layernorm.weight": (width,),
            f"{block}.post_attention_layernorm.weight": (width,),
        }
    if not c.tie_word_embeddings:
        found["lm_head.weight"] = (c.vocab_size, width)
    return found
