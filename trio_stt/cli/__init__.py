"""The command line: one module of this package for each command.

It owns parsing and exit statuses: 0 success, 1 failure, 2 invalid arguments or settings, 130 interrupted.
"""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec

from trio_stt.cli.bench_options import add_bench_arguments, bench_options
from trio_stt.cli.cluster_options import add_cluster_arguments
from trio_stt.cli.keys import add_keys_arguments, keys
from trio_stt.cli.listen_options import add_listen_arguments
from trio_stt.cli.models_options import add_models_arguments
from trio_stt.cli.options import add_settings, given_settings
from trio_stt.cli.parser import Parser
from trio_stt.cli.plan_options import add_plan_arguments
from trio_stt.cli.server_options import server_options
from trio_stt.cli.transcribe_options import add_transcribe_arguments, remote_server, transcribe_request
from trio_stt.errors import AudioFileError, SettingError, TrioSttError
from trio_stt.processes.membership import is_member
from trio_stt.runtime.packages import install_hint
from trio_stt.settings import Settings, declarations, load_settings

_INTERRUPTED = 130  # the status of shells for SIGINT
_SERVER_ONLY = frozenset(
    declaration.name
    for declaration in declarations()
    if declaration.group in ("access", "wake")
    or "realtime" in declaration.name
    or declaration.name.startswith(("record", "resume"))
    or declaration.name
    in (
        *("host", "port", "processes", "max_sessions", "max_active_speakers", "stream_stall_timeout_s"),
        *("idle_timeout_s", "shutdown_grace_s", "audio_queue_size", "max_audio_packet_bytes"),
    )
)
"""Settings without a meaning for `transcribe`: it runs one session without a network, partials or a recording."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status.

    Args:
        arguments: The command line without the program's name; by default that of this process.
    """
    _replace_closed_streams()
    parsed = _parser().parse(arguments)
    try:
        return _run(parsed)
    except (SettingError, AudioFileError) as error:
        print(f"trio-stt: {error}", file=sys.stderr)
        return 2
    except TrioSttError as error:
        print(f"trio-stt: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BaseExceptionGroup as group:
        if group.subgroup(KeyboardInterrupt) is None:
            raise
        return _INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone; nothing may be left to flush at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _replace_closed_streams() -> None:
    """Keep the descriptors 0 to 2 from other files where the shell has closed them, and make errors printable.

    Otherwise what a library prints would be written into a model or a recording, and `print` would take standard
    output for the closed standard error. `sys.stdin` and `sys.stdout` stay None for the commands that need them.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - open until the process ends


def _run(parsed: argparse.Namespace) -> int:
    # The commands are imported here so that `--help` and invalid arguments are answered at once.
    missing = [name for name in ("jiwer", "psutil", "trio_websocket") if not find_spec(name)]
    if missing and parsed.command in ("bench", "plan"):
        command = f"{parsed.command}: the package {missing[0]} is not installed"
        raise SettingError(f"{command}; run `{install_hint('bench')}`")
    if parsed.command == "bench":
        from trio_stt.cli.bench import bench  # noqa: PLC0415 - see above

        return bench(bench_options(parsed))
    if parsed.command == "listen":
        return _listen(parsed)
    if parsed.command == "completion":
        from shtab import complete  # noqa: PLC0415 - see above

        print(complete(_parser(), parsed.shell))
        return 0
    if parsed.command == "keys":
        return keys(parsed)
    if parsed.command == "cluster":
        from trio_stt.cli.cluster import cluster  # noqa: PLC0415 - see above

        return cluster(parsed)
    return _transcribe(parsed) if parsed.command == "transcribe" else _run_with_settings(parsed)


def _listen(parsed: argparse.Namespace) -> int:
    from trio_stt.cli.listen import list_devices, listen  # noqa: PLC0415 - see `_run`

    if parsed.list_devices:
        return list_devices()
    return listen(
        server_options(parsed, parsed.url),
        language=parsed.language,
        format_name=parsed.format,
        device=parsed.device,
        output_file=parsed.output,
    )


def _transcribe(parsed: argparse.Namespace) -> int:
    given = given_settings(parsed)
    server, request = remote_server(parsed, given), transcribe_request(parsed)
    if server is None:
        from trio_stt.cli.transcribe import transcribe  # noqa: PLC0415 - see `_run`

        return transcribe(load_settings(given), request)
    from trio_stt.cli.transcribe_remote import transcribe_remotely  # noqa: PLC0415 - see `_run`

    language, prompt = given.get("language"), given.get("initial_prompt")
    return transcribe_remotely(
        server,
        request,
        language=None if language is None else str(language),
        prompt=None if prompt is None else str(prompt),
    )


def _run_with_settings(parsed: argparse.Namespace) -> int:
    settings = load_settings(given_settings(parsed))
    if parsed.command == "models" and parsed.action == "recommend":
        from trio_stt.cli.recommend import recommend  # noqa: PLC0415 - see above

        return recommend(settings, as_json=parsed.json)
    if parsed.command == "models":
        from trio_stt.cli.models import models  # noqa: PLC0415 - see above

        return models(parsed, settings)
    if parsed.command == "plan":
        from trio_stt.cli.plan import PlanOptions, plan  # noqa: PLC0415 - see above

        options = PlanOptions(clients=parsed.clients, share=parsed.share, slack_ms=parsed.slack_ms, bench=parsed.bench)
        return plan(settings, options)
    if parsed.command == "doctor":
        from trio_stt.cli.doctor import doctor  # noqa: PLC0415 - see above

        return doctor(settings, as_json=parsed.json)
    return _serve(settings)


def _serve(settings: Settings) -> int:
    if hasattr(signal, "SIGHUP"):  # it reloads certificates, and must not end a server that starts or drains
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if settings.processes > 1 and not is_member():
        from trio_stt.cli.supervise import supervise  # noqa: PLC0415 - see `_run`

        return supervise(settings)
    from trio_stt.cli.serve import serve  # noqa: PLC0415 - see `_run`

    return serve(settings)


def _parser() -> Parser:
    parser = Parser(prog="trio-stt", description="Self-hosted, real-time speech-to-text server.")
    parser.add_argument("--version", action="version", version=f"trio-stt {version('trio-stt')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="run the server")
    add_settings(serve)
    transcribe = commands.add_parser("transcribe", help="transcribe sound files")
    add_transcribe_arguments(transcribe)
    add_settings(transcribe, without=_SERVER_ONLY)
    add_listen_arguments(commands.add_parser("listen", help="send the microphone to a server, and print what it hears"))
    models = commands.add_parser("models", help="recommend, list, download and delete models")
    add_models_arguments(models)
    doctor = commands.add_parser("doctor", help="check everything that a server needs")
    doctor.add_argument("--json", action="store_true", help="print JSON")
    add_settings(doctor)
    add_keys_arguments(commands.add_parser("keys", help="create, list and revoke API keys"))
    bench = commands.add_parser("bench", help="measure a server with many simulated clients")
    add_bench_arguments(bench)
    add_plan_arguments(commands.add_parser("plan", help="how many servers a number of talkers needs"))
    add_cluster_arguments(commands.add_parser("cluster", help="start Ray on this machine, for engines on several"))
    completion = commands.add_parser("completion", help="print a script that completes commands and flags in a shell")
    completion.add_argument("shell", choices=("bash", "fish", "zsh"))
    return parser
