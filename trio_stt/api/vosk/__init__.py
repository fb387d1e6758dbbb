"""The WebSocket protocol of vosk-server. See docs/clients.md."""
