"""The error of a request over HTTP, whatever form its clients read."""

from collections.abc import Mapping
from typing import Final

from trio_stt.errors import TrioSttError
from trio_stt.protocol.http_errors import ErrorBody, error_body

NO_RETRY: Final = {"x-should-retry": "false"}
"""Headers of a failure that will repeat: OpenAI's clients would send the whole file twice more."""


class RequestError(TrioSttError):
    """A request cannot be served.

    Args:
        status: HTTP status, 400 to 599.
        message: One line that says what to do.
        param: The field at fault, or None.
        code: A word for programs, or None.
        headers: Further headers of the answer, such as `retry-after`.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.param = param
        self.code = code
        self.headers = dict(headers or {})

    @property
    def body(self) -> ErrorBody:
        """The body of the answer in OpenAI's form."""
        return error_body(self.status, str(self), param=self.param, code=self.code)
