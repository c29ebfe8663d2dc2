from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from reconciler.cli.errors import CommandError
from reconciler.cli.lock import exclusive
from reconciler.cli.main import COMMANDS, main, parser
from reconciler.cli.names import kind_of, kinds_of, split_target
from reconciler.cli.output import asked_for
from reconciler.cli.repository import repository_body
from reconciler.cli.session import kubeconfig_of
from reconciler.cli.up import roles_of
from reconciler.generations.resource import Model
from reconciler.gitops.resource import ConfigRepository


@pytest.mark.parametrize("word", ["mdl", "model", "models", "Model"])
def test_a_kind_has_all_its_names(word: str) -> None:
    assert kind_of(word) is Model


def test_an_unknown_kind_names_the_known_ones() -> None:
    with pytest.raises(CommandError, match=r"'pod'.*mdl.*reconciler"):
        kind_of("pod")


def test_the_category_means_every_kind() -> None:
    definitions = (Path(__file__).parents[2] / "crds").glob("*.yaml")
    kinds = {path.stem for path in definitions} - {"kustomization"}
    assert {k.definition.plural for k in kinds_of("reconciler")} == kinds


def test_targets_are_written_in_two_ways() -> None:
    assert split_target(["mdl/x"]) == ("mdl", "x")
    assert split_target(["mdl", "x"]) == ("mdl", "x")
    assert split_target(["mdl"]) == ("mdl", None)
    for words in (["mdl", "x", "y"], ["mdl/x", "y"]):
        with pytest.raises(CommandError, match="one object at a time"):
            split_target(words)


def test_common_options_stand_before_or_after_the_command() -> None:
    before = parser().parse_args(["--state", "s", "-n", "x", "get", "mdl"])
    after = parser().parse_args(["get", "mdl", "--state", "s", "-n", "x"])
    assert (before.state, before.namespace) == ("s", "x")
    assert (after.state, after.namespace) == ("s", "x")
    words = ["feedback", "import", "opinions", "rows.jsonl", "-n", "x"]
    assert parser().parse_args(words).namespace == "x"
    neither = parser().parse_args(["get", "mdl"])
    assert (neither.state, neither.namespace) == (None, "default")


def test_up_explains_what_stops_it(tmp_path, capsys) -> None:
    file = tmp_path / "file"
    file.touch()
    assert main(["--state", str(file), "up"]) == 1
    assert str(file) in capsys.readouterr().err
    words = ["--state", str(tmp_path / "s"), "--kubeconfig", "/nope", "up"]
    assert main(words) == 1
    error = capsys.readouterr().err
    assert error == "error: /nope does not exist\n"
    with pytest.raises(SystemExit):
        main(["up", "--workers", "0"])
    assert "must be at least 1" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_explains(command: str, capsys) -> None:
    words = {"requests": "reconcile"}.get(command, command)
    with pytest.raises(SystemExit) as stopped:
        main([*([words] if words else []), "--help"])
    assert stopped.value.code == 0
    assert "usage: reconciler" in capsys.readouterr().out


