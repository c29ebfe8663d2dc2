"""From a Hugging Face causal language model to an OpenVINO graph.

The graph takes the keys and values of earlier tokens as explicit inputs;
``stateful.py`` then turns them into states. The attention mask is built here
as a plain four-dimensional tensor, because the mask code of transformers
depends on Python control flow that a trace freezes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import override

if TYPE_CHECKING:
    import torch

PAST = "past."
PRESENT = "present."
_MASKED = -3.4e38
_BATCH, _PAST, _NEW = 2, 3, 5


def load_reference(directory: Path) -> Any:
    """The unquantised model in float32, in evaluation mode.

    Raises:
        OSError, ValueError: the directory holds no model that transformers
            can read without running code from it.
    """
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(
        directory,
        dtype=torch.float32,
        attn_implementation="sdpa",
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
    )
    model.train(mode=False)
    return model


class _TracedCache:
    """The part of a transformers cache that attention layers call."""

    def __init__(self, past: tuple[torch.Tensor, ...]) -> None:
        self._past = past
        self.present: list[torch.Tensor] = []

    def update(
        self,
        keys: torch.Tensor,
        values: torch.Tensor,
        layer: int,
        *_: Any,
        **__: Any,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append to a layer and return all of its keys and values."""
        import torch

        keys = torch.cat([self._past[2 * layer], keys], dim=-2)
        values = torch.cat([self._past[2 * layer + 1], values], dim=-2)
        self.present += [keys, values]
        return keys, values

    def get_seq_length(self, _layer: int = 0) -> int:
        """Tokens seen before."""
        return int(self._past[0].shape[-2])


def _wrapper(model: Any) -> Any:
    """A module with tensors only in its signature, ready for a trace."""
    import torch

    class WithPast(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        @override
        def forward(
            self,
            input_ids: torch.Tensor,
            attention_mask: torch.Tensor,
            position_ids: torch.Tensor,
            *past: torch.Tensor,
        ) -> tuple[torch.Tensor, ...]:
            cache = _TracedCache(past)
            columns = torch.arange(attention_mask.shape[1])
            causal = (
                columns[None, None, None, :]
                <= (position_ids[:, None, :, None])
            )
            allowed = causal & attention_mask[:, None, None, :].bool()
            result = self.model(
                input_ids=input_ids,
                attention_mask=torch.where(allowed, 0.0, _MASKED),
                position_ids=position_ids,
                past_key_values=cache,
                use_cache=True,
            )
            return (result.logits, *cache.present)

    return WithPast()


def _past_shape(config: Any) -> tuple[int, int]:
    """Key/value heads and width of a head."""
    heads = config.num_attention_heads
    key_value = getattr(config, "num_key_value_heads", None) or heads
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    return int(key_value), int(width)


def export(model: Any) -> Any:
    """Trace `model`; returns an ``openvino.Model`` with explicit past.

    Inputs: input_ids, attention_mask (past and new), position_ids, then
    past.0, past.1, ... (key and value of each layer in turn). Outputs:
    logits, then present.0, present.1, ...
    """
    import openvino
    import torch

    heads, width = _past_shape(model.config)
    count = 2 * model.config.num_hidden_layers
    example = (
        torch.ones(_BATCH, _NEW, dtype=torch.long),
        torch.ones(_BATCH, _PAST + _NEW, dtype=torch.long),
        torch.arange(_PAST, _PAST + _NEW).expand(_BATCH, _NEW),
        *(torch.zeros(_BATCH, heads, _PAST, width) for _ in range(count)),
    )
    with torch.no_grad():
        graph = openvino.convert_model(_wrapper(model), example_input=example)
    names = ["input_ids", "attention_mask", "position_ids"]
    names += [f"{PAST}{i}" for i in range(count)]
    for port, name in zip(graph.inputs, names, strict=True):
        port.get_tensor().set_names({name})
        if name.startswith(PAST):
            shape = openvino.PartialShape([-1, heads, -1, width])
            port.get_node().set_partial_shape(shape)
    names = ["logits", *(f"{PRESENT}{i}" for i in range(count))]
    for port, name in zip(graph.outputs, names, strict=True):
        port.get_tensor().set_names({name})
    graph.validate_nodes_and_infer_types()
    return graph
