"""The events that an OpenAI Realtime client reads, as text frames.

A field that has no value is left out, never null, unless OpenAI's own events have null there.
"""

from itertools import count

import msgspec

from trio_stt.api.openai.answers import detected_languages, logprobs
from trio_stt.api.openai_realtime.items import Item
from trio_stt.api.openai_realtime.update_fields import Json
from trio_stt.protocol.events import Final
from trio_stt.protocol.transcript_formats import SpokenSegment

_PART = {"content_index": 0}
_TRANSCRIPTION = "conversation.item.input_audio_transcription"


class ServerEvents:
    """Makes the events of one session.

    Args:
        prefix: Of the ids of events, unique among sessions.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._numbers = count(1)

    def frame(self, kind: str, **fields: object) -> str:
        """An event with an id of its own."""
        event = {"type": kind, "event_id": f"event_{self._prefix}{next(self._numbers):06}", **fields}
        return msgspec.json.encode(event).decode()

    def error(self, code: str, message: str, *, param: str | None = None, event_id: str | None = None) -> str:
        """The answer to a client's mistake.

        Args:
            code: For programs.
            message: For people.
            param: The field at fault.
            event_id: That of the client's event.
        """
        fault = {
            "type": "invalid_request_error",
            "code": code,
            "message": message,
            "param": param,
            "event_id": event_id,
        }
        return self.frame("error", error=fault)

    def speech_started(self, item: Item) -> str:
        """A turn began; its pre-roll is part of it."""
        return self.frame(
            "input_audio_buffer.speech_started", audio_start_ms=round(item.begin_s * 1000), item_id=item.id
        )

    def speech_stopped(self, item: Item, end_s: float) -> str:
        """A turn ended."""
        return self.frame("input_audio_buffer.speech_stopped", audio_end_ms=round(end_s * 1000), item_id=item.id)

    def committed(self, item: Item, *, beta: bool) -> list[str]:
        """An item is in the conversation."""
        previous = {"previous_item_id": item.previous_id}
        kinds = ["created"] if beta else ["added", "done"]
        return [
            self.frame("input_audio_buffer.committed", **previous, item_id=item.id),
            *(self.frame(f"conversation.item.{kind}", **previous, item=item_object(item)) for kind in kinds),
        ]

    def delta(self, item: Item, text: str) -> str:
        """More of an item's text."""
        return self.frame(f"{_TRANSCRIPTION}.delta", item_id=item.id, **_PART, delta=text)

    def completed(self, item: Item, *, with_logprobs: bool) -> str:
        """The whole text of an item, or why there is none. Where some of it is missing, the rest is its text."""
        if item.failure and not item.finals:
            fault = {"type": "server_error", "code": "transcription_failed", "message": item.failure, "param": None}
            return self.frame(f"{_TRANSCRIPTION}.failed", item_id=item.id, **_PART, error=fault)
        spoken = [_spoken(final) for final in item.finals]
        found = logprobs(spoken) if with_logprobs and spoken else None
        languages = detected_languages(spoken)
        return self.frame(
            f"{_TRANSCRIPTION}.completed",
            item_id=item.id,
            **_PART,
            transcript=item.transcript,
            usage={"type": "duration", "seconds": item.seconds},
            **({} if found is None else {"logprobs": found}),
            **({"languages": languages} if languages else {}),
        )


def item_object(item: Item) -> Json:
    """An item of the conversation; its transcript is null while it is not completed."""
    return {
        "id": item.id,
        "object": "realtime.item",
        "type": "message",
        "status": "completed",
        "role": "user",
        "content": [{"type": "input_audio", "transcript": item.transcript if item.completed else None}],
    }


def _spoken(final: Final) -> SpokenSegment:
    segment = final.segment
    start_s = getattr(segment, "audio_start_seconds", 0.0)
    end_s = getattr(segment, "audio_end_seconds", 0.0)
    return SpokenSegment(
        file="",
        segment_id=final.segment_id,
        start=start_s if isinstance(start_s, float) else 0.0,
        end=end_s if isinstance(end_s, float) else 0.0,
        text=final.text,
        pieces=final.pieces or (),
        language=final.language or "",
    )
