"""The WebSocket protocol of vosk-server. See docs/vosk.md."""
