"""Text to learn from and to be judged by: questions with known answers.

Standard library only, so that every process may import it. A subject belongs
to exactly one split, decided by its name: what is asked in an evaluation is
never trained on, whichever way a row reached a data set.
"""

from __future__ import annotations

from reconciler.corpus.docstrings import python_docstrings
from reconciler.corpus.question import (
    PROMPT_TEMPLATE,
    Example,
    Split,
    is_held_out,
    render_prompt,
    render_text,
    split_of,
    subject_of,
)

__all__ = [
    "PROMPT_TEMPLATE",
    "Example",
    "Split",
    "is_held_out",
    "python_docstrings",
    "render_prompt",
    "render_text",
    "split_of",
    "subject_of",
]
