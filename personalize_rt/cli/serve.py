"""``personalize-rt serve``: the embedded service over HTTP, for any AWS SDK."""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager, nullcontext, suppress
from enum import StrEnum
from typing import Annotated, TypeAlias

import typer

from personalize_rt.cli.target import SAMPLE, load
from personalize_rt.local import LocalGroups, LocalPersonalize

__all__ = ["serve"]

# Some seconds of a busy server.
_WAITING_LINES = 10_000
# Seconds that the last lines are given.
_LAST_LINES = 1.0


class _Log(StrEnum):
    TEXT = "text"
    JSON = "json"
    OFF = "off"


Directories: TypeAlias = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="DIR", help="Data directories, each a dataset group; 'sample', the default, for the bundled one."
    ),
]
Pace: TypeAlias = Annotated[
    float, typer.Option("--pace", metavar="SECONDS", help="The time that creating, updating and deleting takes.")
]
Quotas: TypeAlias = Annotated[
    bool, typer.Option("--quotas", help="Refuse what is over the default quotas of the service, such as 30 filters.")
]
Minimums: TypeAlias = Annotated[
    bool, typer.Option("--minimums", help="Fail trainings with less data than the service needs.")
]
S3Root: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--s3-root", metavar="DIR", help="Where jobs find objects of S3: a directory with a folder for each bucket."
    ),
]
S3Endpoint: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--s3-endpoint",
        metavar="URL",
        help="Where jobs find objects of S3: a server such as moto's, called with the credentials of boto3.",
    ),
]
State: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--state",
        metavar="DIR",
        help="A directory to keep what requests change, for the next start; it is made if it is not there.",
    ),
]
Host: TypeAlias = Annotated[str, typer.Option("--host", help="The address to listen on.")]
Port: TypeAlias = Annotated[int, typer.Option("--port", help="The port to listen on; 0 takes a free one.")]
AllowRemote: TypeAlias = Annotated[
    bool, typer.Option("--allow-remote", help="Listen where other machines can reach; needs credentials.")
]
AllowHost: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-host",
        metavar="NAME",
        help="A name or address by which clients may call, beside localhost; may be repeated.",
    ),
]
AllowOrigin: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-origin",
        metavar="ORIGIN",
        help="An origin whose web pages may call, such as http://localhost:3000; may be repeated.",
    ),
]
Others: TypeAlias = Annotated[
    str | None,
    typer.Option("--others", metavar="URL", help="Where requests signed for other services go, such as moto's server."),
]
Log: TypeAlias = Annotated[
    _Log, typer.Option("--log", help="The form of the line on each request, on standard error.", case_sensitive=False)
]
ReadyFile: TypeAlias = Annotated[
    str | None,
    typer.Option("--ready-file", metavar="FILE", help="A file to write the address to once requests are answered."),
]
RequireSignature: TypeAlias = Annotated[
    bool, typer.Option("--require-signature", help="Refuse to start without credentials to check signatures with.")
]
CredentialsFile: TypeAlias = Annotated[
    str | None,
    typer.Option("--credentials-file", metavar="FILE", help="Who may call: a file like ~/.aws/credentials."),
]


def serve(
    directories: Directories = None,
    host: Host = "127.0.0.1",
    port: Port = 8700,
    allow_remote: AllowRemote = False,
    allow_host: AllowHost = None,
    allow_origin: AllowOrigin = None,
    others: Others = None,
    log: Log = _Log.TEXT,
    ready_file: ReadyFile = None,
    require_signature: RequireSignature = False,
    credentials_file: CredentialsFile = None,
    pace: Pace = 0.0,
    quotas: Quotas = False,
    minimums: Minimums = False,
    s3_root: S3Root = None,
    s3_endpoint: S3Endpoint = None,
    state: State = None,
) -> str:
    """Serve data directories over HTTP until Ctrl-C; point any AWS SDK's endpoint URL at it.

    With PERSONALIZE_RT_ACCESS_KEY_ID and PERSONALIZE_RT_SECRET_ACCESS_KEY in the environment, or a credentials file,
    requests must be signed with them. Each request is a line on standard error. Needs:
    pip install "personalize-rt[cli,server]".
    """
    from personalize_rt.local.server import find_credentials, serve_forever

    services = [
        load(one, pace=pace, quotas=quotas, minimums=minimums, s3_root=s3_root, s3_endpoint=s3_endpoint)
        for one in directories or [SAMPLE]
    ]
    local = services[0] if len(services) == 1 else LocalGroups(*services)
    if state is not None:
        local.resume(state)
    local.prepare()  # so that the first requests do not have to wait
    # Requests that wait for a training must not keep the process alive.
    with closing(local), nullcontext() if log is _Log.OFF else _lines_on_standard_error() as lines:
        serve_forever(
            local,
            host=host,
            port=port,
            credentials=find_credentials(credentials_file),
            require_signature=require_signature,
            allow_remote=allow_remote,
            allow_hosts=allow_host or (),
            allow_origins=allow_origin or (),
            others=others,
            log=lines,
            log_format="json" if log is _Log.JSON else "text",
            ready_file=ready_file,
            about=_resources(local),
            say=typer.echo,
        )
    return ""


@contextmanager
def _lines_on_standard_error() -> Generator[Callable[[str], None], None, None]:
    """Write lines on a thread of its own: a pipe that nobody reads must not stop the server.

    When the reader is that far behind, lines are dropped.
    """
    waiting: queue.Queue[str | None] = queue.Queue(_WAITING_LINES)

    def write() -> None:
        line = waiting.get()
        while line is not None:
            with suppress(OSError, ValueError):
                # In one call, so that lines of two writers do not mix.
                sys.stderr.write(f"{line}\n")
                sys.stderr.flush()
            line = waiting.get()

    def add(line: str | None) -> None:
        with suppress(queue.Full):
            waiting.put_nowait(line)

    writer = threading.Thread(target=write, name="personalize-rt-log", daemon=True)
    writer.start()
    try:
        yield add
    finally:
        add(None)
        writer.join(_LAST_LINES)


def _resources(local: LocalPersonalize | LocalGroups) -> list[str]:
    kinds = {"campaign": local.campaigns, "recommender": local.recommenders, "filter": local.filters}
    lines = [f"  {kind} {arn}" for kind, arns in kinds.items() for arn in arns.values()]
    # What CreateFilter and PutEvents need first.
    for group in local.values() if isinstance(local, LocalGroups) else [local]:
        lines.append(f"  dataset-group {group.dataset_group_arn}")
        lines += [f"  tracking-id {id}" for id in group.event_trackers.values()]
    return lines
