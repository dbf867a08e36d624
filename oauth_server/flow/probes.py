"""Probes of orchestrators and proxies: no new start is needed, no other replica would do better, all works."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from oauth_server.core.errors import TemporarilyUnavailableError
from oauth_server.core.services import Runtime
from oauth_server.flow.http import Endpoint, json_reply
from oauth_server.store.errors import StoreUnavailableError
from oauth_server.store.verbs import meta
from oauth_server.store.verbs.revocations import current_epoch


class Probes:
    """Answer 200, or 503 with what is wrong.

    A database that is out of reach is no reason to start anew, nor to send requests elsewhere: it fails /readyz alone.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def health(self, _request: Request) -> Response:
        """Whether a new start would not help."""
        failure = self._runtime.services.failure
        if failure is not None:
            return json_reply({"status": "failed", "reason": failure}, 503)
        return json_reply({"status": "ok"})

    async def route(self, request: Request) -> Response:
        """Whether no other replica would do better."""
        if self._runtime.draining:
            return _unavailable(status="draining")
        if not self._runtime.services.tokens.keys.can_sign:
            return _unavailable(keys="unreadable")
        return await self.health(request)

    async def ready(self, _request: Request) -> Response:
        """Whether the store answers, tokens can be signed, and no end is near."""
        if self._runtime.draining:
            return _unavailable(status="draining")
        services, store = self._runtime.services, "unreachable"
        try:
            await services.store.read(current_epoch)
            services.revoked.require_trust()
            store = "not writable"
            if services.store.write_failed:  # only then, so that a probe costs no write
                await services.store.write(meta.remember, "written_by_readyz", "")
        except StoreUnavailableError:
            return _unavailable(store=store)
        if not services.tokens.keys.can_sign:
            return _unavailable(store="ok", keys="unreadable")
        return json_reply({"status": "ready", "store": "ok"})


def probe_routes(runtime: Runtime) -> list[Route]:
    """The paths of the probes; they are asked by address, under any Host."""
    probes = Probes(runtime)
    paths = {"/healthz": probes.health, "/routez": probes.route, "/readyz": probes.ready}
    return [Route(path, Endpoint(get=probe)) for path, probe in paths.items()]


def _unavailable(**found: str) -> Response:
    return json_reply({"status": "unavailable", **found}, 503, TemporarilyUnavailableError().headers())
