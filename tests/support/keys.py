"""API keys for tests."""

from pathlib import Path

from trio_stt.access.keys import KeyScope, add_to_file, create_key


def allowing(path: Path, scope: KeyScope) -> str:
    """A new key that a file lets in."""
    key, record = create_key(scope)
    add_to_file(path, record)
    return key
