"""A Llama network read from a Hugging Face directory, for reading only.

The same arithmetic as transformers' LlamaForCausalLM in fp32 (a test compares
the two), without importing transformers: that import alone costs more CPU
time than answering all questions of an evaluation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from reconciler.evaluation.network_config import (
    NetworkConfig,
    NetworkError,
    shapes,
)

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Layer:
    """Weights of one block, those that read the same input side by side."""

    qkv: Tensor
    out: Tensor
    gate_up: Tensor
    down: Tensor
    attention_norm: Tensor
    feed_norm: Tensor


@dataclass
class Cache:
    """Keys and values of the tokens so far: (layer, row, head, time, dim)."""

    keys: Tensor
    values: Tensor

    def keep(self, rows: Tensor) -> None:
        """Drop all other rows."""
        self.keys = self.keys[:, rows]
        self.values = self.values[:, rows]


class Network:
    """A causal language model on the CPU in fp32."""

    def __init__(self, config: NetworkConfig, weights: Weights) -> None:
        self.config = config
        self._embedding = weights["model.embed_tokens.weight"]
        tied = config.tie_word_embeddings
        self._head = self._embedding if tied else weights["lm_head.weight"]
        self._norm = weights["model.norm.weight"]
        self._layers = [
            _layer(weights, n) for n in range(config.num_hidden_layers)
        ]
        self._cos, self._sin = _rotations(config)

    @classmethod
    def load(cls, directory: Path) -> Network:
        """Read config.json and model.safetensors.

        Raises:
            NetworkError: unreadable, incomplete or of another architecture.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        config = NetworkConfig.read(directory)
        path = directory / "model.safetensors"
        try:
            loaded = load_file(path)
        except (OSError, SafetensorError) as error:
            msg = f"{path} cannot be read: {error}"
            raise NetworkError(msg) from error
        weights = {name: w.float() for name, w in loaded.items()}
        for name, shape in shapes(config).items():
            found = weights.get(name)
            if found is None or tuple(found.shape) != shape:
                shown = None if found is None else tuple(found.shape)
                msg = f"{path}: {name} has shape {shown} instead of {shape}"
                raise NetworkError(msg)
        return cls(config, weights)

    @classmethod
    def untrained(cls, config: NetworkConfig, seed: int) -> Network:
        """The network before its first step: random weights from a seed."""
        source = torch.Generator().manual_seed(seed)
        weights = {
            name: torch.ones(shape)
            if len(shape) == 1
            else torch.empty(shape).normal_(
                0.0, config.initializer_range, generator=source
            )
            for name, shape in shapes(config).items()
        }
        return cls(config, weights)

    def cache(self, rows: int, length: int) -> Cache:
        """Room for `rows` texts of `length` tokens."""
        c = self.config
        shape = (
            c.num_hidden_layers,
            rows,
            c.num_key_value_heads,
            length,
            c.head_dim,
        )
        return Cache(torch.zeros(shape), torch.zeros(shape))

    def step(
        self, tokens: Tensor, start: int, padding: Tensor, cache: Cache
    ) -> Tensor:
        """Read more tokens; logits of what follows the last one.

        Args:
            tokens: (rows, new) token ids.
            start: how many tokens of each row the cache already holds.
            padding: (rows,) how many of the first tokens are padding.
            cache: extended in place.
        """
        end = start + tokens.shape[1]
        times = torch.arange(start, end)
        positions = (times - padding[:, None]).clamp(min=0)
        cos, sin = self._cos[positions][:, None], self._sin[positions][:, None]
        mask = _visible(times, end, padding)
        hidden = self._embedding[tokens]
        for n, layer in enumerate(self._layers):
            q, k, v = self._project(layer, hidden)
            keys, values = cache.keys[n], cache.values[n]
            keys[:, :, start:end] = _rotate(k, cos, sin)
            values[:, :, start:end] = v
            seen = self._attend(
                _rotate(q, cos, sin),
                keys[:, :, :end],
                values[:, :, :end],
                mask,
            )
            hidden = hidden + functional.linear(seen, layer.out)
            hidden = hidden + self._feed(layer, hidden)
        last = self._normalised(hidden[:, -1], self._norm)
        return functional.linear(last, self._head)

    def _project(
        self, layer: Layer, hidden: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        c = self.config
        normal = self._normalised(hidden, layer.attention_norm)
        heads = functional.linear(normal, layer.qkv)
        heads = heads.view(*hidden.shape[:2], -1, c.head_dim).transpose(1, 2)
        first, second = c.num_attention_heads, c.num_key_value_heads
        second += first
        return heads[:, :first], heads[:, first:second], heads[:, second:]

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
        share = self.config.num_attention_heads // k.shape[1]
        if share > 1:
            k = k.repeat_interleave(share, dim=1)
            v = v.repeat_interleave(share, dim=1)
        seen = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return seen.transpose(1, 2).flatten(2)

    def _feed(self, layer: Layer, hidden: Tensor) -> Tensor:
        normal = self._normalised(hidden, layer.feed_norm)
        gate, up = functional.linear(normal, layer.gate_up).chunk(2, dim=-1)
        return functional.linear(functional.silu(gate) * up, layer.down)

    def _normalised(self, hidden: Tensor, weight: Tensor) -> Tensor:
        eps = self.config.rms_norm_eps
        return functional.rms_norm(hidden, weight.shape, weight, eps)


def _layer(weights: Weights, n: int) -> Layer:
    def part(name: str) -> Tensor:
        return weights[f"model.layers.{n}.{name}.weight"]

    return Layer(
        qkv=torch.cat([part(f"self_attn.{p}_proj") for p in "qkv"]),
        out=part("self_attn.o_proj"),
        gate_up=torch.cat([part("mlp.gate_proj"), part("mlp.up_proj")]),
        down=part("mlp.down_proj"),
        attention_norm=part("input_layernorm"),
        feed_norm=part("post_attention_layernorm"),
    )


def _rotations(config: NetworkConfig) -> tuple[Tensor, Tensor]:
    """Cosine and sine of every position, each half of the head the same."""
    half = torch.arange(0, config.head_dim, 2).float() / config.head_dim
    speed = torch.exp(-math.log(config.rope_theta) * half)
    angle = torch.outer(
        torch.arange(config.max_position_embeddings).float(), speed
    )
    angle = torch.cat([angle, angle], dim=-1)
    return angle.cos(), angle.sin()


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin


def _visible(times: Tensor, end: int, padding: Tensor) -> Tensor:
    """Which keys each query sees: (rows, 1, new, end), True is visible.

    A padding token sees itself: a row of the softmax without any entry would
    be NaN, and NaN times zero is still NaN one layer further.
    """
    keys = torch.arange(end)
    causal = keys[None, :] <= times[:, None]
    real = keys[None, :] >= padding[:, None]
    itself = keys[None, :] == times[:, None]
    return (causal[None] & real[:, None] | itself[None])[:, None]
