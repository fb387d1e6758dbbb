"""The native protocol, that of RealtimeSTT's server."""
