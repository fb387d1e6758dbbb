"""The wire as files: each message complete, as the contract has it. What we add to it is listed here, and nowhere else.

Golden files hold no addition of ours. They were written from the contract (its examples, where it gives one, filled up
to complete objects), not by the code under test.
"""

import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "golden"

ADDED_FIELDS = {
    "*.seq": "numbers the events of a session",
    "hello.resumeToken": "shows, on a later connection, who may go on with the session",
    "hello.resumeGraceSeconds": "how long it is kept for that",
    "status.degraded": "partials come less often because the server is behind",
    "final.stableTextAgreed": "whether the final begins with the words that partials had shown as stable",
    "final.pieces": "when its words were spoken, as far as the engine says, and how sure it is",
    "*egment.audioStartSeconds": "where the speech begins in the audio that the client sent",
    "*egment.audioEndSeconds": "where it ends there",
    "*.wakeWord.word": "which of the wake words was heard",
    "*metrics.suppressedTexts": "what engines returned and nobody can have said",
    "http_metrics.sessions.*.suppressedTexts": "the same",
    "*.workers.*.engine": "which engine a lane runs",
    "*.workers.*.model": "which model it loaded",
    "*.workers.*.device": "on which device",
    "*.workers.*.capabilities": "what that engine can do",
    "*.workers.*.state": "whether the lane has an engine, waits for one, or is failed",
    "*.workers.*.workers": "how many engines it shall have",
    "*.workers.*.serving": "how many it has",
    "*.workers.*.restarts": "how many were given up",
    "*.workers.*.hungThreads": "how many of them hang",
    "*.workers.*.droppedPartials": "how many partials were lost with their engine",
    "*.workers.*.lastError": "why an engine was lost or could not be loaded, the last time",
    "http_config.schema": "what there is to know of each setting; one is in the file http_config_schema",
    "http_config_update.warnings": "what is allowed but hardly meant",
}
"""Path of a field in a message (the file's kind first, `*` for any part of it), and what it is there for."""

ADDED_MESSAGES = {
    "auth_required": "asks for a key, where one is needed and none came with the handshake",
    "flushed": "answers our command `flush`",
    "heartbeat": "tells a streaming client that the session lives",
    "resumed": "answers our command `resume`",
    "timeline_segment_closed": "ends a segment that has no final",
}
"""Files that the contract does not know, and what the message is for."""

_MAPS = frozenset({"queues", "workers", "sessions", "perSession"})
"""Objects whose keys are names, not fields."""


def names() -> list[str]:
    """Every golden file."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def golden(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def kind_of(name: str) -> str:
    """What the paths of a file's fields begin with: a type of event, or the whole name of an HTTP body."""
    return name if name.startswith("http_") else name.partition("_")[0]


def written(value: Any) -> str:
    """JSON text in which 1, 1.0 and true differ, and the order of keys does not count."""
    return json.dumps(value, indent=1, sort_keys=True, allow_nan=False)


def contract_part(value: Any, path: str) -> tuple[Any, set[str]]:
    """A message without our additions, and which of `ADDED_FIELDS` it had."""
    used: set[str] = set()

    def pruned(value: Any, path: str) -> Any:
        if isinstance(value, list):
            return [pruned(item, path) for item in value]
        if not isinstance(value, dict):
            return value
        kept = {}
        for key, field in value.items():
            patterns = {pattern for pattern in ADDED_FIELDS if fnmatchcase(f"{path}.{key}", pattern)}
            used.update(patterns)
            if not patterns:
                kept[key] = pruned(field, f"{path}.{key}")
        return kept

    return pruned(value, path), used


def differences(actual: Any, expected: Any, path: str) -> list[str]:
    """Where the shape of a message differs from a golden one: fields, and JSON types with int and float apart.

    A null in the golden message stands for a value that may be null.
    """
    if expected is None:
        return []
    if type(actual) is not type(expected):
        return [f"{path} is {actual!r}, not like {expected!r}"]
    if isinstance(expected, list):
        return [line for item in actual for line in differences(item, expected[0], f"{path}[]")]
    if not isinstance(expected, dict) or path.endswith(".settings"):  # settings have their own tests
        return []
    if path.rpartition(".")[2] in _MAPS:
        model = next(iter(expected.values()))
        return [line for key, item in actual.items() for line in differences(item, model, f"{path}.{key}")]
    found = [f"{path}.{key} is missing" for key in expected.keys() - actual.keys()]
    found += [f"{path}.{key} is new" for key in actual.keys() - expected.keys()]
    for key in expected.keys() & actual.keys():
        found += differences(actual[key], expected[key], f"{path}.{key}")
    return found