def test_a_missing_command_is_wrong_usage(capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([])
    assert stopped.value.code == 2
    assert "COMMAND" in capsys.readouterr().err


def test_errors_are_one_line_and_an_exit_code(capsys, tmp_path) -> None:
    assert main(["--state", str(tmp_path), "get", "nonsense"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: unknown kind 'nonsense'")
    assert error.count("\n") == 1


def test_a_state_directory_without_an_operator_says_so(tmp_path) -> None:
    with pytest.raises(CommandError, match="is `reconciler up` running"):
        kubeconfig_of(None, str(tmp_path))


def test_which_kubeconfig_is_used(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    assert kubeconfig_of("given", None) == Path("given")
    home = tmp_path / "home"
    monkeypatch.setattr("reconciler.cli.session.HOME_KUBECONFIG", home)
    with pytest.raises(CommandError, match="start `reconciler up` here"):
        kubeconfig_of(None, None)
    home.touch()
    assert kubeconfig_of(None, None) is None
    local = Path(".reconciler")
    local.mkdir()
    (local / "kubeconfig").touch()
    assert kubeconfig_of(None, None) == local / "kubeconfig"
    monkeypatch.setenv("KUBECONFIG", f"env{os.pathsep}other")
    assert kubeconfig_of(None, None) == Path("env")
    assert kubeconfig_of(None, ".reconciler") == local / "kubeconfig"


def test_roles_are_checked() -> None:
    assert roles_of("node") == {"node"}
    assert roles_of("controller, node") == {"controller", "node"}
    with pytest.raises(CommandError, match="worker"):
        roles_of("worker")
    with pytest.raises(CommandError, match="none given"):
        roles_of("")


def test_a_repository_is_a_url_or_a_directory(tmp_path) -> None:
    git = repository_body("https://git.example/x.git", "ns")
    assert ConfigRepository.parse(git).spec.git.url.endswith("x.git")
    folder = repository_body(str(tmp_path), "ns")
    assert ConfigRepository.parse(folder).spec.directory.path == str(tmp_path)
    with pytest.raises(CommandError, match="neither"):
        repository_body(str(tmp_path / "absent"), "ns")


def test_the_lock_is_exclusive_and_names_its_owner(tmp_path) -> None:
    said = f"in use by `reconciler up` \\(pid {os.getpid()}\\)"
    with (
        exclusive(tmp_path, "`reconciler up`"),
        pytest.raises(CommandError, match=said),
        exclusive(tmp_path, "`reconciler operator`"),
    ):
        pytest.fail("two owners")
    with exclusive(tmp_path, "`reconciler operator`"):
        pass


def test_the_completion_script_is_valid_bash(capsys, tmp_path) -> None:
    assert main(["completion", "bash"]) == 0
    script = tmp_path / "completion"
    script.write_text(capsys.readouterr().out)
    subprocess.run(["bash", "-n", str(script)], check=True, timeout=10)
    ask = f"""
source {script}
COMP_WORDS=(reconciler get m); COMP_CWORD=2; _reconciler
echo "${{COMPREPLY[@]}}"
COMP_WORDS=(reconciler rec); COMP_CWORD=1; _reconciler
echo "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(
        ["bash", "-c", ask],
        check=True,
        capture_output=True,
        text=True,
        timeout=10,
    )
    assert done.stdout.splitlines() == ["mdl", "reconcile"]


def test_the_command_does_not_import_what_it_does_not_need() -> None:
    code = (
        "import sys, reconciler.cli.main as m; m.parser();"
        "print([n for n in ('torch', 'numpy', 'kopf', 'openvino') "
        "if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.strip() == "[]"


def test_every_command_can_be_run() -> None:
    arguments = parser().parse_args(["get", "mdl"])
    assert callable(arguments.run)


@pytest.mark.parametrize(
    ("words", "output"),
    [
        (["get", "-o", "json"], "json"),
        (["tree", "-oyaml"], "yaml"),
        (["diff", "--output=json", "x"], "json"),
        (["get", "-o", "wide"], None),
        (["get", "-o"], None),
        (["get", "mdl"], None),
    ],
)
def test_what_a_program_asks_for(words: list[str], output: str | None) -> None:
    assert asked_for(words) == output


@pytest.mark.parametrize(
    "command",
    [
        "get",
        "tree",
        "trace",
        "events",
        "diff",
        "reconcile",
        "suspend",
        "resume",
    ],
)
def test_wrong_usage_is_told_to_programs_too(command: str, capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([command, "--nonsense", "-o", "json", "mdl", "x"])
    assert stopped.value.code == 2
    printed = capsys.readouterr()
    error = json.loads(printed.out)["error"]
    assert error["exitCode"] == 2
    assert "--nonsense" in error["message"]
    assert "usage: reconciler" in printed.err


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["get", "nonsense"], 2),
        (["trace", "mdl"], 2),
        (["reconcile", "mdl"], 2),
        (["suspend", "mdl"], 2),
        (["diff"], 2),
        (["tree"], 1),
        (["events"], 1),
        (["resume", "mdl", "x"], 1),
    ],
)
def test_errors_are_told_to_programs_too(
    words: list[str], code: int, capsys, tmp_path
) -> None:
    asked = ["--state", str(tmp_path), *words, "-o", "yaml"]
    assert main(asked) == code
    printed = capsys.readouterr()
    error = YAML(typ="safe").load(printed.out)["error"]
    assert error["exitCode"] == code
    assert printed.err == f"error: {error['message']}\n"
