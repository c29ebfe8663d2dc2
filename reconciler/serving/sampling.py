"""How the next token is chosen. Pure numpy, no model."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass
class Sampler:
    """Draws tokens for one answer.

    Args:
        temperature: 0 always takes the likeliest token.
        top_p: share of probability that the candidates must hold.
        seed: the same seed and index give the same draws; None draws anew.
        index: number of the answer, so that several differ.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    seed: int | None = None
    index: int = 0
    _random: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        import numpy as np

        seed = secrets.randbits(64) if self.seed is None else self.seed
        self._random = np.random.default_rng([seed, self.index])

    def choose(self, logits: NDArray[np.float32]) -> int:
        """The next token for logits of shape (vocabulary,)."""
        import numpy as np

        if self.temperature <= 0:
            return int(np.argmax(logits))
        weights = self._probabilities(logits)
        order = np.argsort(-weights, kind="stable")
        total = np.cumsum(weights[order])
        # The candidates are the likeliest tokens up to and including the
        # one that reaches top_p, so there is always at least one.
        count = int(np.searchsorted(total, self.top_p * total[-1])) + 1
        count = min(count, len(order))
        draw = self._random.random() * total[count - 1]
        chosen = int(np.searchsorted(total[:count], draw, side="right"))
        return int(order[min(chosen, count - 1)])

    def _probabilities(
        self, logits: NDArray[np.float32]
    ) -> NDArray[np.float64]:
        import numpy as np

        # Subtract before dividing: a tiny temperature must not overflow.
        centred = logits.astype(np.float64) - float(np.max(logits))
        weights: NDArray[np.float64] = np.exp(centred / self.temperature)
        weights /= weights.sum()
        return weights


def log_likelihood(
    logits: NDArray[np.float32], tokens: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Natural log-probability of each token given its row of logits."""
    import numpy as np

    rows = logits.astype(np.float64)
    top = rows.max(axis=-1, keepdims=True)
    norm = np.log(np.exp(rows - top).sum(axis=-1)) + top[:, 0]
    chosen: NDArray[np.float64] = rows[np.arange(len(rows)), tokens]
    chosen -= norm
    return chosen
