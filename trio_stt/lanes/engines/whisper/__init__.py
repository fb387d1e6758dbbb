"""Engines that run Whisper models: whisper.cpp and CTranslate2."""
