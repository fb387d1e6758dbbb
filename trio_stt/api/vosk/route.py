"""The route of vosk-server's clients: the WebSocket at `/`, because most of them take a host and a port only."""

from trio_stt.api.dialect_route import DialectSpec
from trio_stt.api.vosk.translator import VoskTranslator

VOSK_SPEC = DialectSpec(path="/", new_dialect=lambda handshake: [VoskTranslator(handshake.settings)], full_status=503)
