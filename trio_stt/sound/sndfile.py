"""Decoding with libsndfile: WAV, AIFF, AU, CAF, W64, FLAC and its other formats, but neither Ogg nor MPEG audio.

It reads forward only, because some codecs cannot seek, and trusts no length that a file states.
"""

import math
import re
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray

from trio_stt.sound.decoder import DamagedSound

_MAX_STATED_S = 1e6
"""Seconds; a longer stated length means an unknown one, for which libsndfile gives the largest possible number."""
_SHORTER_THAN_STATED = re.compile(r"(?:data|SSND|BODY|Data Size) *: (\d+) \(should be (\d+)\)")
"""In libsndfile's log: the size of the samples that the header of a WAV, AIFF, 8SVX or AU states, and the real size."""
_UNREAD = re.compile(r"Length : (\d+).*Unknown chunk marker \([0-9A-F]+\) at position (\d+)", re.DOTALL)
"""In libsndfile's log: the size of a file, and where behind the samples something stands that is no chunk of a WAV."""
_MIN_UNREAD_BYTES = 4096
"""Less than this behind the samples is some program's remark, not sound."""
_MIN_LOSS_S = 0.05
"""A file that ends less than this before its stated length is whole: some codecs count their padding."""
_STREAMED_BYTES = 0x7FFF_0000
"""From this size on, the size in a header means an unknown size: programs that write to a pipe put it there."""
_FLAC_START = re.compile(rb"fLaC[\0\x80]\0\0\x22")
"""A FLAC stream begins with this, the size of its first block included."""
_SEARCHED_BYTES = 65_536
"""Searched on both sides of the file position: more than libFLAC buffers, and than a tag between two streams takes."""
_FLOATS = frozenset({"FLOAT", "DOUBLE"})
_LOUD_BITS = 5
"""Float samples may exceed full scale by this many bits, 30 dB; above, they are whole numbers of some width."""
_DAMAGED_SAMPLES = 16
"""Number of loudest samples of a float file that do not decide its scale, because they may be damaged."""


class _ForwardFile(soundfile.SoundFile):  # type: ignore[misc] # soundfile has no types
    """A file in which soundfile does not seek: it would do so for every block, which GSM 6.10 does not support."""

    def seekable(self) -> bool:
        return False


