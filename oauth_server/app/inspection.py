"""Compliance checks for the tool: of this server in process, of another one through the guarded client."""

import logging
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, cast

import httpx2
from starlette.types import ASGIApp

from oauth_server.compliance.form_visitor import FormVisitor
from oauth_server.compliance.model import SpecVersion
from oauth_server.compliance.runner import LIMITS, audit
from oauth_server.core.refusal_log import shown_uri
from oauth_server.outbound import Answer, Outbound, OutboundError, UnreachableError
from oauth_tools.check_compliance import Inspection, Progress

UNREACHABLE = "the host could not be reached, or is not one that may be asked"
logger = logging.getLogger(__name__)
Face = Callable[[], AbstractAsyncContextManager[ASGIApp]]


class _Discreet(Outbound):
    """HTTP client for callers elsewhere: one sentence for every host without an answer, and the reason in the log."""

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, content: bytes | str | None = None
    ) -> Answer:
        """Send one request, as Outbound does; OutboundError without the reason when no answer came."""
        try:
            return await super().request(method, url, headers=headers, content=content)
        except UnreachableError as error:
            # Told to the caller, it would show which names this network knows, and which of its addresses listen.
            logger.info("%s: %s", shown_uri(url), error.reason)
            raise OutboundError(UNREACHABLE) from None


async def inspect(
    asked: Inspection, progress: Progress, face: Face, hosts: Collection[str]
) -> tuple[dict[str, Any], str]:
    """The check the tool runs: the report, structured and as text; `face` opens this server's own HTTP app.

    `hosts`: those that may be inside the network although the caller is not the local operator.
    """
    if not asked.own:
        # Nobody can be asked here whether they run what the target names as its authorization server.
        only = None if asked.depth == "passive" else (asked.server_url,)
        client = Outbound if asked.local else _Discreet
        outbound = client(local=asked.local, allow=hosts, only=only, limits=LIMITS[asked.depth])
        return await _audit(asked, outbound, progress)
    async with face() as app:
        # The server is asked over its own ASGI app: the same answers, and no name to resolve.
        transport = httpx2.ASGITransport(app=app, client=("127.0.0.1", 0))
        outbound = Outbound(local=True, transport=transport, limits=LIMITS[asked.depth])
        return await _audit(asked, outbound, progress)


async def _audit(asked: Inspection, outbound: Outbound, progress: Progress) -> tuple[dict[str, Any], str]:
    report = await audit(
        asked.server_url,
        outbound=outbound,
        spec_version=cast("SpecVersion", asked.spec_version),
        depth=asked.depth,
        access_token=asked.access_token,
        # Nobody signs in for a tool: a flow is walked where the server approves unasked.
        visitor=FormVisitor(outbound),
        progress=progress,
    )
    return report.as_dict(), report.text()
