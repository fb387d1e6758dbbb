"""The OpenAI Realtime dialect: transcription sessions over a WebSocket. See docs/realtime.md."""
