"""The command line: parses, calls, and turns what went wrong into a sentence and an exit code.

Exit codes: 0 ok, 1 runtime error, 2 wrong usage, 3 cannot bind or start, 78 wrong configuration
(EX_CONFIG of sysexits.h). Whatever a command needs is imported when it runs: ``version`` and
``check-config`` must not wait for a web framework.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Coroutine, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

import hlsorigin
from hlsorigin.errors import HlsOriginError, SettingsError, StoreError
from hlsorigin.settings import Settings, load_settings
from hlsorigin.settings.show import effective_values


class ExitCode(IntEnum):
    """What the process tells its caller."""

    OK = 0
    RUNTIME = 1
    USAGE = 2
    CANNOT_START = 3
    BAD_CONFIG = 78


class StartError(HlsOriginError):
    """A listener can't be bound, or the store can't be opened."""


app = typer.Typer(
    help="A live origin: encoders push RTMP, players and CDNs pull HLS.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

T = TypeVar("T")

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="FILE", help="TOML file; without it the defaults."),
]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and give its exit code.

    Args:
        argv: arguments without the program's name; None for those of the process.
    """
    try:
        app(args=argv, prog_name="hlsorigin")
    except SystemExit as leave:
        return leave.code if isinstance(leave.code, int) else int(ExitCode.OK)
    except SettingsError as err:
        return _fail(err, ExitCode.BAD_CONFIG)
    except StartError as err:
        return _fail(err, ExitCode.CANNOT_START)
    except (HlsOriginError, OSError) as err:
        return _fail(err, ExitCode.RUNTIME)
    return ExitCode.OK


@app.command()
def serve(config: ConfigOption = None) -> None:
    """Run the server until SIGTERM or Ctrl-C."""
    from hlsorigin.log import configure_logging
    from hlsorigin.origin import run

    settings = load_settings(config, os.environ)
    configure_logging(settings.log.level, settings.log.format, sys.stderr)
    _run_server(run(settings), settings)


@app.command()
def demo(
    port_offset: Annotated[
        int, typer.Option(help="Added to the ports 1935, 8080 and 8081.", min=0, max=50_000)
    ] = 0,
) -> None:
    """Run the server with a built-in clip as its encoder, and say where to watch it."""
    from hlsorigin.demo import run_demo

    _run_server(run_demo(port_offset=port_offset), Settings())


@app.command("check-config")
def check_config(
    config: ConfigOption = None,
    show: Annotated[
        bool, typer.Option("--show", help="Print each value in force and where it comes from.")
    ] = False,
) -> None:
    """Check a configuration without starting anything."""
    values = effective_values(config, os.environ)
    if show:
        for value in values:
            typer.echo(f"{value.key} = {value.value}  # {value.origin}")
    typer.echo(f"{config or 'defaults and environment'}: ok")


@app.command()
def push(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="FLV file to send.")],
    url: Annotated[
        str, typer.Argument(metavar="URL", help="rtmp://host[:port]/app/stream[?query]")
    ],
    loop: Annotated[bool, typer.Option("--loop", help="Send it again and again.")] = False,
    rate: Annotated[
        float, typer.Option(min=0, help="Times real time; 0: as fast as the server takes it.")
    ] = 1.0,
    count: Annotated[
        int, typer.Option(min=1, max=100_000, help="Streams; named stream_1, stream_2, ...")
    ] = 1,
    seconds: Annotated[
        float | None, typer.Option(min=0, help="Stop after so many seconds of media.")
    ] = None,
    reconnect: Annotated[
        bool, typer.Option("--reconnect", help="Connect again when the connection is lost.")
    ] = False,
) -> None:
    """Send an FLV file to an RTMP server, in real time, as one or many streams."""
    from hlsorigin.push import PushPlan, load_clip, parse_push_url
    from hlsorigin.push.display import push_with_progress

    plan = PushPlan(
        clip=load_clip(file),
        target=parse_push_url(url),
        loop=loop,
        rate=rate,
        count=count,
        media_limit_s=seconds,
        reconnect=reconnect,
    )
    report = _run(push_with_progress(plan))
    typer.echo(report.summary())
    for failure in report.failures:
        typer.echo(failure, err=True)
    if report.failures:
        raise typer.Exit(ExitCode.RUNTIME)


@app.command()
def inspect(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="FLV, MPEG-TS, MP4 or m3u8.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what is in a media file or playlist, and what is wrong with it."""
    from hlsorigin.inspection import inspect_file
    from hlsorigin.inspection.display import print_report

    report = inspect_file(file)
    if as_json:
        typer.echo(report.to_json())
    else:
        print_report(report, sys.stdout)
    if report.error:
        raise typer.Exit(ExitCode.RUNTIME)


@app.command()
def healthcheck(
    url: Annotated[
        str | None, typer.Option(help="Address to ask; else /healthz at admin.listen.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Ask a running server whether it is alive; exit code 0 when it is."""
    from hlsorigin.healthcheck import check_health, health_url

    check_health(url or health_url(load_settings(config, os.environ)))
    typer.echo("ok")


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(f"hlsorigin {hlsorigin.__version__}")


def _run_server(main_task: Coroutine[Any, Any, None], settings: Settings) -> None:
    from hlsorigin.start_failure import why_not_started

    try:
        _run(main_task)
    except StoreError as err:
        raise StartError(f"can't start: {err}") from err
    except OSError as err:
        raise StartError(why_not_started(err, settings)) from err


def _run(main_task: Coroutine[Any, Any, T]) -> T:
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main_task)
    return uvloop.run(main_task)


def _fail(err: Exception, code: ExitCode) -> int:
    typer.echo(str(err), err=True)
    return code
