"""``personalize-rt serve``: the embedded service over HTTP, for any AWS SDK."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

from personalize_rt.cli.target import SAMPLE, load
from personalize_rt.local import LocalGroups, LocalPersonalize

__all__ = ["serve"]

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
    require_signature: RequireSignature = False,
    credentials_file: CredentialsFile = None,
    pace: Pace = 0.0,
    quotas: Quotas = False,
) -> str:
    """Serve data directories over HTTP until Ctrl-C; point any AWS SDK's endpoint URL at it.

    With PERSONALIZE_RT_ACCESS_KEY_ID and PERSONALIZE_RT_SECRET_ACCESS_KEY in the environment, or a credentials file,
    requests must be signed with them. Needs: pip install "personalize-rt[cli,server]".
    """
    from personalize_rt.local.server import find_credentials, serve_forever

    services = [load(one, pace=pace, quotas=quotas) for one in directories or [SAMPLE]]
    local = services[0] if len(services) == 1 else LocalGroups(*services)
    local.prepare()  # so that the first requests do not have to wait
    serve_forever(
        local,
        host=host,
        port=port,
        credentials=find_credentials(credentials_file),
        require_signature=require_signature,
        allow_remote=allow_remote,
        allow_hosts=allow_host or (),
        about=_resources(local),
        say=typer.echo,
    )
    return ""


def _resources(local: LocalPersonalize | LocalGroups) -> list[str]:
    kinds = {"campaign": local.campaigns, "recommender": local.recommenders, "filter": local.filters}
    return [f"  {kind} {arn}" for kind, arns in kinds.items() for arn in arns.values()]
