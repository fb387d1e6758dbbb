"""Examples in the documents, run as they stand except for host and port.

A fence names how: `python run` and `bash run` run in this environment; `python with PACKAGES` and `js with PACKAGES`
in one of their own.
"""

import gc
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import soundfile

from tests.api.conftest import ClientServer
from tests.support.real import missing
from tests.support.sound_files import encode
from tests.support.voice_agents import node_output, python_output

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_FENCE = re.compile(
    r"^## (?P<heading>.+)$|^```(?P<language>python|bash|js) (?:run|with (?P<packages>.+))\n(?P<code>(?s:.*?))^```$",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Example:
    """A fenced example: its page and heading, and the packages of an environment of its own, if it has one."""

    name: str
    language: str
    packages: Sequence[str]
    code: str

    def for_server(self, server: ClientServer) -> str:
        """The code with the host and the ports of a server."""
        code = self.code.replace("localhost:8010", f"127.0.0.1:{server.running.port}")
        return code.replace('"localhost", 10300', f'"127.0.0.1", {server.wyoming_port}')


def examples(page: Path) -> Iterator[Example]:
    heading = ""
    for match in _FENCE.finditer(page.read_text(encoding="utf-8")):
        heading = match["heading"] or heading
        if match["language"]:
            name = f"{page.name}, {heading}"
            yield Example(name, match["language"], (match["packages"] or "").split(), match["code"])


EXAMPLES = [example for page in PAGES for example in examples(page)]
OWN_ENVIRONMENT = [example for example in EXAMPLES if example.packages]


def each(found: Iterable[Example]) -> pytest.MarkDecorator:
    """Runs a test with each of these examples."""
    return pytest.mark.parametrize("example", list(found), ids=lambda example: example.name)


@pytest.fixture
def folder(tmp_path: Path, sentence: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the sentence in talk.wav and talk.m4a."""
    shutil.copy(sentence[0], tmp_path / "talk.wav")
    samples, rate_hz = soundfile.read(sentence[0], dtype="float32")
    encode(tmp_path / "talk.m4a", samples, codec="aac", rate_hz=rate_hz)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def assert_has_words(output: str, words: str, *, times: int = 1) -> None:
    """The words of a short sentence are in the output, whatever is around them, this often."""
    found, wanted = (re.findall(r"\w+", text.lower()) for text in (output, words))
    assert sum(found.count(word) >= times for word in wanted) >= 0.8 * len(wanted), output


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # a script closes its clients by its end
@pytest.mark.filterwarnings(r"ignore:websockets\.:DeprecationWarning")  # of Deepgram's client
@pytest.mark.filterwarnings("ignore:connect.. must be used as a context manager:DeprecationWarning")  # of OpenAI's
@each(example for example in EXAMPLES if example.language == "python" and not example.packages)
@pytest.mark.usefixtures("folder")
def test_python(
    example: Example, client_server: ClientServer, sentence: tuple[Path, str], capfd: pytest.CaptureFixture[str]
) -> None:
    exec(compile(example.for_server(client_server), example.name, "exec"), {})  # noqa: S102 - our own document
    gc.collect()  # what the example left open is closed here, and not in a later test
    assert_has_words(capfd.readouterr().out, sentence[1])


@each(example for example in EXAMPLES if example.language == "bash")
def test_shell(example: Example, client_server: ClientServer, sentence: tuple[Path, str], folder: Path) -> None:
    command = ["bash", "-euc", example.for_server(client_server)]
    output = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True, timeout=60, check=True).stdout  # noqa: S603
    assert_has_words(output, sentence[1], times=example.code.count("curl "))


@pytest.mark.long
@each(OWN_ENVIRONMENT)
def test_own_environment(
    example: Example, client_server: ClientServer, sentence: tuple[Path, str], folder: Path
) -> None:
    if example.language == "js" and shutil.which("npm") is None:
        missing("npm is not installed")
    script = folder / ("example.mjs" if example.language == "js" else "example.py")
    script.write_text(example.for_server(client_server), encoding="utf-8")
    run = node_output if example.language == "js" else python_output
    output = run(folder, example.packages, script)
    if example.code.count("print(") + example.code.count("console.log("):
        assert_has_words(output, sentence[1])


def test_each_environment_has_a_version() -> None:
    assert len(EXAMPLES) > 15, "the examples are found"
    assert all(re.search(r"(==|@)[\d.]+$", example.packages[0]) for example in OWN_ENVIRONMENT)
