"""Reading of sound files, for `trio-stt transcribe`, uploads and the load test."""
