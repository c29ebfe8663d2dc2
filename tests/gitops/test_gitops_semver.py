"""Ranges of versions: what is chosen of a list of tags."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.gitops.semver import Version, newest

TAGS = [
    "v0.2.3", "v0.2.9", "v0.3.0", "1.0.0", "v1.2.0", "v1.2.10", "v1.2.9",
    "v1.3.0-rc.1", "v1.3.0-rc.2", "v1.4.2", "v2.0.0-alpha", "v2.0.1",
    "latest", "v1", "release-1", "2.x",
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("*", "v2.0.1"),
        (">=1.0.0 <2.0.0", "v1.4.2"),
        (">= 1.0.0, < 1.4", "v1.2.10"),
        ("^1.2", "v1.4.2"),
        ("^0.2.3", "v0.2.9"),
        ("~1.2", "v1.2.10"),
        ("~1.2.3", "v1.2.10"),
        ("~1", "v1.4.2"),
        ("1.x", "v1.4.2"),
        ("1.2.x", "v1.2.10"),
        ("=1.2.9", "v1.2.9"),
        ("v1.2.0", "v1.2.0"),
        ("1.0 - 1.2", "v1.2.10"),
        ("~0.2 || ~0.3", "v0.3.0"),
        (">=1.3.0-0 <1.4.0", "v1.3.0-rc.2"),
        ("1.3.0-rc.1", "v1.3.0-rc.1"),
        (">2.0.0-alpha <2.1", "v2.0.1"),
        ("!=2.0.1", "v1.4.2"),
        (">1.2 <2", "v1.4.2"),
        (">3", None),
    ],
)
def test_the_newest_tag_of_a_range(text: str, chosen: str | None) -> None:
    assert newest(TAGS, text) == chosen


@pytest.mark.parametrize("text", ["", "abc", ">=", "1.2.3.4", "^1 ||", "1 2x"])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="range"):
        newest(TAGS, text)


numbers = st.integers(0, 3)
versions = st.builds(
    Version,
    st.tuples(numbers, numbers, numbers),
    st.sampled_from([(), ("alpha",), ("alpha", "1"), ("rc", "2"), ("7",)]),
)


@given(st.lists(versions, min_size=3, max_size=3))
def test_the_order_is_total(found: list[Version]) -> None:
    one, two, three = sorted(found)
    assert one <= two <= three
    assert one <= three
    assert (one < three) or (one == three)


@given(versions, numbers, numbers)
def test_a_caret_stays_in_its_major(found: Version, a: int, b: int) -> None:
    name = ".".join(map(str, found.numbers))
    chosen = newest([name], f"^{a + 1}.{b}")
    inside = found.numbers[0] == a + 1 and found.numbers[1] >= b
    assert (chosen is not None) == inside
