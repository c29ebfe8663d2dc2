"""A compiled model in this process: the exact configuration that serves.

The fidelity test, the canary and the server all load through this module.
Defaults that must never apply here, each of them measured to change answers
or to crash: inference in bfloat16 (wrong vectors at some lengths, SIGFPE on
one CPU), keys and values kept in 8 bits (answers that depend on how a prompt
was split), activations quantised on the fly.
"""

from __future__ import annotations

import queue
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from reconciler.serving.bundle import Bundle, BundleError, Manifest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Logits = NDArray[np.float32]

STREAMS = 2
"""Requests that are computed at the same time."""

INPUTS = frozenset({"input_ids", "attention_mask", "position_ids", "beam_idx"})


def compile_options(manifest: Manifest, device: str) -> dict[str, Any]:
    """OpenVINO properties for a device."""
    options: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": manifest.precision_hint
    }
    if device == "CPU":
        options |= {
            "KV_CACHE_PRECISION": "f32",
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0",
            "NUM_STREAMS": str(STREAMS),
            "ENABLE_CPU_PINNING": False,
        }
    return options


class Session:
    """One sequence, or several that grew from one prompt.

    Not safe for use by two threads at once; `LoadedModel.session` lends each
    session to one caller.
    """

    def __init__(self, request: Any) -> None:
        self._request = request
        self._length = 0

    def reset(self) -> None:
        """Forget all tokens."""
        self._request.reset_state()
        self._length = 0

    def feed(
        self, rows: Sequence[Sequence[int]], beams: Sequence[int] = (0,)
    ) -> Logits:
        """Append one or more tokens to each row.

        Args:
            rows: new tokens; all rows equally long.
            beams: for each row, the row of the previous call it continues.

        Returns:
            Logits of shape (rows, tokens, vocabulary): a view that the next
            call overwrites.
        """
        import numpy as np

        ids = np.asarray(rows, np.int64)
        new = ids.shape[1]
        total = self._length + new
        positions = np.arange(self._length, total)
        self._request.infer(
            {
                "input_ids": ids,
                "attention_mask": np.ones((len(ids), total), np.int64),
                "position_ids": np.tile(positions, (len(ids), 1)),
                "beam_idx": np.asarray(beams, np.int32),
            }
        )
        self._length = total
        logits: Logits = self._request.get_tensor("logits").data
        return logits


class LoadedModel:
    """A bundle compiled for a device, with its tokenizer."""

    def __init__(self, bundle: Bundle, device: str) -> None:
        """Compile.

        Raises:
            BundleError: graph, weights or tokenizer cannot be loaded, or do
                not belong together.
        """
        self.manifest = bundle.manifest
        self.device = device
        self.tokenizer = load_tokenizer(bundle)
        self._compiled = _compile(bundle, device)
        self._idle: queue.SimpleQueue[Session] = queue.SimpleQueue()

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Lend an empty session."""
        try:
            session = self._idle.get_nowait()
        except queue.Empty:
            session = Session(self._compiled.create_infer_request())
        session.reset()
        yield session
        self._idle.put(session)  # one that raised is not used again

    def encode(self, text: str) -> list[int]:
        """Tokens of a prompt, with the special tokens of the tokenizer."""
        tokens: list[int] = self.tokenizer.encode(text).ids
        return tokens

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of generated tokens."""
        text: str = self.tokenizer.decode(
            list(tokens), skip_special_tokens=True
        )
        return text


def load_tokenizer(bundle: Bundle) -> Any:
    """The tokenizer, checked against the size of the vocabulary.

    Raises:
        BundleError: not a tokenizer, or one of another model.
    """
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_str(bundle.tokenizer)
    except Exception as error:  # the binding raises plain Exception
        msg = f"tokenizer.json: {error}"
        raise BundleError(msg) from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    size = tokenizer.get_vocab_size()
    if size > bundle.manifest.vocabulary_size:
        msg = (
            f"tokenizer.json has {size} tokens, the model knows "
            f"{bundle.manifest.vocabulary_size}: it belongs to another model"
        )
        raise BundleError(msg)
    canary = bundle.manifest.canary
    if canary and tuple(tokenizer.encode(canary.text).ids) != canary.tokens:
        raise BundleError(
            "tokenizer.json does not split the canary text into the tokens "
            "of the manifest: it belongs to another model"
        )
    return tokenizer


def _compile(bundle: Bundle, device: str) -> Any:
    import numpy as np
    import openvino

    core = openvino.Core()
    weights = np.frombuffer(bundle.weights, np.uint8)
    try:
        graph = core.read_model(bundle.graph, openvino.Tensor(weights))
        found = {port.get_any_name() for port in graph.inputs}
        if found != INPUTS:
            msg = f"the graph has the inputs {sorted(found)}"
            raise BundleError(msg)
        options = compile_options(bundle.manifest, device)
        return core.compile_model(graph, device, options)
    except RuntimeError as error:
        msg = f"{device}: {first_line(error)}"
        raise BundleError(msg) from error


def first_line(error: Exception) -> str:
    """The line of an OpenVINO error that says what is wrong."""
    lines = [line.strip() for line in str(error).splitlines()]
    telling = [
        line
        for line in lines
        if line and not line.startswith(("Exception from", "Check '"))
    ]
    return (telling or [type(error).__name__])[-1][:400]
