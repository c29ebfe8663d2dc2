"""Builds the models of the serving tests, in a process of its own.

``python make_models.py DIRECTORY``: two tiny random models, what the
unquantised first one answers greedily, and conversions in this process.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM

from reconciler.corpus.question import render_text
from reconciler.runs.protocol import Request, RunDirectory
from reconciler.serving.bundle import GRAPH, read_manifest, write_manifest
from reconciler.serving.convert import convert
from reconciler.serving.export import export, load_reference
from reconciler.serving.stateful import canonical, make_stateful

PROMPTS = ("What does json.dumps do?", "Who?", "What is os.path.join for?")
NEW_TOKENS = 24
VOCABULARY = 300
CONTEXT = 96


def main(root: Path) -> None:
    text = Path(json.__file__).read_text()
    make_tokenizer(text).save(str(root / "tokenizer.json"))
    for seed in (1, 2):
        make_model(root, f"model{seed}", seed)
    make_nan_model(root)
    answers = greedy(root / "model1", root / "tokenizer.json")
    (root / "greedy.json").write_text(json.dumps(answers))
    for name, changes in {
        "first": {},
        "again": {},
        "second": {"model": str(root / "model2")},
        "nan": {"model": str(root / "nan")},
        "strict": {"maxPerplexityChange": 0, "minTop1Agreement": 1},
        "nowhere": {"device": "NPU"},
    }.items():
        run = RunDirectory(root / name)
        request = make_request(root / "model1", changes)
        run.write_request(request)
        run.write_result(convert(run, request))
    make_exact_bundle(root / "first/output/ir", root / "model1", root)


def make_request(model: Path, changes: dict[str, object]) -> Request:
    parameters = {
        "stage": "convert",
        "model": str(model),
        "precision": "INT8",
        "device": "CPU",
        "minTop1Agreement": "0.9",
        "maxPerplexityChange": "0.05",
        "calibration": None,
        **changes,
    }
    return Request(
        work="reconciler.serving",
        name="tiny-convert",
        key="tiny",
        parameters=parameters,
    )


def make_tokenizer(text: str) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<pad>", "<bos>", "<eos>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([text], trainer)
    return tokenizer


def make_model(root: Path, name: str, seed: int) -> None:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        # Large enough for answers that are clearly the likeliest.
        initializer_range=0.6,
        tie_word_embeddings=False,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    LlamaForCausalLM(config).save_pretrained(root / name)
    tokenizer = (root / "tokenizer.json").read_bytes()
    (root / name / "tokenizer.json").write_bytes(tokenizer)


def make_nan_model(root: Path) -> None:
    make_model(root, "nan", 3)
    model = LlamaForCausalLM.from_pretrained(root / "nan")
    with torch.no_grad():
        model.model.norm.weight[0] = float("nan")
    model.save_pretrained(root / "nan")


def make_exact_bundle(quantised: Path, source: Path, root: Path) -> None:
    """The same model without quantisation: it must equal transformers."""
    directory = root / "exact"
    shutil.copytree(quantised, directory)
    graph = export(load_reference(source))
    make_stateful(graph)
    canonical(graph)
    import openvino

    openvino.save_model(graph, directory / GRAPH, compress_to_fp16=False)
    manifest = read_manifest(directory)
    changes = {"precision": "FP32", "canary": None}
    write_manifest(directory, manifest.model_copy(update=changes))


def greedy(directory: Path, tokenizer_file: Path) -> dict[str, list[int]]:
    """What plain transformers generates, without a cache."""
    model = LlamaForCausalLM.from_pretrained(directory).eval()
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    found = {}
    for prompt in PROMPTS:
        ids = tokenizer.encode(render_text(prompt)).ids
        start = len(ids)
        while len(ids) < start + NEW_TOKENS:
            with torch.inference_mode():
                logits = model(torch.tensor([ids]), use_cache=False).logits
            token = int(logits[0, -1].argmax())
            if token == 2:
                break
            ids.append(token)
        found[prompt] = ids[start:]
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]))
