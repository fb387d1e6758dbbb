"""The routes of whisper.cpp's server and of whisper-asr-webservice: other forms of the same transcription."""
