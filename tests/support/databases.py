"""Databases as a first start leaves them, on either engine: Argon2 and RSA keys cost time, a copy costs little."""

import shutil
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import psycopg
import pytest
from sqlalchemy import NullPool, create_engine, inspect, text

from oauth_server.app.compose import open_services
from oauth_server.core.deployment import deploy
from oauth_server.core.settings import load
from oauth_server.store.engines import parse_url
from tests.support.postgres import Postgres

ENGINES = ("sqlite", "postgresql")
OWNER = "admin"
PASSWORD = "correct horse battery staple"
FIRST_START = {"MCP_OAUTH_ADMIN_USERNAME": OWNER, "MCP_OAUTH_ADMIN_PASSWORD": PASSWORD}
both_engines = pytest.mark.parametrize("server_engine", ENGINES, indirect=True, scope="module")
"""As `pytestmark` of a file: its servers run on SQLite, then on PostgreSQL."""
KEPT = 12  # databases that nobody is connected to, for servers that start again


class Template(Protocol):
    """A database with schema, keys, owner and the pre-registered client."""

    def database(self, folder: Path) -> str:
        """The URL of a copy of its own for this folder, the same one each time."""


@dataclass
class SqliteTemplate:
    """A file to copy."""

    file: Path

    def database(self, folder: Path) -> str:
        copy = folder / "oauth.db"
        if not copy.exists():
            shutil.copy(self.file, copy)
        return f"sqlite:///{copy}"


@dataclass
class PostgresTemplate:
    """A database of a running server to copy; copies that nobody is connected to any more leave after a while."""

    server: Postgres
    name: str
    _copies: dict[Path, str] = field(default_factory=dict)
    _made: int = 0

    def database(self, folder: Path) -> str:
        if folder not in self._copies:
            self._made += 1
            self._copies[folder] = f"copy_{self._made}"
            self.server.sql(f"CREATE DATABASE {self._copies[folder]} TEMPLATE {self.name}")
            for old in list(self._copies)[:-KEPT]:
                with suppress(psycopg.errors.ObjectInUse):
                    self.server.sql(f"DROP DATABASE {self._copies[old]}")
                    del self._copies[old]
        return self.server.url(self._copies[folder])


async def first_start(url: str) -> None:
    """Let a server start once with this database."""
    settings = load({**FIRST_START, "MCP_OAUTH_DATABASE_URL": url})
    async with open_services(settings, lambda _: deploy(settings, "127.0.0.1", 8000), serves_http=True):
        pass


def sql(url: str, statement: str, **values: object) -> list[tuple[Any, ...]]:
    """Run one statement in a transaction of its own, `:name` standing for a value; return its rows."""
    with create_engine(parse_url(url), poolclass=NullPool).begin() as connection:
        found = connection.execute(text(statement), values)
        return [tuple(row) for row in found] if found.returns_rows else []


def tables(url: str) -> list[str]:
    """The names of a database's tables."""
    return inspect(create_engine(parse_url(url), poolclass=NullPool)).get_table_names()
