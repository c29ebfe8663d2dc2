"""How a judgement becomes numbers in [-1, 1]."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import cast

from reconciler.feedback.judgement import Judgement
from reconciler.feedback.resource import Rewards

DEFAULT_REWARDS = Rewards()


@dataclass(frozen=True)
class Reward:
    """What one answer earned by one judgement."""

    response: str
    value: float
    """In [-1, 1]."""


def mapping_digest(rewards: Rewards) -> str:
    """Identity of a reward mapping: ``sha256:<hex>`` of its canonical JSON."""
    data = rewards.model_dump(mode="json", by_alias=True)
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def rewards_of(judgement: Judgement, mapping: Rewards) -> tuple[Reward, ...]:
    """The rewards that a judgement gives, one for each answer it names.

    A rating above the scale counts as the best one. A tie gives both
    answers 0. A correction says something about the original only: that the
    corrected text is right is a preference, not a reward.
    """
    value = judgement.value
    first = judgement.response
    match judgement.kind:
        case "thumbs":
            given = mapping.thumbs_up if value else mapping.thumbs_down
            return (Reward(first, _clip(float(given))),)
        case "rating":
            place = (cast("int", value) - 1) / (mapping.rating_scale - 1)
            return (Reward(first, _clip(2 * place - 1)),)
        case "comparison":
            sign = {"a": 1.0, "b": -1.0}.get(str(value), 0.0)
            earned = sign * _clip(float(mapping.comparison))
            second = judgement.response_b or ""
            return (Reward(first, earned), Reward(second, -earned))
        case "correction":
            return (Reward(first, _clip(float(mapping.correction))),)


def _clip(value: float) -> float:
    return max(-1.0, min(1.0, value)) + 0.0  # no negative zero
