"""Settings of access: names, origins, keys, TLS, proxies and limits of one client."""

from typing import Annotated

from pydantic import Field

from trio_stt.settings.option import SettingsGroup, UserPath, active, new_sessions, startup

DIALECTS: tuple[str, ...] = ("openai-realtime", "deepgram", "vosk")
"""Every dialect that listens on the port of the server."""


class AccessSettings(SettingsGroup):
    """Names, keys, TLS, proxies and limits."""

    group = "access"

    allowed_hosts: Annotated[str, Field(max_length=1024), startup()] = ""
    """Host names of the server besides this machine's own, separated by commas; * allows any."""
    allowed_origins: Annotated[str, Field(max_length=1024), startup()] = ""
    """Origins, such as https://example.org, whose pages may use the server besides its own, separated by commas; *
    allows any. Pages from files have the origin null or file://.
    """
    frame_ancestors: Annotated[str, Field(max_length=1024), startup()] = ""
    """Origins, such as https://home.example.org, whose pages may show the server's page in a frame, separated by
    commas; * allows any.
    """
    keys_file: Annotated[str, Field(max_length=4096), UserPath, startup(public=False)] = ""
    """File of API keys, as `trio-stt keys` writes it; if it is empty, no key is needed."""
    keys: Annotated[str, Field(max_length=65_536), startup(public=False)] = ""
    """Entries of API keys, as `trio-stt keys create` prints them without a file, separated by commas."""
    certfile: Annotated[str, Field(max_length=4096), startup(public=False)] = ""
    """TLS certificate and its chain, a PEM file; SIGHUP reloads it."""
    keyfile: Annotated[str, Field(max_length=4096), startup(public=False)] = ""
    """Private key of the TLS certificate, a PEM file without a password."""
    trusted_proxies: Annotated[str, Field(max_length=1024), startup()] = ""
    """Addresses and networks of reverse proxies, such as 10.0.0.0/8, whose forwarding headers are trusted, separated
    by commas.
    """
    root_path: Annotated[str, Field(max_length=256), startup()] = ""
    """Path, such as /stt, under which a reverse proxy publishes the server."""
    max_connections: Annotated[int, Field(ge=0, le=1_000_000), active()] = 0
    """Open connections of all clients; for a further one, the connection that waits longest for a request is closed, or
    the new one refused. 0 chooses by the number of files that the process may open.
    """
    max_connections_per_address: Annotated[int, Field(ge=1, le=100_000), active()] = 64
    """Open WebSockets of one client address; further ones are rejected. 64 other connections are served in addition."""
    max_failed_logins_per_address: Annotated[int, Field(ge=1, le=100_000), active()] = 10
    """Wrong keys that one client address may try in a minute."""
    max_commands_per_second: Annotated[int, Field(ge=1, le=100_000), new_sessions()] = 50
    """Commands a second from one socket, over 5 s; a socket that sends more is closed."""
    max_packets_per_second: Annotated[int, Field(ge=1, le=100_000), new_sessions()] = 1000
    """Audio packets a second from one socket, over 5 s; more are read later."""
    max_audio_speed: Annotated[float, Field(ge=0, le=100_000), new_sessions()] = 20.0
    """Audio is read at up to this multiple of real time, over 10 s; 0 sets no limit."""
    liveness_timeout_s: Annotated[float, Field(ge=0, le=3600), active()] = 30.0
    """Seconds without any frame, answers to pings included, after which a socket is closed; 0 never closes one."""
    openai_api: Annotated[bool, startup()] = True
    """Serve OpenAI's REST API for transcription under /v1."""
    dialects: Annotated[str, Field(max_length=1024), startup()] = ",".join(DIALECTS)
    """Protocols of other servers that are spoken, besides this server's own, separated by commas; empty for none."""
    deepgram_min_endpointing_ms: Annotated[int, Field(ge=160, le=60_000), new_sessions()] = 300
    """Least silence that ends an utterance of a Deepgram client, in milliseconds; many ask for 10."""
    max_upload_bytes: Annotated[int, Field(ge=1024, le=1 << 34), startup()] = 25 << 20
    """Largest body of an upload in bytes."""
    max_upload_seconds: Annotated[float, Field(gt=0, le=1_000_000), active()] = 14_400.0
    """Longest sound of an upload in seconds, counted while it is decoded."""
