"""What the head of an ONNX file says of the model, read without loading it.

sherpa-onnx ends the process where a model lacks metadata that it needs, so its adapters look first. It must not import
onnx or a runtime, and reads no weights: fields that nobody asked for are skipped.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_METADATA = 14
_GRAPH, _OUTPUT = 7, 12
_KEY, _VALUE = 1, 2
"""Field numbers of `ModelProto.metadata_props`, of its `graph` and that one's `output`, of entries of metadata; all as
onnx.proto numbers them."""

_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5
_FIXED_BYTES = {_EIGHT_BYTES: 8, _FOUR_BYTES: 4}
"""Wire types of Protocol Buffers and the sizes of two of them."""

_MAX_VARINT_BYTES = 10


def metadata(path: Path) -> dict[str, str]:
    """Return a model's custom metadata.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not an ONNX model, or ends early.
    """
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        entries = [(start, stop) for number, start, stop in _fields(file, 0, end) if number == _METADATA]
        return dict(_entry(file, start, stop) for start, stop in entries)


def output_count(path: Path) -> int:
    """Return how many outputs a model has.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not an ONNX model, or ends early.
    """
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        graphs = [(start, stop) for number, start, stop in _fields(file, 0, end) if number == _GRAPH]
        return sum(number == _OUTPUT for graph in graphs for number, _, _ in _fields(file, *graph))


def _entry(file: BinaryIO, start: int, stop: int) -> tuple[str, str]:
    texts: dict[int, str] = {}
    for number, first, last in _fields(file, start, stop):
        file.seek(first)
        texts[number] = file.read(last - first).decode("utf-8")
    return texts.get(_KEY, ""), texts.get(_VALUE, "")


def _fields(file: BinaryIO, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """The number, first byte and end of every field between two places of the file."""
    at = start
    while at < stop:
        file.seek(at)
        tag = _varint(file)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            first = file.tell()
            _varint(file)
            last = file.tell()
        elif kind == _LENGTH:
            size = _varint(file)
            first = file.tell()
            last = first + size
        elif kind in _FIXED_BYTES:
            first = file.tell()
            last = first + _FIXED_BYTES[kind]
        else:
            raise ValueError("it is not an ONNX model")
        if number == 0 or last > stop:
            raise ValueError("it is not an ONNX model, or ends early")
        yield number, first, last
        at = last


def _varint(file: BinaryIO) -> int:
    value = 0
    for position in range(_MAX_VARINT_BYTES):
        byte = file.read(1)
        if not byte:
            raise ValueError("it is not an ONNX model, or ends early")
        value |= (byte[0] & 0x7F) << (7 * position)
        if byte[0] < 0x80:  # noqa: PLR2004 - the top bit says that more bytes follow
            return value
    raise ValueError("it is not an ONNX model")
