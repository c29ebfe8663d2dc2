"""Supervised fine-tuning: next-token loss, in a loop of our own.

TRL's SFTTrainer does the same; this loop starts in half its time, keeps
examples of like length together, and resumes bit for bit from its own
checkpoints. From scratch the loss is over the whole text, because the network
has to learn to read the question, too; with a parent it is over the answer.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from reconciler.corpus import render_text
from reconciler.runs.progress import Reporter
from reconciler.runs.worker import PreemptedError
from reconciler.training import checkpoints
from reconciler.training.batches import batches
from reconciler.training.parameters import Schedule
from reconciler.training.stopping import StopRequest, require_finite
from reconciler.training.tokenizer import EOS_ID, PAD_ID

IGNORED = -100
WARM_UP_STEPS = 20
LEAST_RATE = 0.05
CLIP = 1.0
STATE = "state.pt"
PREFIX = "sft"


@dataclass(frozen=True)
class Example:
    """Tokens of a text, and where its answer begins."""

    tokens: tuple[int, ...]
    answer: int


@dataclass
class Loop:
    """The training loop of one attempt."""

    model: torch.nn.Module
    examples: Sequence[Example]
    schedule: Schedule
    seed: int
    whole_text: bool
    """Whether the loss covers the question as well."""

    directory: Path
    """Where checkpoints are."""

    reporter: Reporter
    stop: StopRequest

    def run(self) -> dict[str, float]:
        """Train to the last step; returns the last metrics.

        Raises:
            PreemptedError: asked to stop; a checkpoint was written.
            DivergedError: the loss is not finite.
        """
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(
            parameters,
            lr=self.schedule.learning_rate,
            betas=(0.9, 0.95),
            weight_decay=0.01,
        )
        first = self._resume(optimizer)
        order = batches(
            [len(e.tokens) for e in self.examples],
            self.schedule.batch_size,
            self.schedule.steps,
            self.seed,
        )
        self.model.train()
        metrics: dict[str, float] = {}
        for step in range(first, self.schedule.steps):
            metrics = self._step(optimizer, parameters, order[step], step)
            self._after(optimizer, step + 1, metrics)
        return metrics

    def _step(
        self,
        optimizer: torch.optim.Optimizer,
        parameters: list[torch.nn.Parameter],
        batch: list[int],
        step: int,
    ) -> dict[str, float]:
        rate = self.schedule.learning_rate * factor(step, self.schedule.steps)
        for group in optimizer.param_groups:
            group["lr"] = rate
        inputs = collate(
            [self.examples[i] for i in batch], whole_text=self.whole_text
        )
        loss = self.model(**inputs).loss
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, CLIP)
        optimizer.step()
        metrics = {"loss": float(loss.detach()), "learningRate": rate}
        require_finite(metrics["loss"], step + 1)
        return metrics

    def _after(
        self,
        optimizer: torch.optim.Optimizer,
        done: int,
        metrics: dict[str, float],
    ) -> None:
        last = done == self.schedule.steps
        due = done % self.schedule.checkpoint_steps == 0
        if (due or self.stop.asked) and not last:
            path = self._save(optimizer, done, metrics)
            self.reporter.checkpoint = f"checkpoints/{path.name}"
        self.reporter.report(done, metrics)
        if self.stop.asked and not last:
            raise PreemptedError

    def _save(
        self,
        optimizer: torch.optim.Optimizer,
        step: int,
        metrics: dict[str, float],
    ) -> Path:
        path = self.directory / f"{PREFIX}-{step}"
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        state = {
            "model": self.model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "metrics": metrics,
        }
        torch.save(state, path / STATE)
        checkpoints.complete(path)
        checkpoints.tidy(self.directory)
        return path

    def _resume(self, optimizer: torch.optim.Optimizer) -> int:
        checkpoints.tidy(self.directory)
        path = checkpoints.newest(self.directory)
        if path is None:
            return 0
        state = torch.load(path / STATE, weights_only=True)
        self.model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        self.reporter.checkpoint = f"checkpoints/{path.name}"
        step = checkpoints.step_of(path)
        # Whoever was killed right after saving had not told of the step.
        self.reporter.report(step, state.get("metrics", {}))
        return step


def factor(step: int, steps: int) -> float:
    """Share of the peak learning rate: linear up, then linear down."""
    warm = min(1.0, (step + 1) / WARM_UP_STEPS)
    return warm * max(LEAST_RATE, 1.0 - step / steps)


def encode(
    tokenizer: Any, rows: Sequence[dict[str, str]], longest: int
) -> list[Example]:
    """Tokens of prompt, completion and the end of text, cut to `longest`."""
    found = []
    for row in rows:
        prompt = tokenizer.encode(render_text(row["prompt"])).ids
        answer = tokenizer.encode(row["completion"]).ids
        tokens = [*prompt, *answer, EOS_ID][:longest]
        found.append(Example(tuple(tokens), min(len(prompt), len(tokens))))
    return found


def collate(
    examples: Sequence[Example], *, whole_text: bool
) -> dict[str, torch.Tensor]:
    """Right-padded inputs; labels are ignored where nothing is learnt."""
    width = max(len(e.tokens) for e in examples)
    ids = torch.full((len(examples), width), PAD_ID)
    labels = torch.full((len(examples), width), IGNORED)
    mask = torch.zeros((len(examples), width), dtype=torch.long)
    for row, example in enumerate(examples):
        tokens = torch.tensor(example.tokens)
        start = 0 if whole_text else example.answer
        ids[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = 1
        labels[row, start : len(tokens)] = tokens[start:]
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}
