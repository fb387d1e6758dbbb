"""API keys for tests."""

from pathlib import Path

from trio_stt.access.keys import KeyScope, add_to_file, create_key

SCRYPT_KEY = "tstt_9673079d_7w26WQOMq_B7wf86IKW0knGlmP5BsuOEg3GjrWcnkxQ"
SCRYPT_ENTRY = "9673079d:admin:2026-11-30:nIph-ksYTJbh6f7xm8NtZw:oQA4nXDQzEeAvezCakC32Ku6ZaWVO2fGdjRCmm-0Bnw:old desk"
"""A key and its entry as versions before SHA-256 made them; it opens nothing outside tests."""


def add_key(path: Path, scope: KeyScope) -> str:
    """A new key whose entry is in the file."""
    key, record = create_key(scope)
    add_to_file(path, record)
    return key
