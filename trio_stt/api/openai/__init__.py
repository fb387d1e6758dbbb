"""OpenAI's REST API for transcription: `/v1/audio/transcriptions` and `/v1/models`. See docs/openai.md."""
