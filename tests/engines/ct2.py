"""A CTranslate2 Whisper model that counts as multilingual, made for tests from the English-only one of a package."""

import json
import struct
from pathlib import Path

from tests.engines.conftest import whisper_folder

_EMBEDDINGS = b"decoder/embeddings/weight"
_END = "<|endoftext|>"
_EXTRA = ""
"""The word by which CTranslate2 recognises a multilingual vocabulary: English-only ones lack it."""


def write_multilingual(folder: Path) -> Path:
    """Write the model with one more word before its special tokens, as multilingual models have it.

    CTranslate2 then runs the code for such models, but the words and languages mean nothing.
    """
    folder.mkdir()
    source = whisper_folder()
    words = (source / "vocabulary.txt").read_text(encoding="utf-8").split("\n")
    at = words.index(_END)
    (folder / "vocabulary.txt").write_text("\n".join([*words[:at], _EXTRA, *words[at:]]), encoding="utf-8")
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    config["suppress_ids"] = [number + (number >= at) for number in config["suppress_ids"]]
    config["suppress_ids_begin"] = [number + (number >= at) for number in config["suppress_ids_begin"]]
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    tokenizer = json.loads((source / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer["model"]["vocab"][_EXTRA] = at
    for token in tokenizer["added_tokens"]:
        token["id"] += 1
    tokenizer["model"]["vocab"] = {
        word: number + (number >= at and word != _EXTRA) for word, number in tokenizer["model"]["vocab"].items()
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    raw = (source / "model.bin").read_bytes()
    header = raw.index(_EMBEDDINGS) + len(_EMBEDDINGS) + 1  # names end with a zero byte
    rank, rows, width, kind, size = struct.unpack_from("<BIIBI", raw, header)
    row = size // rows
    first = header + struct.calcsize("<BIIBI")
    cut = first + at * row
    grown = struct.pack("<BIIBI", rank, rows + 1, width, kind, size + row)
    (folder / "model.bin").write_bytes(raw[:header] + grown + raw[first:cut] + raw[cut - row : cut] + raw[cut:])
    return folder
