"""Makes the results of one channel: `start + duration` never goes back, and finals do not overlap."""

from msgspec.structs import replace

from trio_stt.api.deepgram.messages import Channel, ResultMetadata, Results
from trio_stt.api.deepgram.words import alternative, exact_s
from trio_stt.protocol.event_objects import Piece
from trio_stt.protocol.transcript_formats import SpokenSegment


class ResultMaker:
    """The results of one channel, in the order in which they are sent.

    Args:
        metadata: In every result.
        channel: Its number from 0, and the number of channels.
    """

    def __init__(self, metadata: ResultMetadata, *, channel: tuple[int, int]) -> None:
        self._metadata = metadata
        self._channel = channel
        self._end_s = 0.0  # the last `start + duration` that was sent
        self._final_end_s = 0.0  # of the last final

    def interim(self, start_s: float, end_s: float, text: str, pieces: tuple[Piece, ...] = ()) -> Results:
        """A result behind the last final, up to at least the end of the last result."""
        return self._of(start_s, max(end_s, self._end_s), text, pieces)

    def final(self, start_s: float, end_s: float, text: str, pieces: tuple[Piece, ...] = ()) -> Results:
        """The result of an utterance; the next one begins behind it."""
        results = replace(self.interim(start_s, end_s, text, pieces), is_final=True)
        self._final_end_s = results.start + results.duration
        return results

    def empty_final(self) -> Results:
        """A final without words, at the end of the last result."""
        self._final_end_s = max(self._final_end_s, self._end_s)
        return replace(self._of(self._end_s, self._end_s, ""), is_final=True)

    def emit(self, results: Results) -> Results:
        """Note that a result is sent now."""
        self._end_s = max(self._end_s, results.start + results.duration)
        return results

    def _of(self, start_s: float, end_s: float, text: str, pieces: tuple[Piece, ...] = ()) -> Results:
        start_s = exact_s(max(start_s, self._final_end_s))
        end_s = max(exact_s(end_s), start_s)
        spoken = SpokenSegment(file="", segment_id=0, start=start_s, end=end_s, text=text, pieces=pieces)
        return Results(
            channel_index=self._channel,
            start=start_s,
            duration=end_s - start_s,
            is_final=False,
            speech_final=False,
            from_finalize=False,
            channel=Channel([alternative(spoken)]),
            metadata=self._metadata,
        )
