"""trio-stt: self-hosted, real-time speech-to-text for many talkers at once."""
