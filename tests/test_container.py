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
