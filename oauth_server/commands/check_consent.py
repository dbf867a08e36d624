"""Who signs in and consents while `check` walks a flow, and the secrets it is given: from files and the environment."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from oauth_server.commands.errors import MistakeError
from oauth_server.commands.terminal import password

if TYPE_CHECKING:
    from oauth_server.compliance import Depth
    from oauth_server.compliance.parties import Client
    from oauth_server.compliance.visitor import Visitor
    from oauth_server.outbound import Outbound

# Names of environment variables; no settings of the server, so not MCP_OAUTH_…
TOKEN = "MCP_ACCESS_TOKEN"  # noqa: S105
PASSWORD = "MCP_PASSWORD"  # noqa: S105
SECRET = "MCP_CLIENT_SECRET"  # noqa: S105
_MOST = 65_536
_BROWSER_SECONDS = 3600.0  # a person is slower than the run's own bound


@dataclass(frozen=True)
class Consent:
    """The options."""

    user: Annotated[
        str | None, Parameter(help=f"Who signs in at the login form; the password comes from ${PASSWORD} or a file.")
    ] = None
    password_file: Annotated[str | None, Parameter(help="A file with the password of --user.")] = None
    browser: Annotated[bool, Parameter(help="You sign in and consent, in your own browser.", show_default=False)] = (
        False
    )
    client_id: Annotated[
        str | None,
        Parameter(
            help="A client for servers that register none, with a loopback redirect URI; "
            f"a secret comes from ${SECRET} or a file."
        ),
    ] = None
    client_secret_file: Annotated[str | None, Parameter(help="A file with the secret of --client-id.")] = None
    access_token_file: Annotated[
        str | None, Parameter(help=f"A file with an access token for the resource server's checks. Else ${TOKEN}.")
    ] = None
    issuer: Annotated[
        list[str] | None,
        Parameter(
            help="The authorization server that gets the password or the client secret, where it is not at the "
            "target's own origin; then also each other origin of its endpoints. Repeatable."
        ),
    ] = None
    operator: Annotated[
        bool,
        Parameter(help="You run the server, so that it may be sent what it must refuse.", show_default=False),
    ] = False

    def secrets(self, depth: Depth) -> Secrets:
        """Read the secrets; MistakeError for options that do not go together."""
        if self.user is not None and self.browser:
            raise MistakeError("--user and --browser: one of them signs in.")
        for option, file, named in (
            ("--password-file", self.password_file, self.user),
            ("--client-secret-file", self.client_secret_file, self.client_id),
        ):
            if file is not None and named is None:
                owner = "--user" if option == "--password-file" else "--client-id"
                raise MistakeError(f"{option}: say whose it is with {owner}.")
        for option, given in (("--user", self.user), ("--browser", self.browser), ("--client-id", self.client_id)):
            if given and depth == "passive":
                raise MistakeError(f"{option}: nobody signs in at depth passive; say --depth active or adversarial.")
        if self.issuer and depth == "passive":
            raise MistakeError("--issuer: no password or client secret is given that could go there.")
        return Secrets(
            _secret("--access-token-file", self.access_token_file, TOKEN).strip(),
            _secret("--client-secret-file", self.client_secret_file, SECRET).strip() if self.client_id else "",
            self._password() if self.user is not None else "",
        )

    def _password(self) -> str:
        """The user's password; empty where a terminal can be asked for it, when it is known where it goes."""
        found = _secret("--password-file", self.password_file, PASSWORD).removesuffix("\n").removesuffix("\r")
        if found:
            return found
        if not sys.stdin.isatty():
            raise MistakeError(f"--user: set {PASSWORD}, or say --password-file FILE.")
        return ""

    def with_password(self, secrets: Secrets, place: str) -> Secrets:
        """Ask for the password that is still wanted, and say at which origin it will be used."""
        if self.user is None or secrets.password or not place:
            return secrets
        return replace(secrets, password=password(f"{self.user} at {place}"))


@dataclass(frozen=True)
class Secrets:
    """What a run knows and never shows; each is empty where none was given."""

    access_token: str
    client_secret: str
    password: str


@dataclass(frozen=True)
class Found:
    """What the audit is handed: who signs in, the operator's client, and how long it may take."""

    visitor: Visitor | None
    client: Client | None
    seconds: float


@asynccontextmanager
async def visiting(
    consent: Consent, secrets: Secrets, depth: Depth, outbound: Outbound, tell: Callable[[str], None]
) -> AsyncIterator[Found]:
    """Bring the visitor: a person's browser, the login's forms, or nobody's, which go on only where nobody is asked."""
    from oauth_server.compliance.browser import listening  # noqa: PLC0415
    from oauth_server.compliance.form_visitor import FormVisitor  # noqa: PLC0415
    from oauth_server.compliance.runner import SECONDS  # noqa: PLC0415
    from oauth_server.compliance.walk import PATIENCE  # noqa: PLC0415

    if depth == "passive":
        yield Found(None, None, SECONDS)
    elif consent.browser:
        async with listening(tell, most=PATIENCE) as person:
            yield Found(person, _client(consent, secrets, person), _BROWSER_SECONDS)
    else:
        visitor = FormVisitor(outbound, consent.user or "", secrets.password)
        yield Found(visitor, _client(consent, secrets, visitor), SECONDS)


def _client(consent: Consent, secrets: Secrets, visitor: Visitor) -> Client | None:
    from oauth_server.compliance.parties import Client  # noqa: PLC0415

    if consent.client_id is None:
        return None
    method = "client_secret_basic" if secrets.client_secret else "none"
    return Client(consent.client_id, visitor.redirect_uri, secrets.client_secret, method)


def _secret(option: str, path: str | None, name: str) -> str:
    """Read a secret from a file, else from the environment; empty where neither is given."""
    if path is None:
        return os.environ.get(name, "")
    try:
        with Path(path).open(encoding="utf-8") as file:
            secret = file.read(_MOST)
    except (OSError, ValueError) as error:
        raise MistakeError(f"{option}: {path} cannot be read ({why(error)}).") from None
    if not secret.strip():
        raise MistakeError(f"{option}: {path} is empty.")
    return secret


def why(error: OSError | ValueError) -> str:
    """Say in a word or two why a file cannot be read or written."""
    return (error.strerror or "unreadable") if isinstance(error, OSError) else "not text"
