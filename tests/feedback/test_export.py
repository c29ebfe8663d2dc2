"""Data sets: reproducible, whole or absent, and without a gap."""

from __future__ import annotations

import json
import os
import random
import threading
import time

import psycopg
import pytest

from reconciler.artifacts import digest_of
from reconciler.feedback import (
    HorizonError,
    counts,
    export_preferences,
    import_rows,
)
from reconciler.feedback import export as export_module
from reconciler.feedback.export import read_rows
from reconciler.feedback.resource import Rewards
from reconciler.feedback.rewards import mapping_digest


def row(kind, value, **more):
    return {
        "kind": kind,
        "model": "docs",
        "generation": "docs-1",
        "prompt": "What does json.dumps do?",
        "response": "bad",
        "value": value,
        "rater": "ann",
        "at": "2026-11-25T01:00:00Z",
        **more,
    }


ROWS = [
    row("comparison", "b", response_b="good"),
    row("correction", "corrected"),
    row("thumbs", value=True, prompt="What does é do?", response="fine"),
    row("rating", 1, prompt="What does é do?", response="poor"),
    row("thumbs", value=True, prompt="held out", response="x"),
    row("thumbs", value=False, prompt="held out", response="y"),
]


def keep(_prompt):
    return False


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def filled(dsn):
    import_rows(dsn, ROWS)
    return dsn, counts(dsn).through


def test_an_export_is_a_data_set_of_pairs_and_completions(filled, tmp_path):
    dsn, through = filled
    out = tmp_path / "deep" / "dataset"
    report = export_preferences(
        dsn, "0", str(through), out, lambda prompt: prompt == "held out"
    )
    prompt = "What does json.dumps do?"
    assert lines(out / "train.jsonl") == [
        {"prompt": prompt, "chosen": "corrected", "rejected": "bad"},
        {"prompt": prompt, "chosen": "good", "rejected": "bad"},
        {"prompt": "What does é do?", "chosen": "fine", "rejected": "poor"},
    ]
    assert lines(out / "sft.jsonl") == [
        {"prompt": prompt, "completion": "corrected"}
    ]
    meta = json.loads((out / "meta.json").read_text())
    assert meta["kind"] == "preference"
    assert meta["counts"] == {"train": 3, "sft": 1}
    source = meta["sources"]["feedback"]
    assert (source["after"], source["through"]) == ("0", str(through))
    assert (source["rows"], source["excluded"]) == (6, 2)
    assert source["mappingDigest"] == mapping_digest(Rewards())
    assert (report.pairs, report.completions, report.excluded) == (3, 1, 2)


def test_the_same_rows_are_the_same_bytes_whatever_else_arrives(
    filled, tmp_path
):
    dsn, through = filled
    export_preferences(dsn, 0, through, tmp_path / "a", keep)
    import_rows(dsn, [row("correction", "later", rater="bob")])
    export_preferences(dsn, 0, through, tmp_path / "b", keep)
    assert digest_of(tmp_path / "a") == digest_of(tmp_path / "b")


def test_another_server_gives_the_same_rows_the_same_pairs(
    server, filled, tmp_path
):
    dsn, through = filled
    other = server.ensure("test.second")
    import_rows(other, reversed(ROWS))
    export_preferences(dsn, 0, through, tmp_path / "a", keep)
    export_preferences(other, 0, counts(other).through, tmp_path / "b", keep)
    for name in ("train.jsonl", "sft.jsonl"):
        assert (tmp_path / "a" / name).read_bytes() == (
            tmp_path / "b" / name
        ).read_bytes()


def test_ranges_follow_each_other(filled, tmp_path):
    dsn, through = filled
    import_rows(dsn, [row("comparison", "a", prompt="n", response_b="z")])
    end = counts(dsn).through
    report = export_preferences(dsn, through, end, tmp_path / "next", keep)
    assert (report.rows, report.pairs) == (1, 1)
    nothing = export_preferences(dsn, end, end, tmp_path / "empty", keep)
    assert (nothing.rows, nothing.pairs) == (0, 0)
    assert (tmp_path / "empty" / "train.jsonl").read_text() == ""


