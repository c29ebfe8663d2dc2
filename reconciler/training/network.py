"""The network: made from scratch or read, adapted, merged, written."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.runs.worker import InvalidRequestError
from reconciler.training.parameters import Adapters, Network
from reconciler.training.tokenizer import BOS_ID, EOS_ID, PAD_ID

if TYPE_CHECKING:
    import torch

INITIALIZER_RANGE = 0.05
"""Wider than the usual 0.02: networks this narrow start faster with it."""

MULTIPLE = 32
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
KEEP_BYTES = 1 << 30


def quieten() -> None:
    """No network, no progress bars, no telemetry, before heavy imports."""
    os.environ.update(
        {
            "HF_HUB_OFFLINE": "1",
            "TRANSFORMERS_OFFLINE": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
            "TOKENIZERS_PARALLELISM": "false",
        }
    )


def keep_memory() -> None:
    """Have glibc keep freed memory instead of returning it at once.

    Every step allocates and frees the same large tensors; giving them back to
    the kernel and faulting them in again costs as much as the arithmetic.
    Other C libraries do not have the call and need none.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, KEEP_BYTES)
        mallopt(M_TRIM_THRESHOLD, KEEP_BYTES)


def seed_everything(seed: int, threads: int) -> None:
    """The same request gives the same weights, bit for bit."""
    import torch
    from transformers import set_seed

    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(mode=True)
    set_seed(seed)


def build(architecture: Network, vocabulary: int) -> torch.nn.Module:
    """A Llama with random weights from torch's seed."""
    from transformers import LlamaConfig, LlamaForCausalLM

    feed = 8 * architecture.hidden_size // 3
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=architecture.hidden_size,
        intermediate_size=-(-feed // MULTIPLE) * MULTIPLE,
        num_hidden_layers=architecture.layers,
        num_attention_heads=architecture.heads,
        num_key_value_heads=architecture.heads,
        max_position_embeddings=architecture.context_length,
        initializer_range=INITIALIZER_RANGE,
        tie_word_embeddings=True,
        pad_token_id=PAD_ID,
        bos_token_id=BOS_ID,
        eos_token_id=EOS_ID,
    )
    model: torch.nn.Module = LlamaForCausalLM(config)
    return model


def load(directory: Path) -> Any:
    """A causal language model in fp32.

    Raises:
        InvalidRequestError: the directory does not hold one.
    """
    import torch
    from transformers import AutoModelForCausalLM

    if not (directory / "config.json").exists():
        msg = f"{directory} holds no model"
        raise InvalidRequestError(msg)
    return AutoModelForCausalLM.from_pretrained(
        directory, dtype=torch.float32, local_files_only=True
    )


def lora_config(adapters: Adapters) -> Any:
    """PEFT's description of the adapters: on all linear layers."""
    from peft import LoraConfig

    return LoraConfig(
        r=adapters.rank,
        lora_alpha=adapters.alpha,
        lora_dropout=0.0,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )


def merged(model: Any) -> Any:
    """The model without adapters: their product is added to the weights."""
    unload = getattr(model, "merge_and_unload", None)
    return model if unload is None else unload()


def write_model(model: Any, tokenizer: Any, directory: Path) -> None:
    """A Hugging Face directory: safetensors and JSON, nothing pickled."""
    from reconciler.training.tokenizer import save_tokenizer

    directory.mkdir(parents=True, exist_ok=True)
    model.config.use_cache = True
    model.save_pretrained(directory, max_shard_size="100GB")
    save_tokenizer(tokenizer, directory)
