"""The list of models: what runs here, and the name that most clients ask for. Any name means the loaded model."""

import re
from collections.abc import Sequence

import msgspec

from trio_stt.server.public_reports import shown_model

_USUAL_NAME = "whisper-1"
_ALIAS = re.compile(r"whisper[\w.-]*|gpt-[\w.-]*(transcribe|whisper)[\w.-]*")
"""The names of OpenAI's models for transcription, which clients have built in."""


class ModelEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One model, as OpenAI's API describes it; `created` in seconds since the epoch."""

    id: str
    object: str = "model"
    created: int
    owned_by: str = "trio-stt"


class ModelList(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `/v1/models`."""

    object: str = "list"
    data: list[ModelEntry]


def model_entries(loaded: Sequence[str], created: int) -> list[ModelEntry]:
    """The loaded models, the one for finals first, and the name that most clients have built in."""
    # A dict keeps the order and drops what is listed twice.
    names = dict.fromkeys([*map(shown_model, loaded), _USUAL_NAME])
    return [ModelEntry(id=name, created=created) for name in names]


def model_entry(model_id: str, listed: Sequence[ModelEntry], created: int) -> ModelEntry | None:
    """The entry of a model that is listed, or has one of OpenAI's names; None for others."""
    if _ALIAS.fullmatch(model_id):
        return ModelEntry(id=model_id, created=created)
    return next((entry for entry in listed if entry.id == model_id), None)
