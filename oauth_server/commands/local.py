"""What a command is handed: the server to start, and the operator's side of its store."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from oauth_server.core.administration import Administration
    from oauth_server.core.settings import Settings


class Serve(Protocol):
    """Runs the server; None means: from the environment."""

    def __call__(self, *, transport: str | None, host: str | None, port: int | None, workers: int | None) -> None:
        """Serve until stopped."""


class RecordedIssuer(Protocol):
    """Looks up the issuer that a server recorded."""

    async def __call__(self, settings: Settings) -> str | None:
        """The issuer; None where no server has served HTTP yet."""


class Local(Protocol):
    """The app's module of that name."""

    @property
    def serve(self) -> Serve:
        """Starts the server."""

    @property
    def administration(self) -> Callable[[], AbstractAsyncContextManager[Administration]]:
        """Opens the configured store; SettingsError when it cannot be used, or no server has made it."""

    @property
    def recorded_issuer(self) -> RecordedIssuer:
        """Looks without creating anything."""


GetLocal = Callable[[], Local]
"""Imports what `Local` needs, which --help does not."""
