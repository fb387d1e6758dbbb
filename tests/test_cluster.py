"""`trio-stt cluster` and the check of `doctor`, without Ray: token file, arguments of Ray's command, refusals."""

import argparse
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from trio_stt.cli import cluster as command
from trio_stt.cli import cluster_checks, main
from trio_stt.cli.cluster import ray_arguments, require_token
from trio_stt.cli.cluster_checks import cluster_nodes, compared
from trio_stt.cli.cluster_options import add_cluster_arguments
from trio_stt.errors import SettingError
from trio_stt.lanes.ray_client import ClusterNode


def parsed(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_cluster_arguments(parser)
    return parser.parse_args(arguments)


def test_head_creates_a_token_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "ray" / "auth_token"
    require_token(path, create=True)
    token = path.read_text()
    assert len(token) == 64
    assert path.stat().st_mode & 0o777 == 0o600
    require_token(path, create=True)
    assert path.read_text() == token


def test_token_that_others_may_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "auth_token"
    path.write_text("a" * 64)
    path.chmod(0o644)
    require_token(path, create=False)
    assert path.stat().st_mode & 0o777 == 0o600


def test_node_without_the_token_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="there is no token in"):
        require_token(tmp_path / "auth_token", create=False)


def test_head_is_for_its_own_machine_unless_the_command_names_an_address() -> None:
    arguments = set(ray_arguments(parsed("up")))
    assert {"--head", "--port=6379", "--ray-client-server-port=10001", "--include-dashboard=false"} <= arguments
    assert {argument for argument in arguments if argument.startswith("--node-ip-address=127.")}


def test_address_and_resources_reach_ray() -> None:
    given = parsed("join", "10.0.0.1:6379", "--host", "10.0.0.2", "--num-gpus", "2", "--resources", '{"stt": 4}')
    arguments = set(ray_arguments(given))
    assert {"--address=10.0.0.1:6379", "--node-ip-address=10.0.0.2", "--num-gpus=2"} <= arguments
    assert '--resources={"stt": 4}' in arguments
    assert "--head" not in arguments


def test_line_of_the_head_names_address_and_token(tmp_path: Path) -> None:
    (*_, join, _) = command._head_lines(parsed("up", "--host", "10.0.0.1"), tmp_path / "auth_token")
    assert "trio-stt cluster join 10.0.0.1:6379" in join
    assert str(tmp_path / "auth_token") in join


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("up", "--resources", "[1]"), "is not a JSON object"),
        (("up", "--resources", '{"stt": -1}'), "has the amount -1 of stt; expected a number from 0"),
        (("join", "10.0.0.1:6379"), "there is no token in"),
    ],
)
def test_wrong_argument_is_refused_in_one_line(
    arguments: tuple[str, ...],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(command, "missing_ray", lambda: None)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "auth_token"))
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    assert main(["cluster", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_missing_ray_is_refused_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "missing_ray", lambda: "Ray is not installed; run `pip install ray`")
    assert main(["cluster", "up"]) == 2
    assert capsys.readouterr().err == "trio-stt: Ray is not installed; run `pip install ray`\n"


OWN = ClusterNode(address="", ray="2.60.0", python="3.11.7", trio_stt="0.1.0")


@pytest.mark.parametrize(
    ("given", "ok", "message"),
    [
        ({}, True, "Ray 2.60.0, Python 3.11.7, trio-stt 0.1.0"),
        ({"python": "3.11.9"}, True, "Ray 2.60.0, Python 3.11.9, trio-stt 0.1.0"),
        ({"python": "3.12.1"}, False, "Python 3.12, here 3.11: install the same version on all nodes"),
        (
            {"ray": "2.59.0", "trio_stt": ""},
            False,
            "Ray 2.59.0, here 2.60.0; trio-stt is missing, here 0.1.0: install the same version on all nodes",
        ),
        ({"problem": "the engine's actor is lost"}, False, "the engine's actor is lost"),
    ],
)
def test_doctor_compares_versions_of_a_node(given: dict[str, str], message: str, *, ok: bool) -> None:
    check = compared(replace(OWN, address="10.0.0.2", **given), OWN)
    assert (check.address, check.ok, check.message) == ("10.0.0.2", ok, message)


def test_doctor_says_that_no_cluster_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_checks, "missing_ray", lambda: None)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        (check,) = cluster_nodes(f"ray://127.0.0.1:{taken.getsockname()[1]}")
    assert not check.ok
    assert "Connection refused" in check.message
    assert cluster_nodes(None) == ()
