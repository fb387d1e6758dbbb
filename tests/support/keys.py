"""API keys for tests."""

from pathlib import Path

from trio_stt.access.keys import KeyScope, add_to_file, create_key

SCRYPT_KEY = "tstt_9673079d_7w26WQOMq_B7wf86IKW0knGlmP5BsuOEg3GjrWcnkxQ"
SCRYPT_ENTRY = "9673079d:admin:2026-11-30:nIph-ksYTJbh6f7xm8NtZw:oQA4nXDQzEeAvezCakC32Ku6ZaWVO2fGdjRCmm-0Bnw:old desk"
"""A key and its entry in the scrypt format of older versions; it is valid in tests only."""


def add_key(path: Path, scope: KeyScope) -> str:
    """Create a key, and append its entry to the file."""
    key, record = create_key(scope)
    add_to_file(path, record)
    return key
