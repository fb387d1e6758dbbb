"""Deepgram's `/v1/listen`, live and for whole files. See docs/deepgram.md."""
