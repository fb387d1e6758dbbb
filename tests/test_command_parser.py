"""The command line: errors, `--help` and completion."""

import re
import subprocess

import pytest

from trio_stt.cli import main
from trio_stt.settings import declarations


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line with which a wrong command line ends."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    return line


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["serv"], "trio-stt: COMMAND: there is no 'serv'; did you mean serve?"),
        (["serve", "--prot", "8011"], "trio-stt serve: unknown flag --prot; did you mean --port"),
        (["serve", "--prot=8011"], "trio-stt serve: unknown flag --prot; did you mean --port"),
        (["serve", "--xyzzy"], "trio-stt serve: unknown flag --xyzzy"),
        (["serve", "8011"], "trio-stt serve: unexpected argument '8011'"),
        (["models", "pul"], "trio-stt models: ACTION: there is no 'pul'; did you mean pull?"),
        (["models", "list", "--jsn"], "trio-stt models list: unknown flag --jsn; did you mean --json?"),
        (["transcribe", "a.wav", "--format", "srv"], "trio-stt transcribe: --format: there is no 'srv'; did you mean"),
        (
            ["keys", "create", "--scope", "boss"],
            "trio-stt keys create: --scope: there is no 'boss'; there are talk, admin",
        ),
        (["serve", "--port"], "trio-stt serve: argument --port: expected one argument"),
    ],
    ids=" ".join,
)
def test_mistakes_are_one_line_with_a_suggestion(
    words: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(capsys, *words).startswith(line)


def helped(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main([*words, "--help"])
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_help_has_the_ten_common_flags_first(capsys: pytest.CaptureFixture[str]) -> None:
    text = helped(capsys, "serve")
    heads = re.findall(r"^(\S.*):$", text, re.MULTILINE)
    assert heads[-6:] == [
        "most used",
        "server, sessions and recordings",
        "access: names, keys, TLS, proxies and limits",
        "engines and lanes",
        "utterances and partials",
        "wake words",
    ]
    common = text.partition("most used:")[2].partition("server, sessions")[0]
    flags = re.findall(r"^  (--[a-z-]+)", common, re.MULTILINE)
    assert len(flags) == 10
    assert flags[:4] == ["--host", "--port", "--engine", "--model"]
    for declaration in declarations():
        for flag in declaration.flags:
            assert flag in text


def test_help_names_choices_and_types(capsys: pytest.CaptureFixture[str]) -> None:
    text = " ".join(helped(capsys, "serve").split())
    assert "--device {auto,cpu,cuda}" in text
    assert "--port N" in text
    assert "--keys-file FILE" in text
    assert "--engine-options JSON" in text
    assert "VALUE" not in text
    assert "faster_whisper" in text
    assert "whisper_cpp" in text


@pytest.mark.parametrize("value", ["CUDA", "cuda"])
def test_choices_are_checked_by_the_settings_alone(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--device", value, "--engine", "no_such"]) == 2
    assert "device" not in capsys.readouterr().err


@pytest.mark.parametrize("shell", ["bash", "fish", "zsh"])
def test_completion_names_commands_and_flags(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for word in ("transcribe", "port", "engine-options", "faster_whisper"):
        assert word in script
    if shell == "bash":
        assert subprocess.run(["/bin/bash", "-n"], input=script, text=True, check=False).returncode == 0
