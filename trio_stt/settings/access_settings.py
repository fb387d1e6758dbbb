"""Settings of access: names, origins, keys, TLS, proxies and limits of one client."""

from typing import Annotated

from pydantic import Field

from trio_stt.settings.option import SettingsGroup, active, new_sessions, startup


class AccessSettings(SettingsGroup):
    """Names, keys, TLS, proxies and limits."""

    group = "access"

    allowed_hosts: Annotated[
        str,
        Field(
            max_length=1024,
            description="Host names of the server besides this machine's own, separated by commas; * allows any.",
        ),
        startup("--allowed-hosts"),
    ] = ""
    allowed_origins: Annotated[
        str,
        Field(
            max_length=1024,
            description="Origins, such as https://example.org, whose pages may use the server besides its "
            "own, separated by commas; * allows any.",
        ),
        startup("--allowed-origins"),
    ] = ""
    keys_file: Annotated[
        str,
        Field(
            max_length=4096,
            description="File of API keys, as `trio-stt keys` writes it; if it is empty, no key is needed.",
        ),
        startup("--keys-file", public=False),
    ] = ""
    keys: Annotated[
        str,
        Field(
            max_length=65_536,
            description="Entries of API keys, as `trio-stt keys create` prints them without a file, "
            "separated by commas.",
        ),
        startup("--keys", public=False),
    ] = ""
    certfile: Annotated[
        str,
        Field(max_length=4096, description="TLS certificate and its chain, a PEM file; SIGHUP reloads it."),
        startup("--certfile", public=False),
    ] = ""
    keyfile: Annotated[
        str,
        Field(max_length=4096, description="Private key of the TLS certificate, a PEM file without a password."),
        startup("--keyfile", public=False),
    ] = ""
    trusted_proxies: Annotated[
        str,
        Field(
            max_length=1024,
            description="Addresses and networks of reverse proxies, such as 10.0.0.0/8, whose forwarding "
            "headers are trusted, separated by commas.",
        ),
        startup("--trusted-proxies"),
    ] = ""
    root_path: Annotated[
        str,
        Field(max_length=256, description="Path, such as /stt, under which a reverse proxy publishes the server."),
        startup("--root-path"),
    ] = ""
    max_connections_per_address: Annotated[
        int,
        Field(ge=1, le=100_000, description="Open sockets of one client address; further ones are rejected."),
        active("--max-connections-per-address"),
    ] = 64
    max_failed_logins_per_address: Annotated[
        int,
        Field(ge=1, le=100_000, description="Wrong keys that one client address may try in a minute."),
        active("--max-failed-logins-per-address"),
    ] = 10
    max_commands_per_second: Annotated[
        int,
        Field(
            ge=1,
            le=100_000,
            description="Commands a second from one socket, over 5 s; a socket that sends more is closed.",
        ),
        new_sessions("--max-commands-per-second"),
    ] = 50
    max_packets_per_second: Annotated[
        int,
        Field(ge=1, le=100_000, description="Audio packets a second from one socket, over 5 s; more are read later."),
        new_sessions("--max-packets-per-second"),
    ] = 1000
    max_audio_speed: Annotated[
        float,
        Field(
            ge=0,
            le=100_000,
            description="Audio is read at up to this multiple of real time, over 10 s; 0 sets no limit.",
        ),
        new_sessions("--max-audio-speed"),
    ] = 20.0
    liveness_timeout_s: Annotated[
        float,
        Field(
            ge=0,
            le=3600,
            description="Seconds without any frame, answers to pings included, after which a socket is "
            "closed; 0 never closes one.",
        ),
        active("--liveness-timeout-s"),
    ] = 30.0
