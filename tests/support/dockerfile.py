"""Carries out a Dockerfile without a container engine: its steps in a fresh Debian root, its command in a chroot.

Base images cannot be pulled in the tests, so Debian's own Python stands in for the image `python`. Needs root, Linux
and mmdebstrap.
"""

import json
import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

_PASSED_ON = ("PIP_", "UV_", "SSL_CERT_FILE", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "no_proxy")
"""Beginnings of the names of variables that a build needs to reach a package index."""
_HOST_FILES = (
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/pip.conf",
    "/etc/ssl/certs/ca-certificates.crt",
    "/opt/wheels",
    "/opt/pypi",
)
"""What a build needs of this machine, where it exists."""


@dataclass
class Image:
    """A built stage: its root folder, and what its instructions set."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    user: str = "0"
    folder: str = "/"
    values: dict[str, str] = field(default_factory=dict)

    def command(self, instruction: str) -> list[str]:
        """The command of an instruction such as CMD, in its JSON form."""
        text = self.values[instruction]
        return [str(word) for word in json.loads(text[text.index("[") :])]

    def run(self, *command: str, data: Path) -> "subprocess.Popen[str]":
        """Start a command as a container would: as its user, on a read-only root, with /tmp and /data to write to."""
        root = shlex.quote(str(self.root))
        mounts = (
            f"mount --bind {root} {root} && mount -o remount,ro,bind {root} && mount -t tmpfs tmpfs {root}/tmp"  # noqa: S108 - in the container
            f" && mount --bind {shlex.quote(str(data))} {root}/data && mount -t proc proc {root}/proc"
            f" && mount --bind /dev {root}/dev"
        )
        settings = [f"{name}={value}" for name, value in self.environment.items()]
        inside = ["chroot", f"--userspec={self.user}:{self.user}", str(self.root), "env", "-i", *settings, *command]
        return subprocess.Popen(  # noqa: S603 - the commands of our own Dockerfile
            ["unshare", "--mount", "sh", "-c", f"{mounts} && exec {shlex.join(inside)}"],  # noqa: S607 - util-linux
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


def debian_root(folder: Path) -> Path:
    """A Debian root with Python, in place of a base image."""
    root = folder / "base"
    packages = "python3,python3-pip,python3-venv,ca-certificates"
    subprocess.run(  # noqa: S603 - our own arguments
        ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={packages}", "bookworm", str(root)],  # noqa: S607
        check=True,
    )
    (root / "usr/local/bin/python").symlink_to("/usr/bin/python3")
    for name in _HOST_FILES:
        source, place = Path(name), root / name[1:]
        if source.is_dir():
            shutil.copytree(source, place, dirs_exist_ok=True)
        elif source.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, place)
    return root


def build(dockerfile: Path, *, base: Path, folder: Path) -> Image:
    """Carry out all stages; returns the last one.

    Raises:
        subprocess.CalledProcessError: A step failed.
    """
    stages: dict[str, Image] = {}
    image: Image | None = None
    for name, text in _instructions(dockerfile):
        if name == "FROM":
            words = text.split()
            image = Image(folder / f"stage-{len(stages)}")
            subprocess.run(["cp", "-a", str(base), str(image.root)], check=True)  # noqa: S603, S607 - keeps owners
            stages[words[2] if len(words) > 2 else str(len(stages))] = image
            continue
        assert image is not None, "the first instruction must be FROM"
        _carry_out(image, name, text, stages=stages, context=dockerfile.parent)
    assert image is not None, "no FROM"
    return image


def _carry_out(image: Image, name: str, text: str, *, stages: dict[str, Image], context: Path) -> None:
    match name:
        case "RUN":
            passed_on = {key: value for key, value in os.environ.items() if key.startswith(_PASSED_ON)}
            environment = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin", "PIP_BREAK_SYSTEM_PACKAGES": "1"}
            subprocess.run(  # noqa: S603 - the steps of our own Dockerfile
                ["chroot", str(image.root), "sh", "-c", f"cd {image.folder} && {text}"],  # noqa: S607 - coreutils
                check=True,
                env=environment | passed_on | image.environment,
            )
        case "COPY":
            *sources, place = text.split()
            origin = context
            if sources[0].startswith("--from="):
                origin = stages[sources.pop(0).removeprefix("--from=")].root
            for source in sources:
                target = (
                    image.root / image.folder.lstrip("/") / place
                    if not place.startswith("/")
                    else image.root / place[1:]
                )
                path = origin / source.lstrip("/")
                target = target / path.name if place.endswith("/") else target
                target.parent.mkdir(parents=True, exist_ok=True)
                subprocess.run(["cp", "-a", str(path), str(target)], check=True)  # noqa: S603, S607 - keeps owners
        case "ENV":
            assigned = dict(word.split("=", 1) for word in shlex.split(text))
            path = image.environment.get("PATH", "/usr/local/bin:/usr/bin:/bin")
            image.environment |= {key: value.replace("$PATH", path) for key, value in assigned.items()}
        case "WORKDIR":
            image.folder = text
            (image.root / text.lstrip("/")).mkdir(parents=True, exist_ok=True)
        case "USER":
            image.user = text
        case _:
            image.values[name] = text


def _instructions(dockerfile: Path) -> list[tuple[str, str]]:
    lines = [line for line in dockerfile.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    parts = (line.strip().partition(" ") for line in joined.splitlines() if line.strip())
    return [(name, " ".join(text.split())) for name, _, text in parts]
