"""Translates between an OpenAI Realtime client and a session. See docs/realtime.md.

It reads the client's events and owns the configuration; `conversation` owns the items.
"""

import binascii
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import count

import msgspec

from trio_stt.api.dialect import ClientAudio, Close, Frame, Step, ToSession, session_settings
from trio_stt.api.openai_realtime.conversation import CommitRefused, Conversation
from trio_stt.api.openai_realtime.delivery import Delivery
from trio_stt.api.openai_realtime.server_events import ServerEvents, item_object
from trio_stt.api.openai_realtime.session_config import (
    SessionConfig,
    beta_session,
    ga_session,
    is_beta,
    is_ga,
    updated,
)
from trio_stt.api.openai_realtime.update_fields import InvalidUpdate, Json
from trio_stt.api.websocket_transport import CLOSE_UNSUPPORTED
from trio_stt.errors import LanguageUnavailable
from trio_stt.lanes.engines.language_support import LanguageSupport
from trio_stt.protocol.commands import Start
from trio_stt.protocol.events import Event
from trio_stt.session.connection import Detection
from trio_stt.settings import Settings

_LIFETIME_S = 86_400
"""Seconds after which a session is said to expire; none does, and no client acts on it."""
_APPEND = "input_audio_buffer.append"
_MAX_EVENT_CHARACTERS = 65_536
"""Longest event without audio: several times what all texts of a configuration take together."""
_NOT_SUPPORTED = frozenset(
    {
        "conversation.item.create",
        "conversation.item.truncate",
        "output_audio_buffer.clear",
        "response.cancel",
        "response.create",
    }
)


class _ClientEvent(msgspec.Struct, frozen=True):
    """A frame of the client; fields of the wrong type are refused where they are used."""

    type: object = None
    event_id: object = None
    audio: object = None
    session: object = None
    item_id: object = None

    @property
    def id(self) -> str | None:
        return self.event_id if isinstance(self.event_id, str) else None


class _LongEvent(msgspec.Struct, frozen=True):
    """A long frame: whatever is no text is refused or passed over without becoming an object."""

    type: str | None = None
    event_id: str | None = None
    audio: str | None = None


def _decode(frame: str) -> _ClientEvent:
    """Decode a frame; a long one without what only short ones have: such objects take the loop 0.3 s.

    Raises:
        msgspec.MsgspecError: It is none of the protocol.
    """
    if len(frame) <= _MAX_EVENT_CHARACTERS:
        return msgspec.json.decode(frame, type=_ClientEvent)
    event = msgspec.json.decode(frame, type=_LongEvent)
    return _ClientEvent(event.type, event.event_id, event.audio)


