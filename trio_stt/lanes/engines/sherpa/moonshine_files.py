"""Where a Moonshine model's files are: the embedded model, the two directory layouts, the token table.

It must not import sherpa-onnx, nor moonshine-voice, whose package pulls in audio devices; only files are looked at.
"""

import base64
import binascii
from dataclasses import dataclass
from pathlib import Path

from trio_stt.errors import EngineUnavailable, ModelMissing
from trio_stt.lanes.engines.common import Options, resolve_relative
from trio_stt.runtime.packages import package_folder

EMBEDDED_MODEL = "moonshine-tiny-en"
"""Name of the model inside the installed package moonshine-voice 0.1.0 (later versions no longer carry it)."""

RELEASES_URL = "https://github.com/k2-fsa/sherpa-onnx/releases/tag/asr-models"

_V1_BUNDLE = "sherpa-onnx-moonshine-tiny-en-int8"
_V2_BUNDLE = "sherpa-onnx-moonshine-tiny-en-quantized-2026-02-27"

_DIRECTORY_OF = {
    "UsefulSensors/moonshine-streaming-medium": _V1_BUNDLE,
    "UsefulSensors/moonshine-streaming-tiny": _V1_BUNDLE,
}
"""Hub names that the reference server takes for a directory of ONNX files."""

_V1_FILES = {
    "preprocessor": ("preprocess.onnx",),
    "encoder": ("encode.int8.onnx",),
    "uncached_decoder": ("uncached_decode.int8.onnx",),
    "cached_decoder": ("cached_decode.int8.onnx",),
    "tokens": ("tokens.txt",),
}
_V2_FILES = {
    "encoder": ("encoder_model.ort", "encoder_model.onnx"),
    "merged_decoder": ("decoder_model_merged.ort", "decoder_model_merged.onnx"),
    "tokens": ("tokens.txt", "tokenizer.bin"),
}

_LONG_TOKEN = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class MoonshineFiles:
    """The files of one model, all of them there.

    Attributes:
        model: Name or folder, for people.
        merged: True for the v2 layout (encoder and merged decoder), False for v1 (four ONNX files).
        paths: Option name → file; for `tokens` either a `tokens.txt` or a `tokenizer.bin`.
    """

    model: str
    merged: bool
    paths: dict[str, Path]


def find_files(*, engine: str, model: str, download_root: Path | None, options: Options) -> MoonshineFiles:
    """Find a model's files; reads the options `model_dir`, `files` and the one named after each file.

    Args:
        engine: Canonical engine name, for messages.
        model: Model name or directory; empty for the embedded model.
        download_root: Folder in which a relative directory is looked up first, or None.
        options: The engine's options.

    Raises:
        SettingError: An option is not a string.
        ModelMissing: There is no such folder.
        EngineUnavailable: The embedded model's package or a file is missing.
    """
    name = options.text("model_dir") or model or EMBEDDED_MODEL
    nested = options.nested("files")
    overrides = {
        option: nested.text(option) or options.text(option) for option in sorted(_V1_FILES.keys() | _V2_FILES.keys())
    }
    nested.done()
    if name == EMBEDDED_MODEL:
        folder = _embedded_folder(engine)
    else:
        folder = resolve_relative(_DIRECTORY_OF.get(name, name), download_root=download_root, kind="folder")
    merged = bool(overrides["merged_decoder"]) or any(
        (folder / file).exists() for option in ("encoder", "merged_decoder") for file in _V2_FILES[option]
    )
    layout = _V2_FILES if merged else _V1_FILES
    if unused := sorted(option for option, value in overrides.items() if value and option not in layout):
        raise options.error(unused[0], f"has no place in the {'v2' if merged else 'v1'} layout of {folder}")
    paths = {}
    for option, defaults in layout.items():
        names = (overrides[option],) if overrides[option] else defaults
        candidates = [folder / Path(file).expanduser() for file in names]
        found = next((path for path in candidates if path.is_file()), None)
        if found is None:
            message = (
                f"engine {engine}: Moonshine {'v2' if merged else 'v1'} file `{option}` is missing: {candidates[0]};"
                f" fetch {_V2_BUNDLE if merged else _V1_BUNDLE}.tar.bz2 (or another one) from {RELEASES_URL},"
                f" unpack it and give its folder as model or as the engine option model_dir,"
                f" or leave the model empty for the embedded {EMBEDDED_MODEL}"
            )
            raise EngineUnavailable(message) if folder.exists() else ModelMissing(message, model=name)
        paths[option] = found
    return MoonshineFiles(model=name if name == EMBEDDED_MODEL else str(folder), merged=merged, paths=paths)


def token_table(tokenizer: bytes) -> str:
    """Turn Moonshine's `tokenizer.bin` into the text of sherpa-onnx's `tokens.txt`: one `base64(token) id` a line.

    The binary holds the tokens in the order of their ids, each after its length: one byte, or two when the first is 128
    or more (`first - 128 + 128 * second`). Layout: moonshine-voice's BinTokenizer. Single bytes stay bytes: spelled
    `<0xNN>`, as other vocabularies do, sherpa-onnx would print them so.

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


def check_token_table(text: str, *, merged: bool) -> None:
    """Refuse a `tokens.txt` that would make sherpa-onnx end the process or give no words.

    Raises:
        ValueError: There is no token, or a line is not `symbol id` with, for the v2 layout, a base64 symbol.
    """
    lines = [line for line in text.split("\n") if line.strip()]
    if not lines:
        raise ValueError("it holds no token")
    for number, line in enumerate(lines, start=1):
        *symbol, identifier = line.split()
        try:
            if len(symbol) > 1 or not identifier.isascii() or not identifier.isdecimal():
                raise ValueError("columns")  # noqa: TRY301 - joins the base64 error below in one message
            if merged and symbol:
                base64.b64decode(symbol[0], validate=True)
        except (ValueError, binascii.Error) as error:
            raise ValueError(f"line {number} is not `symbol id`{' in base64' if merged else ''}") from error


def _embedded_folder(engine: str) -> Path:
    package = package_folder("moonshine_voice")
    folder = package / "assets" / "tiny-en" if package else None
    if folder is None or not folder.is_dir():
        raise EngineUnavailable(
            f"engine {engine}: the embedded model {EMBEDDED_MODEL} needs the package moonshine-voice 0.1.0;"
            " run `pip install moonshine-voice==0.1.0`, or name another model's folder"
        )
    return folder
