"""The answer to a whole file. Pure: utterances in, JSON out."""

from collections.abc import Sequence

import msgspec

from trio_stt.api.deepgram.messages import Alternative, ModelInfo, ResultMetadata, Word
from trio_stt.api.deepgram.options import ListenOptions
from trio_stt.api.deepgram.words import alternative, confidence_of, exact_s
from trio_stt.protocol.scripts import joined
from trio_stt.protocol.transcript_formats import SpokenSegment


class FileMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """What was transcribed, and by which model; `duration` in seconds."""

    transaction_key: str = "deprecated"
    request_id: str
    sha256: str
    created: str
    duration: float
    channels: int
    models: list[str]
    model_info: dict[str, ModelInfo]


class Sentence(msgspec.Struct, frozen=True, kw_only=True):
    """The only sentence of a paragraph; times in seconds."""

    text: str
    start: float
    end: float


class Paragraph(msgspec.Struct, frozen=True, kw_only=True):
    """One utterance; times in seconds."""

    sentences: list[Sentence]
    num_words: int
    start: float
    end: float


class Paragraphs(msgspec.Struct, frozen=True, kw_only=True):
    """All paragraphs, with an empty line between them in `transcript`."""

    transcript: str
    paragraphs: list[Paragraph]


class FileAlternative(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The text of the file, its confidence from 0 to 1, and its words."""

    transcript: str
    confidence: float
    words: list[Word]
    paragraphs: Paragraphs | None = None


class FileChannel(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One channel, or all of them mixed, with its only alternative."""

    alternatives: list[FileAlternative]
    detected_language: str | None = None
    language_confidence: float | None = None


class Utterance(msgspec.Struct, frozen=True, kw_only=True):
    """One utterance; times in seconds, confidence from 0 to 1, its channel from 0."""

    start: float
    end: float
    confidence: float
    channel: int
    transcript: str
    words: list[Word]
    id: str


class FileResults(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The text of the file."""

    channels: list[FileChannel]
    utterances: list[Utterance] | None = None


class FileAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a whole file."""

    metadata: FileMetadata
    results: FileResults


def file_answer(
    options: ListenOptions,
    segments: Sequence[SpokenSegment],
    *,
    metadata: ResultMetadata,
    created: str,
    sha256: str,
    duration_s: float,
    language: str,
    channels: int = 1,
) -> bytes:
    """The body of the answer.

    Args:
        options: Of the request.
        segments: The utterances, in order.
        metadata: Id of the request, and the model.
        created: When the request came, ISO 8601 with Z.
        sha256: Of the body, in hexadecimal digits.
        duration_s: Length of the sound in seconds.
        language: Code of the language, where it is known.
        channels: How many were transcribed on their own; 1 where they were mixed.
    """
    spoken = [alternative(segment) for segment in segments]
    known_language = language if options.detect_language and language else None
    return msgspec.json.encode(
        FileAnswer(
            metadata=FileMetadata(
                request_id=metadata.request_id,
                sha256=sha256,
                created=created,
                duration=exact_s(duration_s),
                channels=channels,
                models=[metadata.model_uuid],
                model_info={metadata.model_uuid: metadata.model_info},
            ),
            results=FileResults(
                channels=[
                    _channel([s for s in segments if _index(s) == index], options, known_language)
                    for index in range(channels)
                ],
                utterances=_utterances(segments, spoken, metadata.request_id) if options.utterances else None,
            ),
        )
    )


def _index(segment: SpokenSegment) -> int:
    """Number of the channel of an utterance, from 0."""
    return (segment.channel or 1) - 1


def _channel(segments: Sequence[SpokenSegment], options: ListenOptions, language: str | None) -> FileChannel:
    spoken = [alternative(segment) for segment in segments]
    words = [word for each in spoken for word in each.words]
    transcript = FileAlternative(
        transcript=joined(each.transcript for each in spoken),
        confidence=confidence_of(words),
        words=words,
        paragraphs=_paragraphs(segments, spoken) if options.paragraphs else None,
    )
    return FileChannel(
        alternatives=[transcript],
        detected_language=language,
        language_confidence=1.0 if language else None,
    )


def _utterances(segments: Sequence[SpokenSegment], spoken: Sequence[Alternative], request_id: str) -> list[Utterance]:
    return [
        Utterance(
            start=exact_s(segment.start),
            end=exact_s(segment.end),
            confidence=each.confidence,
            channel=_index(segment),
            transcript=each.transcript,
            words=each.words,
            id=f"{request_id}-{segment.segment_id}",
        )
        for segment, each in zip(segments, spoken, strict=True)
    ]


def _paragraphs(segments: Sequence[SpokenSegment], spoken: Sequence[Alternative]) -> Paragraphs:
    """One paragraph, of one sentence, for each utterance: engines say nothing of where sentences end."""
    return Paragraphs(
        transcript="\n\n".join(each.transcript for each in spoken),
        paragraphs=[
            Paragraph(
                sentences=[Sentence(text=each.transcript, start=exact_s(segment.start), end=exact_s(segment.end))],
                num_words=len(each.words),
                start=exact_s(segment.start),
                end=exact_s(segment.end),
            )
            for segment, each in zip(segments, spoken, strict=True)
        ],
    )