class RealtimeDialect:
    """The translator of one client.

    Args:
        settings: In force.
        config: The configuration that the session begins with.
        beta: Whether the client reads the events of the Beta.
        intent: Whether the client of the Beta asked for a transcription session.
        model: Returns the name of the model that really transcribes.
        languages: Returns what the loaded engine has; None while none is loaded.
        session_id: As it is sent; its unique part also begins the ids of events and items.
        created_at: In whole seconds since the epoch.
        has_turn_model: Whether a model judges by the sound if a turn is over.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        config: SessionConfig,
        beta: bool,
        intent: bool,
        model: Callable[[], str],
        languages: Callable[[], LanguageSupport | None] = lambda: None,
        session_id: str,
        created_at: int,
        has_turn_model: bool = False,
    ) -> None:
        self._has_turn_model = has_turn_model
        self._base = session_settings(settings)
        self.settings = config.detection(self._base, has_turn_model=has_turn_model)
        self._config = config
        self._languages = languages
        self._created = "transcription_session.created" if beta and intent else "session.created"
        self._model = model
        self._session_id = session_id
        self._expires_at = created_at + _LIFETIME_S
        unique, numbers = session_id.removeprefix("sess_"), count(1)
        self._events = ServerEvents(unique)
        self._delivery = Delivery(
            self._events,
            lambda: f"item_{unique}{next(numbers):06}",
            beta=beta,
            with_logprobs=config.with_logprobs,
        )
        self._conversation = Conversation(self._events, self._delivery, manual=config.is_manual)
        self._setup: list[ToSession] = [self._hints()] if config.languages or config.prompt else []
        self._half_sample = b""  # half a sample

    def begin(self) -> Sequence[Frame]:
        """`session.created`."""
        return [self._events.frame(self._created, session=self._session_object(beta=self._delivery.beta))]

    def receive(self, frame: Frame) -> Step:
        """Translate an event of the client."""
        if isinstance(frame, bytes):
            return Step(close=Close(CLOSE_UNSUPPORTED, "this protocol has text frames only"))
        try:
            event = _decode(frame)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            return Step(frames=[self._events.error("invalid_event", f"not an event: {str(error)[:200]}")])
        kind = event.type
        if not isinstance(kind, str):
            return self._refuse(event, "invalid_event", "type must be a string", "type")
        if kind != _APPEND and len(frame) > _MAX_EVENT_CHARACTERS:
            text = f"{kind[:80]!r} has more than {_MAX_EVENT_CHARACTERS} characters"
            return self._refuse(event, "invalid_event", text)
        return self._answer(event, kind)

    def publish(self, event: Event) -> Sequence[Frame]:
        """Translate an event of the session."""
        return self._conversation.publish(event)

    def end(self) -> Sequence[Frame]:
        """Nothing: the close code says why."""
        return []

    # --- events of the client ---

    def _answer(self, event: _ClientEvent, kind: str) -> Step:
        match kind:
            case _ if kind == _APPEND:
                step = replace(self._append(event), is_audio=True)
            case "input_audio_buffer.commit":
                step = self._commit(event)
            case "input_audio_buffer.clear":
                self._half_sample = b""
                step = Step(to_session=self._with_setup(*self._conversation.clear()))
            case "session.update" | "transcription_session.update":
                step = self._update(event, kind)
            case "conversation.item.retrieve":
                step = self._retrieve(event)
            case "conversation.item.delete":
                step = self._delete(event)
            case _ if kind in _NOT_SUPPORTED:
                text = f"{kind} is not possible: this server transcribes only"
                step = self._refuse(event, "unsupported_event", text, "type")
            case _:
                step = self._refuse(event, "unknown_event", f"unknown event type {kind[:80]!r}", "type")
        return step

    def _refuse(self, event: _ClientEvent, code: str, message: str, param: str | None = None) -> Step:
        return Step(frames=[self._events.error(code, message, param=param, event_id=event.id)])

    def _append(self, event: _ClientEvent) -> Step:
        if not isinstance(event.audio, str):
            return self._refuse(event, "invalid_value", "audio must be a string in base64", "audio")
        try:
            data = self._half_sample + binascii.a2b_base64(event.audio, strict_mode=True)
        except ValueError as error:
            return self._refuse(event, "invalid_value", f"audio is not base64: {error}", "audio")
        coding = self._config.format
        whole = len(data) // coding.coding.sample_bytes * coding.coding.sample_bytes
        data, self._half_sample = data[:whole], data[whole:]
        if not data:
            return Step()
        self._conversation.append(whole / coding.coding.sample_bytes / coding.rate_hz)
        audio = ClientAudio(data, coding.rate_hz, format=coding.coding)
        return Step(to_session=self._with_setup(audio))

    def _commit(self, event: _ClientEvent) -> Step:
        try:
            to_session, frames = self._conversation.commit()
        except CommitRefused as refused:
            return self._refuse(event, refused.code, str(refused))
        return Step(frames=frames, to_session=self._with_setup(*to_session))

    def _update(self, event: _ClientEvent, kind: str) -> Step:
        before = self._config
        try:
            config = updated(before, event.session, self._base)
        except InvalidUpdate as error:
            return self._refuse(event, "invalid_value", str(error), error.param)
        if config.format != before.format:
            if self._conversation.has_audio:
                text = "the format of the audio cannot change before what was appended is committed or cleared"
                return self._refuse(event, "invalid_value", text, "session.audio.input.format")
            self._half_sample = b""
        self._config = config
        of_beta = kind == "transcription_session.update" or is_beta(event.session)
        self._delivery.beta = self._delivery.beta or of_beta
        self._delivery.with_logprobs = config.with_logprobs
        self._conversation.manual = config.is_manual
        changes: list[ToSession] = []
        if config.turn_detection != before.turn_detection:
            changes.append(Detection(config.detection(self._base, has_turn_model=self._has_turn_model)))
        if (config.languages, config.prompt) != (before.languages, before.prompt):
            changes.append(self._hints())
        sent = self._session_object(beta=of_beta or (self._delivery.beta and not is_ga(event.session)))
        answer = self._events.frame(kind.removesuffix("update") + "updated", session=sent)
        return Step(frames=[answer], to_session=changes and self._with_setup(*changes))

    def _retrieve(self, event: _ClientEvent) -> Step:
        item = self._delivery.find(event.item_id)
        if item is None:
            return self._refuse(event, "item_not_found", "there is no such item, or not any more", "item_id")
        return Step(frames=[self._events.frame("conversation.item.retrieved", item=item_object(item))])

    def _delete(self, event: _ClientEvent) -> Step:
        item = self._delivery.find(event.item_id)
        if item is None or not item.completed:
            text = "there is no such item, or not any more" if item is None else "this item is not completed yet"
            return self._refuse(event, "item_not_found", text, "item_id")
        self._delivery.delete(item)
        return Step(frames=[self._events.frame("conversation.item.deleted", item_id=item.id)])

    def _session_object(self, *, beta: bool) -> Json:
        tell = beta_session if beta else ga_session
        return tell(self._config, session_id=self._session_id, model=self._model(), expires_at=self._expires_at)

    def _with_setup(self, *items: ToSession) -> list[ToSession]:
        """What goes to the session, behind what it must know first."""
        setup, self._setup = self._setup, []
        return [*setup, *items]

    def _hints(self) -> Start:
        """The client's language and prompt."""
        return Start(language=_first_available(self._config.languages, self._languages()), prompt=self._config.prompt)


def _first_available(wanted: Sequence[str], support: LanguageSupport | None) -> str | None:
    """The first language that the engine has; where it has none of them, the first, which the session refuses.

    None where nothing is known of the engine's languages: most clients send one without a wish, and end on any error.
    """
    if support is not None:
        if support.is_unknown:
            return None
        for name in wanted:
            with suppress(LanguageUnavailable):
                support.choose(name)
                return name
    return next(iter(wanted), None)
