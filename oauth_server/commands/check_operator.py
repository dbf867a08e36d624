"""Whether the person who runs `check` is the operator of what it is going to trouble."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from oauth_server.commands.terminal import confirm

if TYPE_CHECKING:
    from oauth_server.compliance import SpecVersion


async def require_operator(target: str, spec: SpecVersion, *, given: bool) -> None:
    """Return when every server of the run is of this computer, or the person says that they run it.

    The authorization server of a target may be somebody else's, so both are named; CommandError when the person denies,
    MistakeError when nobody can be asked.
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


async def _authorization_server(target: str, spec: SpecVersion) -> list[str]:
    from oauth_server.compliance.model import Missing  # noqa: PLC0415
    from oauth_server.compliance.survey import Survey  # noqa: PLC0415
    from oauth_server.outbound import Outbound, OutboundError  # noqa: PLC0415

    try:
        return [await Survey(target, Outbound(local=True), spec, "", time.time()).issuer()]
    except (Missing, OutboundError):
        return []
