"""The command line on a database that a server made: `shell` runs a command as its user would type it."""

import asyncio
import io
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import anyio
import anyio.to_thread
import pytest

import server as program
from oauth_server.store.engines import parse_url
from tests.commands.hosts import Host
from tests.support.databases import Template
from tests.support.program import Ended, environment


class Piped(io.TextIOWrapper):
    """Standard input that is no terminal."""

    def __init__(self, text: str) -> None:
        super().__init__(io.BytesIO(text.encode(errors="surrogateescape")), encoding="utf-8")


@dataclass
class Shell:
    """Runs commands in this process, with an environment of their own: a new one costs half a second each."""

    location: str  # the URL of its database
    env: dict[str, str] = field(default_factory=dict)

    @property
    def database(self) -> Path:
        """The file of its database; for tests that are about SQLite."""
        return Path(self.location.removeprefix("sqlite:///"))

    @property
    def shown(self) -> str:
        """The database as commands name it."""
        return parse_url(self.location).render_as_string(hide_password=True)

    async def __call__(self, *words: str, stdin: str = "", **env: str) -> Ended:
        """Run `server.py WORDS`; how it ended."""
        return await anyio.to_thread.run_sync(self._run, words, stdin, env)

    async def says(self, *words: str, stdin: str = "", **env: str) -> str:
        """What a command that succeeds writes to stdout; it writes nothing to stderr."""
        ended = await self(*words, stdin=stdin, **env)
        assert (ended.status, ended.err) == (0, ""), ended
        return ended.out

    def _run(self, words: tuple[str, ...], stdin: str, env: dict[str, str]) -> Ended:
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in "12")
        kept = {"PATH": os.environ["PATH"], "MCP_OAUTH_DATABASE_URL": self.location}
        with (
            patch.dict(os.environ, {**kept, **self.env, **env}, clear=True),
            patch.object(sys, "argv", ["server.py", *words]),
            patch.object(sys, "stdin", Piped(stdin)),
            redirect_stdout(out),
            redirect_stderr(err),
            patch.object(logging.getLogger(), "handlers", logging.getLogger().handlers),  # `serve` sets its own
            pytest.raises(SystemExit) as end,
        ):
            program.main()
        return Ended(int(str(end.value.code)), *(stream.buffer.getvalue().decode() for stream in (out, err)))


@pytest.fixture
def shell(template: Template, tmp_path: Path) -> Shell:
    """Commands on the database of `server`, or on a copy of their own where no server runs."""
    return Shell(template.database(tmp_path))


@pytest.fixture
def env(shell: Shell, tmp_path: Path) -> dict[str, str]:
    """The environment of a process that works on the database of `shell`."""
    return environment(tmp_path, MCP_OAUTH_DATABASE_URL=shell.location)


@pytest.fixture
async def host() -> AsyncIterator[Callable[[], Any]]:
    """Starts hosts."""
    async with AsyncExitStack() as stack:

        async def start() -> Host:
            found = Host()
            listener = await stack.enter_async_context(await asyncio.start_server(found.answer, "127.0.0.1", 0))
            found.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
            return found

        yield start
