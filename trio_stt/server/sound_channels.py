"""Transcribes a sound: a mix of its channels, one of them, or each in a session of its own.

It owns the order in which utterances of several channels are passed on. `sound_client` serves one channel.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

import trio

from trio_stt.errors import ServerClosing
from trio_stt.protocol.commands import Start
from trio_stt.protocol.transcript_formats import SpokenSegment
from trio_stt.server.server_state import ServerState
from trio_stt.server.sound_client import SoundClient
from trio_stt.server.traffic import NATIVE
from trio_stt.settings import Settings
from trio_stt.sound.channels import MIX, ChannelChoice, chosen_channels
from trio_stt.sound.reader import Sound


class ChannelMerger:
    """Puts the utterances of several channels in order of their start, and numbers them.

    An utterance waits until no other channel can have an earlier one: until each has a later one, or has ended.

    Args:
        channels: Numbers of the channels.
        on_segment: Called with each utterance.
    """

    def __init__(self, channels: Iterable[int], on_segment: Callable[[SpokenSegment], object]) -> None:
        self._waiting: dict[int, deque[SpokenSegment]] = {channel: deque() for channel in channels}
        self._open = set(self._waiting)
        self._on_segment = on_segment
        self._written = 0

    def add(self, channel: int, segment: SpokenSegment) -> None:
        """Take the next utterance of a channel."""
        self._waiting[channel].append(replace(segment, channel=channel))
        self._write()

    def end(self, channel: int) -> None:
        """Record that a channel has no further utterance."""
        self._open.discard(channel)
        self._write()

    def _write(self) -> None:
        while all(self._waiting[channel] for channel in self._open):
            first = min(filter(None, self._waiting.values()), key=lambda waiting: waiting[0].start, default=None)
            if first is None:
                return
            self._written += 1
            self._on_segment(replace(first.popleft(), segment_id=self._written))


async def open_channels(sound: Sound, channels: ChannelChoice = MIX) -> list[tuple[Sound, int | None]]:
    """Open a sound once for each of its chosen channels; it is closed where this raises.

    Returns:
        Each open sound with its channel, from 1; None for a mix of all.

    Raises:
        AudioFileError: It lacks the channel, or cannot be opened again.
    """
    opened = [sound]
    try:
        chosen = chosen_channels(sound, channels)
        for _ in chosen[1:]:
            opened.append(await trio.to_thread.run_sync(sound.again))  # noqa: PERF401 - those before a failure are closed
    except BaseException:
        for each in opened:
            each.close()
        raise
    return list(zip(opened, chosen, strict=True))


class SoundTranscription:
    """Transcribes one sound; all opened files are closed at the end.

    Args:
        opened: From `open_channels`.
        on_segment: Called with each utterance that has words, in order of their start.
        on_error: Called with a message for each part that could not be read or transcribed; the rest is transcribed.
        start: What the sessions are asked for.
        on_read: Called with the seconds of audio of each block that was read.
    """

    def __init__(
        self,
        opened: list[tuple[Sound, int | None]],
        *,
        on_segment: Callable[[SpokenSegment], object],
        on_error: Callable[[str], object],
        on_read: Callable[[float], object] = lambda _: None,
        start: Start | None = None,
    ) -> None:
        self._on_error = on_error
        self._reported: set[str] = set()
        self._merger = ChannelMerger((channel for _, channel in opened if channel is not None), on_segment)
        separate = len(opened) > 1
        self._clients = {
            channel: SoundClient(
                sound,
                on_segment=partial(self._merger.add, channel) if separate and channel is not None else on_segment,
                on_error=self._report,
                on_read=on_read if number == 0 else lambda _: None,
                start=start,
                channel=channel,
            )
            for number, (sound, channel) in enumerate(opened)
        }

    @property
    def length_s(self) -> float:
        """Seconds of audio that were read."""
        return max(client.length_s for client in self._clients.values())

    @property
    def complete(self) -> bool:
        """Whether the sound could be read to its end so far."""
        return all(client.complete for client in self._clients.values())

    def close(self) -> None:
        """Close the files of a transcription that does not take place."""
        for client in self._clients.values():
            client.close()

    async def run(
        self, server_state: ServerState, settings: Settings, *, dialect: str = NATIVE, shows_causes: bool = True
    ) -> None:
        """Transcribe the whole sound, each channel in a session of its own.

        Args:
            server_state: Of the server.
            settings: For the sessions, see `file_settings`.
            dialect: Of the client.
            shows_causes: Whether the client may read why an engine failed.

        Raises:
            ServerFull: There is no place for a session.
            ServerClosing: The server shuts down.
        """
        try:
            session_ids = server_state.reserve_several(dialect, len(self._clients))
        except BaseException:
            self.close()
            raise
        has_closed = False

        async def serve(channel: int | None, client: SoundClient, session_id: str) -> None:
            nonlocal has_closed
            has_closed |= not await client.transcribe(server_state, settings, session_id, shows_causes=shows_causes)
            if channel is not None:
                self._merger.end(channel)

        async with trio.open_nursery() as nursery:
            for (channel, client), session_id in zip(self._clients.items(), session_ids, strict=True):
                nursery.start_soon(serve, channel, client, session_id)
        if has_closed:
            raise ServerClosing("the server is shutting down")

    def _report(self, message: str) -> None:
        """Pass on an error; what is wrong with the file is wrong with each of its channels, and reported once."""
        if message not in self._reported:
            self._reported.add(message)
            self._on_error(message)
