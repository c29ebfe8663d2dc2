import string
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.corpus import (
    Example,
    is_held_out,
    render_prompt,
    render_text,
    split_of,
    subject_of,
)
from reconciler.corpus.question import example

SUBJECTS = st.lists(
    st.text(string.ascii_letters + "_", min_size=1, max_size=8),
    min_size=1,
    max_size=4,
).map(".".join)


@given(SUBJECTS)
def test_a_prompt_names_its_subject(subject: str) -> None:
    assert subject_of(render_prompt(subject)) == subject


@given(st.text())
def test_model_text_is_stable_under_a_second_rendering(prompt: str) -> None:
    text = render_text(prompt)

    assert render_text(text) == text
    assert text.endswith("\n")


@pytest.mark.parametrize(
    "prompt", ["", "What does", "How do I sort?", "What does a b do?"]
)
def test_free_text_has_no_subject_and_is_never_held_out(prompt: str) -> None:
    assert subject_of(prompt) is None
    assert not is_held_out(prompt)


def test_spaces_around_a_prompt_do_not_hide_a_held_out_subject() -> None:
    subject = next(
        f"a.f{n}" for n in range(100) if split_of(f"a.f{n}") == "heldout"
    )

    assert is_held_out(f"  {render_prompt(subject)}\n")


def test_splits_are_80_10_10() -> None:
    counts = Counter(split_of(f"module.name{n}") for n in range(20_000))

    assert counts["train"] == pytest.approx(16_000, rel=0.02)
    assert counts["feedback"] == pytest.approx(2_000, rel=0.08)
    assert counts["heldout"] == pytest.approx(2_000, rel=0.08)


def test_the_split_of_a_subject_never_moves() -> None:
    known = {
        "json.dumps": "train",
        "re.search": "heldout",
        "os.walk": "heldout",
        "ast.ExtSlice": "feedback",
    }

    assert {s: split_of(s) for s in known} == known


def test_an_example_is_made_of_its_subject() -> None:
    made = example("json.dumps", "Serialize obj.")

    assert made == Example(
        id=made.id,
        subject="json.dumps",
        prompt="What does json.dumps do?",
        answer="Serialize obj.",
        split=split_of("json.dumps"),
    )
    assert made.id != example("json.loads", "Serialize obj.").id
