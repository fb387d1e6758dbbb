"""The native protocol, which clients of RealtimeSTT's server speak."""
