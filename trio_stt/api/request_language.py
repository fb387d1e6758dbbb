"""The language of one request: what the client asks for, and what the loaded model can do.

Many clients of other protocols send `en` without a wish of their own. Where nothing is known of the model's languages,
theirs has no effect and is not refused.
"""

from collections.abc import Sequence

from trio_stt.api.request_error import RequestError
from trio_stt.errors import LanguageUnavailable
from trio_stt.lanes.engines.language_support import LanguageSupport


def choose_language(wanted: Sequence[str], languages: LanguageSupport) -> str | None:
    """The language for the session of a request, as `LanguageSupport.choose` returns it; None where nothing is known.

    Args:
        wanted: As the client wrote them, in order of preference; none takes the server's setting.
        languages: Those of the engine for finals.

    Raises:
        RequestError: The model can have none of them.
    """
    if languages.is_unknown:
        return None
    try:
        return languages.choose_first(wanted)
    except LanguageUnavailable as error:
        raise RequestError(400, f"language: {error}", param="language", code="unsupported_value") from None
