"""Writing the WAL back into the SQLite file beside the traffic (https://sqlite.org/wal.html, sections 2.2 and 3.3).

SQLite would do it within a commit, for which every answer of that moment waited: 50 ms and more in a large file.
"""

import logging
import threading
from typing import Final

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from oauth_server.store.errors import StoreUnavailableError, first_line
from oauth_server.store.statements import command

AFTER: Final = 2000  # writes, at some five pages each
logger = logging.getLogger(__name__)


def checkpoint(connection: Connection) -> None:
    """Write back what no reader still needs, waiting for nobody. Raises SQLAlchemyError."""
    command(connection, "PRAGMA wal_checkpoint(PASSIVE)")


class Checkpoints:
    """A thread that writes back most of the WAL. The rest, which came meanwhile, is left to the writer.

    The WAL begins anew only when a write finds all of it written back, so the writer must not write between the two.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writes = 0
        self._wanted = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="store-checkpoints", daemon=True)
        self._thread.start()
        self.rest = False
        """Whether little is left that the writer may write back."""

    def written(self, count: int) -> None:
        """Note that so many verbs were written."""
        self._writes += count
        if self._writes >= AFTER:
            self._writes = 0
            self._wanted.set()

    def empty(self) -> bool:
        """Write all of the WAL back and cut its file to nothing, unless a reader needs it; whether that was done."""
        try:
            with self._engine.connect() as connection:
                # Most of it beside the traffic: the statement after it holds writers up.
                checkpoint(connection)
                busy, _, _ = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
        except (SQLAlchemyError, StoreUnavailableError) as error:
            logger.debug("the WAL was not emptied: %s", first_line(error))
            return False
        return not busy

    def close(self) -> None:
        """End the thread."""
        self._closed = True
        self._wanted.set()
        self._thread.join()

    def _run(self) -> None:
        while self._wanted.wait() and not self._closed:
            self._wanted.clear()
            try:
                with self._engine.connect() as connection:
                    checkpoint(connection)
                self.rest = True
            except (SQLAlchemyError, StoreUnavailableError) as error:  # the writer will meet it as well, and tell
                logger.debug("the WAL was not written back: %s", first_line(error))
