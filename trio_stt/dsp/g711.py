"""Decodes G.711 telephone audio, µ-law and A-law, to 16-bit samples by a table of all 256 codes."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Law = Literal["mulaw", "alaw"]

_MULAW_BIAS = 0x84
"""Added to a µ-law magnitude before it is encoded, in 16-bit units: 33 in G.711's units of 14 bits."""


def decode(data: bytes | bytearray | memoryview, law: Law) -> NDArray[np.int16]:
    """Decode G.711 codes, one byte each.

    Returns:
        int16, shape (bytes,): the values of ITU-T G.711, scaled to 16 bits (14 bits of µ-law, 13 of A-law).
    """
    return _TABLES[law][np.frombuffer(data, np.uint8)]


def _mulaw_table() -> NDArray[np.int16]:
    codes = ~np.arange(256, dtype=np.uint8)  # every bit is inverted on the line
    exponent, mantissa = codes >> 4 & 7, codes.astype(np.int32) & 15
    magnitude = (((mantissa << 3) + _MULAW_BIAS) << exponent) - _MULAW_BIAS
    return np.where(codes & 0x80, -magnitude, magnitude).astype(np.int16)


def _alaw_table() -> NDArray[np.int16]:
    codes = np.arange(256, dtype=np.uint8) ^ 0x55  # every other bit is inverted on the line
    exponent, mantissa = (codes >> 4 & 7).astype(np.int32), codes.astype(np.int32) & 15
    # The two lowest segments have the same step; a value is the middle of its step.
    linear, rising = (mantissa << 4) + 8, ((mantissa << 4) + 0x108) << np.maximum(exponent - 1, 0)
    magnitude = np.where(exponent == 0, linear, rising)
    return np.where(codes & 0x80, magnitude, -magnitude).astype(np.int16)


_TABLES: dict[Law, NDArray[np.int16]] = {"mulaw": _mulaw_table(), "alaw": _alaw_table()}
