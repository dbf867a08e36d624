"""`audit`: the log of security events."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from oauth_server.commands.errors import NOT_DONE, NOT_PROVEN, MistakeError
from oauth_server.commands.local import GetLocal
from oauth_server.commands.moving import DATABASE, moved
from oauth_server.commands.options import Json, Limit
from oauth_server.commands.output import count, json_line, moment, remark, say, table
from oauth_server.commands.values import given
from oauth_server.commands.values import since as since_when

if TYPE_CHECKING:
    from oauth_server.store.chain import Checked

_EXAMPLES = """\
Examples:
  server.py audit --since 1h
  server.py audit --user alice --event login
  server.py audit --since 7d --limit 10000 --json | jq -r .event | sort | uniq -c
  server.py audit verify"""
_VERIFY = """\
Examples:
  server.py audit verify
  server.py audit verify --contains 1204:xo8WbDkQyX0Yp7l3m1nq2v5t8r4e6w9zAbCdEfGhIjK
  MCP_OAUTH_DATABASE_URL=sqlite:////backups/oauth.db server.py audit verify"""


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
                json_line({"at": happened.at} | happened._asdict())
        elif found:
            header = ("TIME", "EVENT", "OUTCOME", "USER", "CLIENT", "ADDRESS", "DETAIL")
            table(
                header, ((moment(e.at), e.event, e.outcome, e.actor, e.client_id, e.address, e.detail) for e in found)
            )
        else:
            remark(f"No such events in {admin.location}.")

    app.command(_verify)
    return app


def _verify(
    *,
    contains: Annotated[str | None, Parameter(name="--contains", help="A mark that was noted earlier.")] = None,
    json: Json = False,
) -> int:
    """Read the whole log and tell whether anything in it was changed, added or taken away.

    Every event carries a hash over itself and the event before it. The mark
    that is printed stands for the whole log as it is: note it where nobody can
    change it. With --contains a mark, the log must still have all it had then,
    so that one that was written anew as a whole is found out as well. Exit
    status 1 when the log is not what was written, 3 when the log is right and
    the mark proves nothing any more: events left that it rests on. An event
    leaves at its time alone, so a mark proves something for as long as events
    are kept. Nothing is changed.
    """
    from oauth_server.core.settings import load  # noqa: PLC0415
    from oauth_server.store import marks, moving  # noqa: PLC0415

    try:
        noted = None if contains is None else marks.Mark.parse(contains)
    except marks.MarkError as error:
        raise MistakeError(f"--contains: {contains!a} is no mark; accepted: {error}.") from None
    with moved(DATABASE):
        found = moving.check_log(load().database_url, time.time(), noted)
    if json:
        kept = [{"at": at, "days": days} for at, days in found.retention]
        told = asdict(found) | {"mark": None if found.broken else str(found.mark), "retention": kept}
        json_line(told | {"intact": found.broken is None})
    elif found.broken is not None:
        say(f"The log was changed: {found.broken}. Up to there it is right: {_extent(found)}.")
    else:
        say(f"Nothing was changed, added or taken away: {_extent(found)}.")
        for at, days in found.retention:
            say(f"Kept since {moment(at)}: {f'for {days} days' if days else 'for ever'}.")
        say(f"Mark: {found.mark}")
        if noted is not None:
            say(_CONTAINS[found.contains])
    if found.broken is not None or found.contains is False:
        return NOT_DONE
    return NOT_PROVEN if noted is not None and found.contains is None else 0


_CONTAINS = {
    True: "All that it had when the other mark was noted is still in it, but for what left at its time.",
    False: "What it had when the other mark was noted is not in it: the log was written anew.",
    None: "The other mark proves nothing any more: events left since that it rests on.",
}


def _extent(found: Checked) -> str:
    if found.oldest is None or found.newest is None:
        return "no events"
    return f"{count(found.events, 'event')} from {moment(found.oldest)} to {moment(found.newest)}"
