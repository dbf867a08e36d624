"""Whether the person who runs `check` is the operator of what it is going to trouble."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from oauth_server.commands.terminal import confirm

if TYPE_CHECKING:
    from oauth_server.compliance import SpecVersion


async def require_operator(target: str, spec: SpecVersion, *, given: bool) -> list[str]:
    """Return the URLs of all servers of the run, when they are this computer's or the person says that they run them.

    The authorization server of a target may be somebody else's, and so may its endpoints: all are named, and a run
    may ask no others. CommandError when the person denies, MistakeError when nobody can be asked.
    """
    from oauth_server.compliance import urls  # noqa: PLC0415

    servers = [target, *await _authorization_server(target, spec)]
    hosts = list(dict.fromkeys(urlsplit(url).netloc for url in servers if not urls.is_loopback(url)))
    if hosts:
        question = (
            f"This registers clients at {' and '.join(hosts)} and sends requests that must be refused. "
            "Are you the operator?"
        )
        confirm(question, yes=given, option="--operator", declined="Nothing was sent that a server must refuse.")
    return servers


async def _authorization_server(target: str, spec: SpecVersion) -> list[str]:
    """The issuer, and every URL that its metadata names as an endpoint or key set."""
    from oauth_server.compliance import urls  # noqa: PLC0415
    from oauth_server.compliance.model import Missing  # noqa: PLC0415
    from oauth_server.compliance.survey import Survey  # noqa: PLC0415
    from oauth_server.outbound import Outbound, OutboundError  # noqa: PLC0415

    survey = Survey(target, Outbound(local=True), spec, "", time.time())
    found: list[str] = []
    try:
        found.append(await survey.issuer())
        metadata = (await survey.metadata()).members
    except (Missing, OutboundError):
        return found
    named = (value for name, value in metadata.items() if name.endswith(("_endpoint", "_uri")))
    return [*found, *(url for url in named if isinstance(url, str) and urls.read(url))]
