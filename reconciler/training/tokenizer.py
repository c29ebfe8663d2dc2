"""A byte-level BPE tokenizer, trained on the data of the first generation.

No special token is added to a text: the network reads the prompt as it is
and ends an answer with ``<eos>``, which only training appends.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

PAD, BOS, EOS = "<pad>", "<bos>", "<eos>"
PAD_ID, BOS_ID, EOS_ID = 0, 1, 2
FILE = "tokenizer.json"


def train_tokenizer(texts: Iterable[str], vocabulary_size: int) -> Any:
    """Train a ``tokenizers.Tokenizer``; the same texts give the same one."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from tokenizers.trainers import BpeTrainer

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        texts,
        BpeTrainer(
            vocab_size=vocabulary_size,
            special_tokens=[PAD, BOS, EOS],
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        ),
    )
    return tokenizer


def load_tokenizer(directory: Path) -> Any:
    """The ``tokenizers.Tokenizer`` of a model directory."""
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(directory / FILE))


def save_tokenizer(tokenizer: Any, directory: Path) -> None:
    """Write it in the form that transformers and others read."""
    from transformers import PreTrainedTokenizerFast

    fast = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        clean_up_tokenization_spaces=False,
    )
    fast.save_pretrained(directory)
