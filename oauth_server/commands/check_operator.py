"""Whether the person who runs `check` is the operator of what it is going to trouble."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from oauth_server.commands.terminal import confirm

if TYPE_CHECKING:
    from oauth_server.compliance import SpecVersion


@dataclass(frozen=True)
class Servers:
    """The servers of a run: the target, the issuer that it names (empty: none), and the URLs of the issuer's metadata.

    `endpoints`: each endpoint, key set and the like, by its metadata name.
    """

    target: str
    issuer: str
    endpoints: Mapping[str, str]


def require_operator(servers: Servers, *, given: bool) -> list[str]:
    """Return the URLs of all servers of the run, when they are this computer's or the person says that they run them.

    The authorization server of a target may be somebody else's, and so may its endpoints: all are named, and a run
    may ask no others. CommandError when the person denies, MistakeError when nobody can be asked.
    """
    from oauth_server.compliance import urls  # noqa: PLC0415

    found = [url for url in (servers.target, servers.issuer, *servers.endpoints.values()) if url]
    hosts = list(dict.fromkeys(urlsplit(url).netloc for url in found if not urls.is_loopback(url)))
    if hosts:
        question = (
            f"This registers clients at {' and '.join(hosts)} and sends requests that must be refused. "
            "Are you the operator?"
        )
        confirm(question, yes=given, option="--operator", declined="Nothing was sent that a server must refuse.")
    return found


async def servers_of(target: str, spec: SpecVersion) -> Servers:
    """Find the issuer that a target names, and every URL that its metadata names as an endpoint or key set."""
    from oauth_server.compliance import urls  # noqa: PLC0415
    from oauth_server.compliance.model import Missing  # noqa: PLC0415
    from oauth_server.compliance.survey import Survey  # noqa: PLC0415
    from oauth_server.outbound import Outbound, OutboundError  # noqa: PLC0415

    survey = Survey(target, Outbound(local=True), spec, "", time.time())
    issuer = ""
    try:
        issuer = await survey.issuer()
        metadata = (await survey.metadata()).members
    except (Missing, OutboundError):
        return Servers(target, issuer, {})
    named = {name: value for name, value in metadata.items() if name.endswith(("_endpoint", "_uri"))}
    return Servers(target, issuer, {n: url for n, url in named.items() if isinstance(url, str) and urls.read(url)})
