"""`backup` and `restore`: a file that holds everything, and the way back."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from oauth_server.commands.errors import CommandError
from oauth_server.commands.local import GetLocal
from oauth_server.commands.moving import DATABASE, moved, show_rows, warn_of_a_changed_log
from oauth_server.commands.output import count, moment, remark, say
from oauth_server.core.settings_rules import masked_url

_BACKUP = """\
Examples:
  server.py backup /backups/oauth-2026-11-23.db
  server.py backup /backups/oauth.db --force"""
_RESTORE = """\
Examples:
  server.py restore /backups/oauth-2026-11-23.db
  server.py restore /backups/oauth-2026-11-23.db --force"""


def backup(_local: GetLocal) -> App:
    """The command that writes a backup."""
    app = App(name="backup", help_epilogue=_BACKUP)

    @app.default
    def write(
        file: Annotated[Path, Parameter(help="Where to write it.")],
        /,
        *,
        force: Annotated[bool, Parameter(help="Replace a file of that name.", show_default=False)] = False,
    ) -> None:
        """Write everything as it is at this moment to one file, beside a running server.

        The file is an SQLite database, whichever engine the server uses, and is
        verified before it gets its name. You alone may read it: it holds the
        private signing keys.
        """
        from oauth_server.core.settings import load  # noqa: PLC0415
        from oauth_server.store import backups  # noqa: PLC0415

        url = load().database_url
        with moved(DATABASE):
            rows = backups.backup(url, file, force=force)
        total = show_rows(rows)
        say(f"Wrote and verified {total} of {masked_url(url)} to {file}.")
        warn_of_a_changed_log(f"sqlite:///{file}", str(file))

    return app


def restore(_local: GetLocal) -> App:
    """The command that brings a backup back."""
    app = App(name="restore", help_epilogue=_RESTORE)

    @app.default
    def bring_back(
        file: Annotated[Path, Parameter(help="What `backup` wrote, by this release or an older one.")],
        /,
        *,
        force: Annotated[
            bool, Parameter(help="Replace what the database holds, its audit log included.", show_default=False)
        ] = False,
    ) -> None:
        """Bring the database back to the state of a backup, with the server stopped, and end every right in it.

        A backup does not know what was revoked after it was made, and nothing
        revoked may come back. So every browser session, code, grant, access and
        refresh token ends, also those issued since, with remembered consents and
        initial access tokens: people sign in and connect applications again.

        Users, passwords, ceilings, clients and their secrets, and signing keys
        are those of the backup: change again what was changed since.

        A database that a running server has open is refused, and without --force
        one that holds anything. `copy` moves a server with all its rights; it
        reads a backup too.
        """
        from oauth_server.core import moving  # noqa: PLC0415
        from oauth_server.core.settings import load  # noqa: PLC0415
        from oauth_server.store import backups  # noqa: PLC0415
        from oauth_server.store.errors import NotEmptyError  # noqa: PLC0415

        url = load().database_url
        with moved("FILE", "a file that `backup` wrote"):
            backups.verify(file)
        with moved(DATABASE):
            try:
                restored = moving.restore(file, url, time.time, replace=force)
            except NotEmptyError:
                raise CommandError(f"{masked_url(url)} is not empty: --force replaces all that it holds.") from None
        total = show_rows(restored.rows)
        newest = f", whose newest event is of {moment(restored.newest)}" if restored.newest else ""
        say(f"Restored and compared {total} of {file}{newest}, in {masked_url(url)}.")
        ended = f"{count(restored.ended.sessions, 'browser session')} and {count(restored.ended.grants, 'grant')}"
        say(f"Ended {ended}, with all tokens.")
        warn_of_a_changed_log(url, masked_url(url))
        remark("Users, passwords, ceilings and clients are those of the backup: repeat what was changed since.")

    return app
