"""The embedded Moonshine model, and its token table in sherpa-onnx's format.

It must not import moonshine-voice, whose package opens audio devices; only its files are used.
"""

import base64
import tempfile
from contextlib import ExitStack
from pathlib import Path

from trio_stt.errors import EngineUnavailable, ModelMissing, first_line
from trio_stt.runtime.packages import install_command, package_folder

EMBEDDED_MODEL = "moonshine-tiny-en"
"""Name of the model inside the installed package moonshine-voice 0.1.0 (later versions no longer carry it)."""

_LONG_TOKEN = 128


def embedded_folder(engine: str) -> Path:
    """The folder of the embedded model.

    Raises:
        ModelMissing: Its package is not installed.
    """
    package = package_folder("moonshine_voice")
    folder = package / "assets" / "tiny-en" if package else None
    if folder is None or not folder.is_dir():
        raise ModelMissing(
            f"engine {engine}: the embedded model {EMBEDDED_MODEL} needs the package moonshine-voice 0.1.0;"
            f" run `{install_command('moonshine-voice==0.1.0')}`, or name another model's folder",
            model=EMBEDDED_MODEL,
        )
    return folder


def text_tokens(path: Path, stack: ExitStack, *, engine: str) -> Path:
    """Return a `tokens.txt`: the file itself, or one made from a `tokenizer.bin`, which lasts as long as `stack`.

    sherpa-onnx reads it once, while it loads, so nothing has to be kept and no folder of the user's has to be writable.

    Raises:
        EngineUnavailable: The file cannot be read, or ends early.
    """
    if path.suffix != ".bin":
        return path
    try:
        table = token_table(path.read_bytes())
        made = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="trio-stt-"))) / "tokens.txt"
        made.write_text(table, encoding="utf-8")
    except (OSError, ValueError) as error:
        raise EngineUnavailable(f"engine {engine}: cannot use the tokens of {path}: {first_line(error)}") from error
    return made


def token_table(tokenizer: bytes) -> str:
    """Turn Moonshine's `tokenizer.bin` into the text of sherpa-onnx's `tokens.txt`: one `base64(token) id` a line.

    The binary holds the tokens in the order of their ids, each after its length: one byte, or two when the first is 128
    or more (`first - 128 + 128 * second`). Layout: moonshine-voice's BinTokenizer. Single bytes stay bytes: written as
    `<0xNN>`, as in other vocabularies, sherpa-onnx would print those characters.

    Raises:
        ValueError: The bytes end inside a token.
    """
    lines: list[str] = []
    at = 0
    while at < len(tokenizer):
        length = tokenizer[at]
        at += 1
        if length >= _LONG_TOKEN:
            if at == len(tokenizer):
                raise ValueError(f"the tokenizer ends inside the length of token {len(lines)}")
            length += _LONG_TOKEN * tokenizer[at] - _LONG_TOKEN
            at += 1
        token = tokenizer[at : at + length]
        at += length
        if len(token) != length:
            raise ValueError(f"the tokenizer ends inside token {len(lines)}")
        lines.append(f"{base64.b64encode(token).decode()} {len(lines)}\n")
    return "".join(lines)
