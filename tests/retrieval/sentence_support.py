"""A small model such as sentence-transformers writes."""

from __future__ import annotations

import json
import string
from pathlib import Path

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefghij", "word", "text")
LETTERS = ("[PAD]", "[UNK]", *string.printable)


def write_small_model(directory: Path, vocabulary: tuple[str, ...]) -> Path:
    """A BERT of two layers with random weights that reads 32 tokens.

    Tokens are words, or single characters if the vocabulary is LETTERS.
    """
    import torch
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(directory)
    numbers = {word: i for i, word in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.WordLevel(numbers, "[UNK]"))
    tokenizer.pre_tokenizer = (
        pre_tokenizers.Split(Regex("."), "isolated")
        if vocabulary is LETTERS
        else pre_tokenizers.Whitespace()
    )
    tokenizer.save(str(directory / "tokenizer.json"))
    (directory / "sentence_bert_config.json").write_text(
        json.dumps({"max_seq_length": 32})
    )
    return directory
