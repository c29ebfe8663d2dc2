from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reconciler.serving.bundle import (
    BundleError,
    Manifest,
    end_tokens,
    read_bundle,
    read_json,
    read_manifest,
    write_manifest,
)
from reconciler.serving.runtime import compile_options, first_line

FILES = ("openvino_model.xml", "openvino_model.bin", "tokenizer.json")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    directory = tmp_path / "ir"
    directory.mkdir()
    for name in FILES:
        (directory / name).write_text(f"content of {name}")
    write_manifest(directory, manifest())
    return directory


def manifest(**changes: Any) -> Manifest:
    fields = {
        "precision": "INT8_ASYM",
        "device": "CPU",
        "context_length": 8,
        "vocabulary_size": 10,
        "end_tokens": (2,),
        "source": "sha256:x",
        "files": {},
        **changes,
    }
    return Manifest.model_validate(fields)


def change(directory: Path, **fields: Any) -> None:
    path = directory / "serving.json"
    data = json.loads(path.read_text())
    path.write_text(json.dumps({**data, **fields}))


def test_a_bundle_is_read_whole(bundle: Path) -> None:
    found = read_bundle(bundle)
    assert found.graph == b"content of openvino_model.xml"
    assert found.weights == b"content of openvino_model.bin"
    assert found.tokenizer == "content of tokenizer.json"
    assert set(found.manifest.files) == set(FILES)


def test_links_are_resolved_once(bundle: Path) -> None:
    link = bundle.with_name("current")
    link.symlink_to(bundle)
    assert read_bundle(link).directory == bundle.resolve()


@pytest.mark.parametrize("name", FILES)
def test_a_changed_file_is_refused(bundle: Path, name: str) -> None:
    (bundle / name).write_text("changed")
    with pytest.raises(BundleError, match=f"{name} is not the file"):
        read_bundle(bundle)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    with pytest.raises(BundleError, match=f"{name}: No such file"):
        read_bundle(bundle)


def test_a_manifest_that_does_not_vouch_for_all_is_refused(
    bundle: Path,
) -> None:
    change(bundle, files={})
    with pytest.raises(BundleError, match=r"lists no openvino_model\.bin"):
        read_bundle(bundle)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/b"])
def test_a_manifest_cannot_lead_out_of_its_directory(
    bundle: Path, name: str
) -> None:
    files = dict(read_manifest(bundle).files)
    change(bundle, files={**files, name: "sha256:x"})
    with pytest.raises(BundleError, match="not a plain file name"):
        read_bundle(bundle)


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"contextLength": 0}, "contextLength"),
        ({"format": "other"}, "format"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_an_invalid_manifest_names_the_field(
    bundle: Path, fields: dict[str, Any], where: str
) -> None:
    change(bundle, **fields)
    with pytest.raises(BundleError, match=where):
        read_bundle(bundle)


def test_nothing_there_is_an_error_with_the_path(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="none: No such file"):
        read_bundle(tmp_path / "none")


def test_the_generation_config_decides_where_answers_end() -> None:
    assert end_tokens({"eos_token_id": 2}, {}) == (2,)
    assert end_tokens({"eos_token_id": 2}, {"eos_token_id": [3, 4]}) == (3, 4)
    assert end_tokens({}, {}) == ()
    assert end_tokens({"eos_token_id": None}, {}) == ()


def test_configs_may_be_missing_but_not_nonsense(tmp_path: Path) -> None:
    assert read_json(tmp_path / "none.json") == {}
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(BundleError, match="not a JSON object"):
        read_json(tmp_path / "list.json")


def test_the_precision_hint_is_always_set() -> None:
    for device in ("CPU", "GPU.0", "NPU"):
        options = compile_options(manifest(), device)
        assert options["INFERENCE_PRECISION_HINT"] == "f32"
    options = compile_options(manifest(), "CPU")
    assert options["KV_CACHE_PRECISION"] == "f32"
    assert options["ENABLE_CPU_PINNING"] is False
    assert "KV_CACHE_PRECISION" not in compile_options(manifest(), "NPU")


def test_the_telling_line_of_an_error_is_found() -> None:
    error = RuntimeError(
        "Exception from src/core.cpp:1:\nCheck 'x' failed\nNo such device\n"
    )
    assert first_line(error) == "No such device"
    assert first_line(RuntimeError("")) == "RuntimeError"
    assert len(first_line(RuntimeError("x" * 9999))) == 400
