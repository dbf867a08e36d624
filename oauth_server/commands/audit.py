"""`audit`: the log of security events."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from cyclopts import App, Parameter

from oauth_server.commands.errors import MistakeError
from oauth_server.commands.local import GetLocal
from oauth_server.commands.options import Json, Limit
from oauth_server.commands.output import json_line, moment, remark, table
from oauth_server.commands.values import given
from oauth_server.commands.values import since as since_when

_EXAMPLES = """\
Examples:
  server.py audit --since 1h
  server.py audit --user alice --event login
  server.py audit --since 7d --limit 10000 --json | jq -r .event | sort | uniq -c"""


def audit(local: GetLocal) -> App:
    """The command that reads the log."""
    app = App(name="audit", help_epilogue=_EXAMPLES)

    @app.default
    async def show(
        *,
        since: Annotated[str | None, Parameter(help="30m, 12h or 7d ago, or a date or time (UTC).")] = None,
        event: Annotated[str | None, Parameter(help="Only this event, such as login or client.registered.")] = None,
        client: Annotated[
            str | None, Parameter(help="Only what concerns this client id.", allow_leading_hyphen=True)
        ] = None,
        user: Annotated[str | None, Parameter(help="Only what concerns this user.")] = None,
        limit: Limit = 100,
        json: Json = False,
    ) -> None:
        """Show the newest security events, the newest last: sign-ins, consents, tokens, changes to users and clients.

        USER and CLIENT are whom an event concerns. The address `local` stands for the operator of this computer.
        """
        if limit < 1:
            raise MistakeError("--limit: give 1 or more.")
        from oauth_server.core.administration import Wanted  # noqa: PLC0415

        start = 0.0 if since is None else given("--since", since_when, since)
        async with local().administration() as admin:
            found = await admin.events(Wanted(start, event, client, user, limit))
        if json:
            for happened in found:
                json_line({"at": happened.at} | asdict(happened))
        elif found:
            header = ("TIME", "EVENT", "OUTCOME", "USER", "CLIENT", "ADDRESS", "DETAIL")
            table(
                header, ((moment(e.at), e.event, e.outcome, e.actor, e.client_id, e.address, e.detail) for e in found)
            )
        else:
            remark(f"No such events in {admin.location}.")

    return app
