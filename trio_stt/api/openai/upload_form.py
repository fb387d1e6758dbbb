"""The multipart body of an upload, decoded as it arrives. Sans-IO: bytes in, the bytes of the sound file out."""

from typing import cast

from werkzeug.datastructures import Headers
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Field, File, MultipartDecoder, NeedData, State

from trio_stt.api.openai.transcription_request import reject_speakers
from trio_stt.api.request_error import RequestError

MAX_FIELD_BYTES = 65_536
"""Longest text field in bytes. A prompt takes some hundred; voice samples in data URLs are not supported."""
_MAX_PARTS = 256
_MAX_HEADERS_BYTES = 16_384
"""The headers of one part, beside a chunk of its data."""
_CHUNK_BYTES = 65_536


class _Decoder(MultipartDecoder):
    """Reads headers whose file name is not UTF-8, as some clients write it: the name is not used."""

    def _parse_headers(self, data: bytes | bytearray) -> Headers:
        return super()._parse_headers(data.decode(errors="replace").encode())


class UploadForm:
    """Decodes one body. Repeated fields are kept in order, without surrounding white space; the sound stands anywhere.

    Args:
        content_type: The request's header, with the boundary.
        file_field: The field of the sound.

    Raises:
        RequestError: It is not multipart/form-data.
    """

    def __init__(self, content_type: str, file_field: str = "file") -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get("boundary", "")
        if kind.lower() != "multipart/form-data" or not boundary:
            raise RequestError(
                400, f"the body must be multipart/form-data with a field `{file_field}`", param=file_field
            )
        self._decoder = _Decoder(
            boundary.encode(), max_form_memory_size=_CHUNK_BYTES + _MAX_HEADERS_BYTES, max_parts=_MAX_PARTS
        )
        self._file_field = file_field
        self._fields: dict[str, list[str]] = {}
        self._name = ""  # of the part that is being decoded
        self._is_text = False
        self._value = bytearray()
        self._has_file = False

    def feed(self, data: bytes) -> bytes:
        """Decode the next bytes of the body; returns what they hold of the sound file.

        Raises:
            RequestError: The body is malformed, a field is too long, or there is a second sound.
        """
        return b"".join(self._decode(data[start : start + _CHUNK_BYTES]) for start in range(0, len(data), _CHUNK_BYTES))

    def finish(self) -> dict[str, list[str]]:
        """The values of the text fields, by name, after the whole body.

        Raises:
            RequestError: The body is cut off, or has no sound.
        """
        if self._decoder.state is State.PREAMBLE:
            raise _no_boundary()
        if self._decoder.state is not State.EPILOGUE:
            raise RequestError(400, "the multipart body is cut off")
        if not self._has_file:
            raise RequestError(400, f"the field `{self._file_field}` is missing", param=self._file_field)
        return self._fields

    def _decode(self, data: bytes) -> bytes:
        sound = bytearray()
        if self._decoder.state is State.EPILOGUE:
            return b""  # whatever comes behind the last boundary means nothing
        try:
            self._decoder.receive_data(data)
            while not isinstance(event := self._decoder.next_event(), NeedData):
                match event:
                    case Field(name=name) | File(name=name):
                        # werkzeug returns None for a part without a name, which is ignored.
                        self._name = cast("str | None", name) or ""
                        self._is_text = isinstance(event, Field) and bool(self._name)
                        self._note_file()
                    case Data(data=part, more_data=more):
                        if self._name == self._file_field:
                            sound += part
                        elif self._is_text:  # other files are ignored, too
                            self._add(part, more=more)
        except RequestEntityTooLarge:
            if self._decoder.state is State.PREAMBLE:
                raise _no_boundary() from None
            raise RequestError(
                413,
                f"the multipart body has more than {_MAX_PARTS} parts, or a part with more than {_MAX_HEADERS_BYTES}"
                " bytes of headers",
            ) from None
        except ValueError as error:
            raise RequestError(400, f"the multipart body is malformed: {error}") from None
        return bytes(sound)

    def _note_file(self) -> None:
        if self._name == self._file_field:
            if self._has_file:
                raise RequestError(400, f"{self._name}: sent more than once; a request has one sound", param=self._name)
            self._has_file = True

    def _add(self, part: bytes, *, more: bool) -> None:
        self._value += part
        if len(self._value) > MAX_FIELD_BYTES:
            reject_speakers([self._name])  # their samples may have megabytes, and would be refused anyway
            raise RequestError(
                400, f"the field `{self._name}` is longer than {MAX_FIELD_BYTES} bytes", param=self._name
            )
        if not more:
            # Stripped, because werkzeug leaves a carriage return where a body is split inside its last boundary.
            try:
                text = self._value.decode().strip()
            except UnicodeDecodeError:
                raise RequestError(400, f"{self._name}: is not UTF-8", param=self._name, code="invalid_value") from None
            self._fields.setdefault(self._name, []).append(text)
            self._value.clear()


def _no_boundary() -> RequestError:
    return RequestError(400, "the body does not have the boundary that the header Content-Type names")
