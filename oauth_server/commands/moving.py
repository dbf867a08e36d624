"""`migrate` and `copy`: the schema of a database, and its way to another one."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated

from cyclopts import App, Parameter

from oauth_server.commands.errors import NOT_DONE, CommandError
from oauth_server.commands.local import GetLocal
from oauth_server.commands.output import count, remark, say, table
from oauth_server.core.settings_rules import SettingsError, masked_url
from oauth_server.store.errors import NotMovedError, StoreError

DATABASE = "MCP_OAUTH_DATABASE_URL"
_ACCEPTED = "sqlite:///PATH or postgresql://USER:PASSWORD@HOST/DATABASE, of a database that a server has made"
_TARGET = "sqlite:///PATH in a folder that can be written, or postgresql://USER:PASSWORD@HOST/DATABASE"

_MIGRATE = """\
Examples:
  server.py migrate
  server.py migrate --check"""
_COPY = """\
Examples:
  server.py copy sqlite:////data/oauth.db postgresql://mcp@db.example/mcp
  PGPASSFILE=~/.pgpass server.py copy postgresql://mcp@db.example/mcp sqlite:////data/oauth.db"""


@contextmanager
def moved(name: str, accepted: str = _ACCEPTED) -> Iterator[None]:
    """Tell what is wrong with a database under the name of its option, and what kept data from being copied."""
    try:
        yield
    except StoreError as error:
        raise SettingsError(name, str(error), accepted) from None
    except NotMovedError as error:
        raise CommandError(f"Nothing was changed: {error}.") from None


def show_rows(rows: Mapping[str, int]) -> str:
    """Print how many rows each table has; how many they are in all."""
    table(("TABLE", "ROWS"), ((name, str(number)) for name, number in sorted(rows.items())))
    return count(sum(rows.values()), "row")


def warn_of_a_changed_log(url: str, shown: str) -> None:
    """Say so where an audit log that was copied does not verify: the data can be moved, and the break stays in it."""
    from oauth_server.store import moving  # noqa: PLC0415

    broken = moving.broken_log(url, time.time())
    if broken is not None:
        remark(f"Warning: the audit log in {shown} was changed before it was copied: {broken}.")


def migrate(_local: GetLocal) -> App:
    """The command that brings the schema up to date."""
    app = App(name="migrate", help_epilogue=_MIGRATE)

    @app.default
    def bring_up_to_date(
        *,
        check: Annotated[bool, Parameter(help="Only tell; exit status 1 when it is due.", show_default=False)] = False,
    ) -> int:
        """Bring the schema of the database up to date, as the server does when it starts.

        A schema newer than this program is refused by all of them.
        """
        from oauth_server.core.settings import load  # noqa: PLC0415
        from oauth_server.store import moving  # noqa: PLC0415
        from oauth_server.store.migrate import HEAD  # noqa: PLC0415

        url = load().database_url
        with moved(DATABASE):
            before = moving.schema_of(url) if check else moving.bring_up_to_date(url)
        shown, was = masked_url(url), f"schema {before}" if before else "no schema"
        if before == HEAD:
            say(f"{shown} has schema {HEAD}: nothing to do.")
        elif check:
            say(f"{shown} has {was}; this program needs schema {HEAD}: run `migrate`.")
            return NOT_DONE
        else:
            say(f"{shown} had {was}, and has schema {HEAD} now.")
        return 0

    return app


def copy(_local: GetLocal) -> App:
    """The command that copies a database."""
    app = App(name="copy", help_epilogue=_COPY)

    @app.default
    def copy_everything(
        source: Annotated[str, Parameter(name="FROM", help="The URL of the database to read.")],
        target: Annotated[str, Parameter(name="TO", help="The URL of an empty one, on the same engine or the other.")],
        /,
    ) -> None:
        """Copy everything from one database to another: a server goes on with TO where it stopped with FROM.

        FROM is read as it is at one moment, also beside a running server. What
        is written later is not in the copy: stop the server first when it shall
        go on with TO. TO may not have a row, and no server may run with it.
        Every table is compared, and nothing stays in TO if one differs.

        Passwords need not stand in the URLs, where others could see them:
        PostgreSQL reads them from ~/.pgpass or PGPASSWORD.
        """
        from oauth_server.core import moving  # noqa: PLC0415
        from oauth_server.store.moving import schema_of  # noqa: PLC0415

        shown = masked_url(source), masked_url(target)
        with moved("FROM"):
            if schema_of(source) is None:
                raise StoreError("it holds nothing: no server has used it")
        with moved("TO", _TARGET):
            rows = moving.copy(source, target, shown[0], time.time)
        total = show_rows(rows)
        say(f"Copied and compared {total} from {shown[0]} to {shown[1]}.")
        warn_of_a_changed_log(target, shown[1])

    return app