class SndfileDecoder:
    """See `Decoder`.

    Args:
        source: Seekable, at its start, with a file descriptor: libsndfile reads that one without Python, and does not
            see the file's name, whose extension it would trust more than the content.

    Raises:
        DamagedSound: libsndfile does not read it.
    """

    def __init__(self, source: BinaryIO) -> None:
        try:
            self._file = _ForwardFile(source.fileno(), closefd=False)
        except soundfile.LibsndfileError as error:
            raise DamagedSound(_reason(error)) from None
        if self._file.subtype.startswith("MPEG"):  # MP3 in a WAV: see `reader` for why FFmpeg reads it
            self._file.close()
            raise DamagedSound("MPEG audio is not read here")
        self.rate_hz: int = self._file.samplerate
        self.channels: int = self._file.channels
        self._stated_frames: int = self._file.frames
        known = 0 < self._stated_frames <= _MAX_STATED_S * self.rate_hz
        self.length_s = self._stated_frames / self.rate_hz if known else None
        self._source = source
        self._begins_at = 0  # of the stream that is read, in bytes

    @property
    def is_empty(self) -> bool:
        """Whether the header states that there are no samples, as recorders leave it that lost power."""
        return self._stated_frames == 0

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """See `Decoder.blocks`."""
        scale = self._scale()
        frames = 0
        for block in self._raw_blocks():
            frames += len(block)
            yield block if scale is None else np.clip(np.nan_to_num(block) * np.float32(scale), -1, 1)
        if self.length_s is not None and frames < self._stated_frames - _MIN_LOSS_S * self.rate_hz:
            stated_s = self._stated_frames / self.rate_hz
            raise DamagedSound(f"it ends after {frames / self.rate_hz:.1f} of {stated_s:.1f} s")
        if self._is_cut():
            raise DamagedSound("it is shorter than its header says")
        unread_bytes = self._unread_bytes()
        if unread_bytes >= _MIN_UNREAD_BYTES:
            stated_s = frames / self.rate_hz
            raise DamagedSound(f"its header states {stated_s:.1f} s; the {unread_bytes} bytes after them are not read")

    def close(self) -> None:
        """See `Decoder.close`."""
        self._file.close()

    def _raw_blocks(self) -> Iterator[NDArray[np.float32]]:
        unread: float = self._stated_frames if self._file.format == "FLAC" and self.length_s is not None else math.inf
        while True:
            # As float: libsndfile casts float files to integers without scaling. 16-bit samples survive exactly.
            block = np.full((int(min(self.rate_hz, unread)), self.channels), np.nan, np.float32)
            try:
                read: NDArray[np.float32] = self._file.read(out=block)
            except soundfile.LibsndfileError as error:
                # The samples before the fault are in the block; their number is not returned, hence the NaNs.
                if (decoded := int((~np.isnan(block[:, 0])).cumprod().sum())) > 0:
                    yield block[:decoded]
                raise DamagedSound(_reason(error)) from None
            if not len(read):
                return
            yield read
            unread -= len(read)
            if not unread:
                unread = self._open_appended() or math.inf

    def _open_appended(self) -> int:
        """Open the FLAC stream that was appended to this one; returns its length in frames, 0 if there is none.

        Without this, libsndfile loses its way behind the first stream.

        Raises:
            DamagedSound: It has another rate or number of channels.
        """
        position = self._source.tell()
        search_from = max(self._begins_at + 1, position - _SEARCHED_BYTES)
        self._source.seek(search_from)
        found = _FLAC_START.search(self._source.read(2 * _SEARCHED_BYTES))
        self._source.seek(position)
        if found is None:
            return 0
        self._file.close()
        self._begins_at = self._source.seek(search_from + found.start())
        try:
            self._file = _ForwardFile(self._source.fileno(), closefd=False)
        except soundfile.LibsndfileError as error:
            raise DamagedSound(f"the FLAC that is appended to it: {_reason(error)}") from None
        if (self._file.samplerate, self._file.channels) != (self.rate_hz, self.channels):
            raise DamagedSound("the FLAC that is appended to it has another sample rate or number of channels")
        frames: int = self._file.frames
        self._stated_frames += frames if frames <= _MAX_STATED_S * self.rate_hz else 0
        return frames

    def _is_cut(self) -> bool:
        sizes = _SHORTER_THAN_STATED.search(self._file.extra_info)
        return sizes is not None and int(sizes[2]) < int(sizes[1]) < _STREAMED_BYTES

    def _unread_bytes(self) -> int:
        """Bytes behind the samples that are no part of a WAV: a recorder that lost power leaves an old size there."""
        found = _UNREAD.search(self._file.extra_info)
        return int(found[1]) - int(found[2]) if found else 0

    def _scale(self) -> float | None:
        """The factor for float samples, whose full scale is not 1 in files of some programs; None for all others.

        It is found in one pass over the whole file: at its start there may be silence.
        """
        if self._file.subtype not in _FLOATS:
            return None
        exponents = np.zeros(66, np.int64)  # how many samples need this many bits
        for block in self._raw_blocks():
            magnitudes = np.abs(block[np.isfinite(block) & (block != 0)])
            exponents += np.bincount(np.clip(np.frexp(magnitudes)[1], 0, 65), minlength=66)
        self._rewind()
        loud = np.flatnonzero(exponents[::-1].cumsum()[::-1] > _DAMAGED_SAMPLES)
        bits = int(loud[-1]) if loud.size else 0
        if bits <= _LOUD_BITS:
            return 1.0
        return float(2.0 ** -next((width for width in (15, 23, 31) if bits <= width + 1), bits))

    def _rewind(self) -> None:
        self._file.close()
        self._source.seek(0)
        self._file = _ForwardFile(self._source.fileno(), closefd=False)


def _reason(error: soundfile.LibsndfileError) -> str:
    reason: str = error.error_string.removeprefix("Error : ").rstrip(".")
    return reason