def test_repeating_an_export_is_fine_overwriting_is_not(filled, tmp_path):
    dsn, through = filled
    out = tmp_path / "out"
    first = export_preferences(dsn, 0, through, out, keep)
    inode = out.stat().st_ino
    assert export_preferences(dsn, 0, through, out, keep) == first
    assert out.stat().st_ino == inode
    (out / "train.jsonl").write_text("something else\n")
    with pytest.raises(FileExistsError):
        export_preferences(dsn, 0, through, out, keep)
    assert (out / "train.jsonl").read_text() == "something else\n"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_full_disk_leaves_nothing(filled, tmp_path, monkeypatch):
    dsn, through = filled
    written = []

    def full(path, content):
        if written:
            raise OSError(28, os.strerror(28))
        written.append(path)
        path.write_bytes(content)

    monkeypatch.setattr(export_module, "_write", full)
    with pytest.raises(OSError, match="space"):
        export_preferences(dsn, 0, through, tmp_path / "out", keep)
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_final_is_not_exported(filled, tmp_path):
    dsn, through = filled
    with pytest.raises(HorizonError, match="still open"):
        export_preferences(dsn, 0, through + 1000, tmp_path / "out", keep)
    with pytest.raises(ValueError, match="nothing from"):
        export_preferences(dsn, 9, 3, tmp_path / "out", keep)
    assert not (tmp_path / "out").exists()


def write_until(stop, dsn, number, written):
    """Short transactions, held open a while, a tenth of them rolled back."""
    draw = random.Random(number)  # noqa: S311 - repeatable, not secret
    with psycopg.connect(dsn) as connection:
        while not stop.is_set():
            batch = [
                f"{number}-{draw.random()}" for _ in range(draw.randint(1, 20))
            ]
            for prompt in batch:
                connection.execute(
                    "INSERT INTO feedback.judgements (id, kind, model, "
                    "generation, prompt, response, value, rater) VALUES "
                    "(gen_random_uuid(), 'thumbs', 'm', 'g', %s, 'r', "
                    "'true', 'ann')",
                    (prompt,),
                )
            time.sleep(draw.random() * 0.1)
            if draw.random() < 0.1:
                connection.rollback()
            else:
                connection.commit()
                written.extend(batch)


@pytest.mark.slow
def test_no_row_is_missed_or_taken_twice_under_eight_writers(dsn):
    stop = threading.Event()
    written: list[list[str]] = [[] for _ in range(8)]
    writers = [
        threading.Thread(target=write_until, args=(stop, dsn, n, written[n]))
        for n in range(8)
    ]
    for writer in writers:
        writer.start()
    taken: list[str] = []
    position = 0

    def take() -> None:
        nonlocal position
        end = counts(dsn, position).through
        with psycopg.connect(dsn) as connection:
            found = read_rows(connection, position, end)
            taken.extend(judgement.prompt for judgement in found)
        position = end

    while len(taken) < 200:
        take()
    stop.set()
    for writer in writers:
        writer.join()
    take()
    everything = [prompt for each in written for prompt in each]
    assert len(everything) >= 200
    assert sorted(taken) == sorted(everything)


def test_models_that_share_a_store_learn_from_their_own_rows(
    dsn, tmp_path
) -> None:
    import_rows(
        dsn,
        [
            row("correction", "corrected"),
            row("correction", "other", model="other"),
        ],
    )
    found = counts(dsn)
    assert (found.rows, found.new) == (2, 2)
    assert counts(dsn, model="other").new == 1
    assert counts(dsn, model="nobody").new == 0
    report = export_preferences(
        dsn, 0, found.through, tmp_path / "d", keep, model="other"
    )
    assert (report.rows, report.pairs) == (1, 1)
    (pair,) = lines(tmp_path / "d" / "train.jsonl")
    assert pair["chosen"] == "other"
