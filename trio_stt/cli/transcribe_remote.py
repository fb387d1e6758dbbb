"""`trio-stt transcribe --server`: sends sound files to a running server, and writes what comes back.

It owns the progress bar and what is reported. `transcript_output` writes, `trio_stt.client` speaks to the server.
"""

import sys
from collections.abc import Sequence
from typing import BinaryIO

import trio
from tqdm import tqdm

from trio_stt.cli.error_groups import unwrap_errors
from trio_stt.cli.server_options import ServerOptions
from trio_stt.cli.transcribe_options import TranscribeRequest
from trio_stt.cli.transcript_output import OutputError, TranscriptOutput, report
from trio_stt.client import ConnectError, Transcription, UploadRefused, transcribe
from trio_stt.errors import AudioFileError, SettingError
from trio_stt.protocol.transcript_formats import SpokenSegment
from trio_stt.sound.channels import ChannelChoice
from trio_stt.sound.source import open_source, shown_name

_REFRESH_S = 0.2
_SENDING = "{desc}: sending, {percentage:3.0f}% |{bar}|"
_TRANSCRIBING = "{desc}: {percentage:3.0f}% |{bar}| {n:.0f}/{total:.0f} s of audio"


def transcribe_remotely(
    server: ServerOptions, request: TranscribeRequest, *, language: str | None, prompt: str | None
) -> int:
    """Write the transcripts of files as `transcribe` does, made by a server; return the exit status.

    A file that cannot be opened, is refused by the server, or is transcribed in part only, is reported on standard
    error; everything else is transcribed, and the status is 1.

    Raises:
        SettingError: The format takes one file only.
        AudioFileError: No file can be opened.
        ConnectError: The server cannot be reached, or the connection broke.
        UploadRefused: The server refuses all files, as without a key.
        OutputError: The output cannot be written.
    """
    output = TranscriptOutput.of(request)
    job = _RemoteJob(server, output, channels=request.channels, language=language, prompt=prompt)
    try:
        with unwrap_errors(AudioFileError, ConnectError, UploadRefused, SettingError, OutputError, BrokenPipeError):
            trio.run(job.run, request.files)
    finally:
        output.finish()
    return 0 if job.complete else 1


class _RemoteJob:
    """The files of one command, sent one after the other.

    Attributes:
        complete: Whether all files so far were transcribed as a whole.
    """

    def __init__(
        self,
        server: ServerOptions,
        output: TranscriptOutput,
        *,
        channels: ChannelChoice,
        language: str | None,
        prompt: str | None,
    ) -> None:
        self.complete = True
        self._server = server
        self._output = output
        self._channels = channels
        self._language = language
        self._prompt = prompt

    async def run(self, files: Sequence[str]) -> None:
        """Transcribe the files in order.

        Raises:
            AudioFileError: No file can be opened.
        """
        failures: list[AudioFileError] = []
        for name in files:
            try:
                source, _ = await trio.to_thread.run_sync(open_source, name, abandon_on_cancel=True)
            except AudioFileError as error:
                failures.append(error)
                if len(failures) == len(files):
                    raise
                self._fail(str(error))
                continue
            with source:
                await self._send(name, source)

    async def _send(self, name: str, source: BinaryIO) -> None:
        shown = shown_name(name)
        spoke = refused = False
        async with (
            transcribe(
                self._server.url,
                source,
                name=shown,
                key=self._server.key,
                language=self._language,
                prompt=self._prompt,
                channels=self._channels,
                ca_file=self._server.ca_file,
            ) as transcription,
            trio.open_nursery() as nursery,
        ):
            progress = _Progress(shown, transcription)
            nursery.start_soon(progress.run)
            try:
                async for segment in transcription:
                    if not spoke:
                        spoke = True
                        self._output.begin(shown)
                    progress.note(segment)
                    self._output.add(segment)
            except UploadRefused as error:
                if not error.is_about_file:
                    raise
                refused = True
                self._fail(str(error))
            nursery.cancel_scope.cancel()
        progress.close()
        for warning in transcription.warnings:
            self._fail(warning)
        if spoke or refused:
            return
        self._output.begin(shown)
        if not transcription.warnings:
            report(f"{shown}: {'contains no audio' if transcription.length_s == 0 else 'no speech was found'}")

    def _fail(self, message: str) -> None:
        self.complete = False
        report(message)


class _Progress:
    """The progress bar of one file: first how much of it is sent, then how much of it is transcribed."""

    def __init__(self, name: str, transcription: Transcription) -> None:
        self._transcription = transcription
        self._spoken_s = 0.0
        self._bar = tqdm(total=100, desc=name, disable=not sys.stderr.isatty(), bar_format=_SENDING)

    def note(self, segment: SpokenSegment) -> None:
        """Note that the file is transcribed up to the end of a segment."""
        self._spoken_s = max(self._spoken_s, segment.end)

    async def run(self) -> None:
        """Refresh it until cancelled."""
        while not self._bar.disable:
            length_s = self._transcription.length_s
            if length_s:
                self._bar.bar_format, self._bar.total = _TRANSCRIBING, length_s
                self._bar.n = min(self._spoken_s, length_s)
            else:
                self._bar.n = round(100 * self._transcription.sent)
            self._bar.refresh()
            await trio.sleep(_REFRESH_S)

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()
