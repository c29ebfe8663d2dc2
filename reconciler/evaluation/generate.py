"""Answers to many questions at once, the same way every time.

Greedy, or sampled at a temperature from all tokens (no top-k, no top-p: what
is measured is the network, not a filter). Prompts of a batch are padded on
the left; rows that have ended leave the batch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

from reconciler.evaluation.network import Network
from reconciler.evaluation.network_config import NetworkError

BATCH = 128
_COMPACT_BELOW = 0.75


class GenerationError(Exception):
    """The network gives no answers, only infinities or not-a-numbers."""


@dataclass(frozen=True)
class DecodingSettings:
    """How tokens are chosen."""

    max_new_tokens: int
    temperature: float = 0.0
    seed: int = 0

    def describe(self) -> str:
        """In words, for the report."""
        longest = f"at most {self.max_new_tokens} new tokens"
        if self.temperature == 0:
            return f"greedy decoding, {longest}"
        return (
            f"sampling at temperature {self.temperature:g} from all tokens "
            f"(no top-k, no top-p), seed {self.seed}, {longest}"
        )


def load_tokenizer(directory: Path) -> Tokenizer:
    """Read tokenizer.json.

    Raises:
        NetworkError: there is none, or it is damaged.
    """
    path = directory / "tokenizer.json"
    try:
        return Tokenizer.from_str(path.read_text())
    except Exception as error:  # the Rust binding raises bare Exception
        msg = f"{path} cannot be read: {error}"
        raise NetworkError(msg) from error


def generate(
    network: Network,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    settings: DecodingSettings,
    advance: Callable[[int], None] = lambda _: None,
) -> list[str]:
    """The answer to each text, without surrounding white space.

    A text that leaves no room for the answer loses its beginning.

    Args:
        network: what answers.
        tokenizer: its tokenizer.
        texts: exactly what the network reads before it answers.
        settings: how tokens are chosen.
        advance: called with the number of texts answered since.

    Raises:
        GenerationError: the network's numbers are not finite.
        NetworkError: the tokenizer has more tokens than the network.
    """
    context = network.config.max_position_embeddings
    room = max(1, context - settings.max_new_tokens)
    prompts = [tokenizer.encode(text).ids[-room:] for text in texts]
    _check(network, prompts)
    order = sorted(range(len(texts)), key=lambda n: (len(prompts[n]), n))
    answers = [""] * len(texts)
    for first in range(0, len(order), BATCH):
        batch = order[first : first + BATCH]
        rows = _Batch(network, [prompts[n] for n in batch], settings, first)
        for n, ids in zip(batch, rows.run(), strict=True):
            answers[n] = tokenizer.decode(ids).strip()
        advance(len(batch))
    return answers


def _check(network: Network, prompts: Sequence[Sequence[int]]) -> None:
    largest = max((max(ids, default=0) for ids in prompts), default=0)
    if largest >= network.config.vocab_size:
        msg = (
            f"the tokenizer gives token {largest}, the network knows "
            f"{network.config.vocab_size}"
        )
        raise NetworkError(msg)
    if any(not ids for ids in prompts):
        raise NetworkError("the tokenizer turns a prompt into no tokens")


class _Batch:
    """Texts that are answered together."""

    def __init__(
        self,
        network: Network,
        prompts: list[list[int]],
        settings: DecodingSettings,
        first: int,
    ) -> None:
        self._network = network
        self._settings = settings
        self._length = max(map(len, prompts))
        context = network.config.max_position_embeddings
        self._new = min(settings.max_new_tokens, context - self._length)
        padding = [self._length - len(ids) for ids in prompts]
        self._padding = torch.tensor(padding)
        self._tokens = torch.tensor(
            [
                [0] * pad + ids
                for pad, ids in zip(padding, prompts, strict=True)
            ]
        )
        self._rows = torch.arange(len(prompts))
        self._open = torch.ones(len(prompts), dtype=torch.bool)
        self._answers: list[list[int]] = [[] for _ in prompts]
        self._source = torch.Generator().manual_seed(
            _derive(settings.seed, first)
        )

    @torch.inference_mode()
    def run(self) -> list[list[int]]:
        """Token ids of all answers, in the order of the prompts."""
        total = self._length + self._new
        cache = self._network.cache(len(self._answers), total)
        start, tokens = 0, self._tokens
        for _ in range(self._new):
            logits = self._network.step(tokens, start, self._padding, cache)
            start += tokens.shape[1]
            chosen = self._choose(logits)
            self._take(chosen)
            if not bool(self._open.any()):
                break
            tokens = chosen[:, None]
            if self._open.float().mean() < _COMPACT_BELOW:
                kept = self._open.nonzero().squeeze(1)
                cache.keep(kept)
                self._padding = self._padding[kept]
                self._rows, self._open = self._rows[kept], self._open[kept]
                tokens = tokens[kept]
        return self._answers

    def _choose(self, logits: Tensor) -> Tensor:
        if not bool(torch.isfinite(logits).all()):
            raise GenerationError("the network returned non-finite numbers")
        if self._settings.temperature == 0:
            return logits.argmax(dim=-1)
        chances = torch.softmax(logits / self._settings.temperature, dim=-1)
        return torch.multinomial(chances, 1, generator=self._source).squeeze(1)

    def _take(self, chosen: Tensor) -> None:
        """Append the chosen tokens to the answers that have not ended."""
        ends = self._network.config.eos_token_ids
        rows, still = self._rows.tolist(), self._open.tolist()
        for n, token in enumerate(chosen.tolist()):
            if not still[n]:
                continue
            if token in ends:
                self._open[n] = False
            else:
                self._answers[rows[n]].append(token)


def _derive(seed: int, batch: int) -> int:
    """A seed of its own for each batch."""
    text = f"generate/{seed}/{batch}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:7])
