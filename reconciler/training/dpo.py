"""Direct preference optimisation with its supervised term, by TRL.

The reference is the parent: the same network with its adapters switched off.
Plain sigmoid DPO wrecks small networks while its own metrics rise, so the
next-token loss on the chosen answers is added (Pang et al., Iterative
Reasoning Preference Optimization, arXiv:2404.19733).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import TrainerCallback
from typing_extensions import override

from reconciler.corpus import render_text
from reconciler.runs.progress import Reporter
from reconciler.runs.worker import PreemptedError
from reconciler.training import checkpoints
from reconciler.training.network import lora_config
from reconciler.training.parameters import Schedule
from reconciler.training.stopping import StopRequest, require_finite

METRICS = {
    "loss": "loss",
    "rewards/accuracies": "preferenceAccuracy",
    "rewards/margins": "margin",
    "learning_rate": "learningRate",
}


def train_dpo(
    model: Any,
    tokenizer: Any,
    rows: list[dict[str, str]],
    schedule: Schedule,
    seed: int,
    directory: Path,
    reporter: Reporter,
    stop: StopRequest,
) -> tuple[Any, dict[str, float]]:
    """Train; returns the model (with adapters) and the last metrics.

    Raises:
        PreemptedError: asked to stop; a checkpoint was written.
        DivergedError: the loss is not finite.
    """
    from datasets import Dataset
    from trl.trainer.dpo_trainer import DPOTrainer

    checkpoints.tidy(directory)
    following = Following(directory, reporter, stop, schedule.steps)
    trainer = DPOTrainer(
        model=model,
        args=_arguments(schedule, seed, directory),
        train_dataset=Dataset.from_list([_text(row) for row in rows]),
        processing_class=tokenizer,
        peft_config=lora_config(schedule.lora) if schedule.lora else None,
        callbacks=[following],
    )
    newest = checkpoints.newest(directory)
    if newest is not None:
        reporter.checkpoint = f"checkpoints/{newest.name}"
    trainer.train(resume_from_checkpoint=str(newest) if newest else None)
    if trainer.state.global_step < schedule.steps:
        raise PreemptedError
    return trainer.model, following.metrics


def _text(row: dict[str, str]) -> dict[str, str]:
    return {**row, "prompt": render_text(row["prompt"])}


def _arguments(schedule: Schedule, seed: int, directory: Path) -> Any:
    from trl.trainer.dpo_config import DPOConfig

    supervised = schedule.sft_weight > 0
    return DPOConfig(
        output_dir=str(directory),
        max_steps=schedule.steps,
        per_device_train_batch_size=schedule.batch_size,
        learning_rate=schedule.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=min(10, schedule.steps // 10),
        max_length=schedule.max_length,
        beta=schedule.beta,
        loss_type=["sigmoid", "sft"] if supervised else ["sigmoid"],
        loss_weights=[1.0, schedule.sft_weight] if supervised else [1.0],
        max_grad_norm=1.0,
        weight_decay=0.0,
        logging_steps=1,
        save_strategy="steps",
        save_steps=schedule.checkpoint_steps,
        seed=seed,
        data_seed=seed,
        full_determinism=False,
        # A NaN must be seen, not replaced by the mean of the last losses.
        logging_nan_inf_filter=False,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        dataloader_pin_memory=False,
        disable_tqdm=True,
        report_to=[],
    )


class Following(TrainerCallback):
    """Reports steps, completes checkpoints, and stops when asked."""

    def __init__(
        self,
        directory: Path,
        reporter: Reporter,
        stop: StopRequest,
        steps: int,
    ) -> None:
        self._directory = directory
        self._reporter = reporter
        self._stop = stop
        self._steps = steps
        self.metrics: dict[str, float] = {}

    @override
    def on_step_end(
        self, args: Any, state: Any, control: Any, **kwargs: Any
    ) -> None:
        if self._stop.asked and state.global_step < self._steps:
            control.should_save = True
            control.should_training_stop = True

    @override
    def on_log(
        self,
        args: Any,
        state: Any,
        control: Any,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        found = {
            ours: float(logs[theirs])
            for theirs, ours in METRICS.items()
            if logs is not None and theirs in logs
        }
        if found:
            self.metrics = {**self.metrics, **found}
            require_finite(self.metrics["loss"], state.global_step)
            self._reporter.report(state.global_step, self.metrics)

    @override
    def on_save(
        self, args: Any, state: Any, control: Any, **kwargs: Any
    ) -> None:
        path = self._directory / f"checkpoint-{state.global_step}"
        checkpoints.complete(path)
        checkpoints.tidy(self._directory)
        self._reporter.checkpoint = f"checkpoints/{path.name}"
