"""The container files agree with each other, and their steps work in a fresh Debian root. `.ci/run` lints them."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import soundfile
import yaml

from tests.support.dockerfile import build, debian_root
from tests.support.real import moonshine_asset
from trio_stt.cli import _parser
from trio_stt.cli.cluster import NODE_ENVIRONMENT
from trio_stt.settings import load_settings

REPOSITORY = Path(__file__).parents[1]
DOCKERFILES = (REPOSITORY / "Dockerfile", REPOSITORY / "Dockerfile.cuda")


def documents(name: str) -> list[Any]:
    """The YAML documents of a file."""
    return list(yaml.safe_load_all((REPOSITORY / name).read_text()))


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_context_has_all_that_is_copied_and_nothing_else(dockerfile: Path) -> None:
    ignored = (REPOSITORY / ".dockerignore").read_text().split()
    context = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    copied = [line.split()[1:-1] for line in dockerfile.read_text().splitlines() if line.startswith("COPY ")]
    assert {name for names in copied for name in names if not names[0].startswith("--from")} == context
    assert all((REPOSITORY / name).exists() for name in context)


def test_images_and_pods_run_as_the_same_user_without_rights() -> None:
    (compose,) = documents("compose.yaml")
    for service in compose["services"].values():
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    deployment = next(each for each in documents("deploy/kubernetes.yaml") if each["kind"] == "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    user = pod["securityContext"]["runAsUser"]
    assert all(f"\nUSER {user}\n" in path.read_text() for path in DOCKERFILES)
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert {mount["mountPath"] for mount in container["volumeMounts"]} == {"/data", "/tmp"}  # noqa: S108 - in the pod


def test_ray_cluster_runs_nodes_as_the_servers_user_with_a_token_that_only_its_pods_reach() -> None:
    cluster, policy = documents("deploy/raycluster.yaml")
    assert (cluster["apiVersion"], cluster["kind"]) == ("ray.io/v1", "RayCluster")
    spec, constraints = cluster["spec"], (REPOSITORY / "constraints.txt").read_text().splitlines()
    assert f"ray=={spec['rayVersion']}" in constraints
    (engines,) = spec["workerGroupSpecs"]
    assert engines["minReplicas"] <= engines["replicas"] <= engines["maxReplicas"]
    deployment = next(each for each in documents("deploy/kubernetes.yaml") if each["kind"] == "Deployment")
    user = deployment["spec"]["template"]["spec"]["securityContext"]["runAsUser"]
    for group in (spec["headGroupSpec"], engines):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["runAsUser"] == user
        assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
        environment = {each["name"]: each["value"] for each in container["env"]}
        assert environment.items() >= NODE_ENVIRONMENT.items(), "as `trio-stt cluster` sets it"
        mounted = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        assert set(mounted.values()) == volumes.keys()
        token_folder = Path(environment["RAY_AUTH_TOKEN_PATH"]).parent
        assert "secret" in volumes[mounted[str(token_folder)]]
    assert policy["spec"]["podSelector"]["matchLabels"] == {"ray.io/cluster": cluster["metadata"]["name"]}


def test_compose_of_a_cluster_publishes_nothing_of_ray() -> None:
    (compose,) = documents("deploy/compose.ray.yaml")
    services = compose["services"]
    assert {name for name, service in services.items() if service.get("ports")} == {"server"}
    assert services["server"]["ports"][0].startswith("127.0.0.1:8010:")
    parser = _parser()
    for service in services.values():
        assert service["cap_drop"] == ["ALL"]
        assert service["environment"]["RAY_AUTH_TOKEN_PATH"].startswith("/ray/")
        parser.parse(service["command"])
    given = {name: text for name, text in services["server"]["environment"].items() if name.startswith("TRIO_STT_")}
    assert load_settings({name.removeprefix("TRIO_STT_").lower(): text for name, text in given.items()})


@pytest.mark.long
@pytest.mark.skipif(shutil.which("mmdebstrap") is None, reason="mmdebstrap is not installed")
@pytest.mark.skipif(os.geteuid() != 0, reason="a Debian root needs root")
def test_image_serves_and_transcribes_as_its_user_on_a_read_only_root(tmp_path: Path) -> None:
    image = build(DOCKERFILES[0], base=debian_root(tmp_path), folder=tmp_path)
    data = tmp_path / "data"
    data.mkdir()
    os.chown(data, int(image.user), int(image.user))
    tmp_path.chmod(0o755)
    samples, rate_hz = soundfile.read(moonshine_asset("beckett.wav"), dtype="int16")
    soundfile.write(data / "reading.wav", samples, rate_hz)
    entry = image.command("ENTRYPOINT")
    with image.run(*entry, "transcribe", "--offline", "/data/reading.wav", data=data) as transcribing:
        text, _ = transcribing.communicate(timeout=300)
    assert "Try again." in text
    with image.run(*entry, *image.command("CMD"), data=data) as server:
        try:
            assert server.stdout is not None
            for line in server.stdout:
                if "ready" in line:
                    break
            with image.run(*image.command("HEALTHCHECK"), data=data) as check:
                answer, _ = check.communicate(timeout=60)
            assert check.returncode == 0, answer
        finally:
            server.terminate()
            server.communicate(timeout=60)
    assert server.returncode == 0
