"""`trio-stt transcribe`: runs sound files through the same session that serves a socket, faster than real time.

It owns the progress bar and what is reported. `transcript_output` writes, `sound_channels` reads.
"""

import logging
import sys
from collections.abc import Sequence
from functools import partial

import trio
from tqdm import tqdm

from trio_stt.cli.error_groups import unwrap_errors
from trio_stt.cli.transcribe_options import TranscribeRequest
from trio_stt.cli.transcript_output import OutputError, TranscriptOutput, report
from trio_stt.errors import AudioFileError, EngineUnavailable, SettingError
from trio_stt.protocol.transcript_formats import SpokenSegment
from trio_stt.runtime.logging_setup import start_logging
from trio_stt.server.build import build_server, prepare_process
from trio_stt.server.server_state import ServerState
from trio_stt.server.sound_channels import SoundTranscription, open_channels
from trio_stt.server.sound_client import decode_in_thread, file_settings
from trio_stt.settings import Settings
from trio_stt.sound.channels import ChannelChoice
from trio_stt.sound.reader import Sound, read_sound
from trio_stt.sound.source import open_source, shown_name

_PROGRESS = "{desc}: {percentage:3.0f}% |{bar}| {n:.0f}/{total:.0f} s of audio, {rate_fmt}"
_PROGRESS_WITHOUT_TOTAL = "{desc}: {n:.0f} s of audio, {rate_fmt}"


def transcribe(settings: Settings, request: TranscribeRequest) -> int:
    """Write the transcripts of files to standard output, a file or a folder; return the exit status.

    A file that cannot be opened, breaks off or cannot be transcribed in part is reported on standard error; everything
    else is transcribed, and the status is 1.

    Raises:
        SettingError: The format takes one file only, or the settings are invalid.
        AudioFileError: No file can be opened.
        EngineUnavailable: There is no engine to transcribe with.
        OutputError: The output cannot be written.
    """
    # The server's log lines are of no use at a terminal, where errors are printed.
    start_logging("CRITICAL" if settings.log_level == "INFO" else settings.log_level, settings.log_format)
    logging.getLogger("trio_stt.lanes.model_resolver").setLevel("INFO")  # downloads of gigabytes are announced
    # Files need no engine for partials; the rest is as `file_settings` has it.
    settings = file_settings(settings).model_copy(update={"use_main_model_for_realtime": True})
    server_state = build_server(settings)
    output = TranscriptOutput.of(request)
    try:
        with unwrap_errors(AudioFileError, EngineUnavailable, SettingError, OutputError, BrokenPipeError):
            complete = trio.run(_transcribe_all, server_state, request, output)
    finally:
        output.finish()
    return 0 if complete else 1


async def _transcribe_all(server_state: ServerState, request: TranscribeRequest, output: TranscriptOutput) -> bool:
    """Transcribe the files in order; return whether all of them are complete.

    Raises:
        AudioFileError: No file can be opened.
        EngineUnavailable: There is no engine to transcribe with.
    """
    sounds = await _check_all(request.files)
    complete = len(sounds) == len(request.files)
    async with trio.open_nursery() as nursery:
        await nursery.start(server_state.lanes.run)
        prepare_process()  # while the lane's thread loads the model
        await server_state.lanes.wait_loaded()
        for error in server_state.startup_errors():
            raise EngineUnavailable(error.message)
        for lane in server_state.lanes.statistics().lanes:
            if lane.engine and lane.engine.notice:
                report(lane.engine.notice)
        for opened in sounds:
            try:
                sound = opened if isinstance(opened, Sound) else await _open(opened)
            except AudioFileError as error:  # it was removed or replaced meanwhile
                report(str(error))
                complete = False
            else:
                complete &= await _transcribe(server_state, sound, output, request.channels)
        nursery.cancel_scope.cancel()
    return complete


async def _check_all(files: Sequence[str]) -> list[str | Sound]:
    """Open each file once and report those that cannot be opened, before a model is loaded.

    Returns:
        The names of the others, because there may be more of them than a process may have open; and what can be read
        only once, open.

    Raises:
        AudioFileError: No file can be opened.
    """
    checked: list[str | Sound] = []
    messages: list[str] = []
    for name in files:
        try:
            sound = await _open(name)
        except AudioFileError as error:
            messages.append(str(error))
            continue
        if sound.is_copy:
            checked.append(sound)
        else:
            sound.close()
            checked.append(name)
    last = "" if checked else messages.pop()
    for message in messages:
        report(message)
    if last:
        raise AudioFileError(last)
    return checked


async def _open(name: str) -> Sound:
    # Without a limit: a pipe is read to its end here, and it may come from a microphone.
    source, is_copy = await trio.to_thread.run_sync(open_source, name, abandon_on_cancel=True)
    shown = shown_name(name)
    return await decode_in_thread(shown, partial(read_sound, source, name=shown, is_copy=is_copy))


async def _transcribe(
    server_state: ServerState, sound: Sound, output: TranscriptOutput, channels: ChannelChoice
) -> bool:
    """Transcribe one sound, or each of its channels in a session of its own; return whether it is complete."""
    complete, spoke = True, False

    def add(segment: SpokenSegment) -> None:
        nonlocal spoke
        spoke = True
        output.add(segment)

    def fail(message: str) -> None:
        nonlocal complete
        complete = False
        report(message)

    try:
        opened = await open_channels(sound, channels)
    except AudioFileError as error:
        report(str(error))
        return False
    output.begin(sound.name)
    with tqdm(
        total=round(sound.length_s, 1) if sound.length_s else None,
        desc=sound.name,
        unit="s",
        disable=not sys.stderr.isatty(),
        bar_format=_PROGRESS if sound.length_s else _PROGRESS_WITHOUT_TOTAL,
    ) as progress:
        transcription = SoundTranscription(opened, on_segment=add, on_error=fail, on_read=progress.update)
        await transcription.run(server_state, server_state.settings)
    if complete and not spoke:
        report(f"{sound.name}: {'no speech was found' if transcription.length_s else 'contains no audio'}")
    return complete
