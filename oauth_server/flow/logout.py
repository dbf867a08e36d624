"""The end session endpoint (OpenID Connect RP-Initiated Logout 1.0 sections 2 and 3)."""

from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from oauth_server.core.documents import LOGOUT_PATH
from oauth_server.core.errors import InvalidRequestError
from oauth_server.core.redirect_uris import host_of, with_parameters
from oauth_server.core.services import Services
from oauth_server.flow import pages
from oauth_server.flow.browser_sessions import ACCOUNT, BrowserSessions
from oauth_server.flow.http import Params, check_once, page_reply, parse_pairs, read_pairs, redirect_reply, to_params
from oauth_server.flow.own_form import check_own_form
from oauth_server.flow.places import base_of
from oauth_server.store.records import Client


class Logout:
    """The endpoint's handlers: a person is asked before being signed out, so no other site can do it for them."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._sessions = BrowserSessions(services)

    async def get(self, request: Request) -> Response:
        """Ask whether to sign out; a browser that is not signed in gets a page that says so.

        Without the button it is sent back only for an ID token of this server: the address alone may be a link of
        anyone who registered (RFC 9700 section 4.11.2).
        """
        params = self._params(request)
        hint = await self._hint(params)
        client = await self._client(params, hint)
        back = self._back(params, client)
        held = await self._sessions.find(request, ACCOUNT)
        if held is None or held.session is None:
            return self._done(back if hint is not None else None, after_post=False)
        query, path = str(request.url.query), base_of(request) + LOGOUT_PATH
        return page_reply(
            pages.confirm_logout(
                action=f"{path}?{query}" if query else path,
                csrf=self._services.sessions.csrf(held.form_key, f"logout {query}"),
                username=held.session.user.username,
                client_name=client.name if client else None,
                host=host_of(back) if back is not None else None,
            )
        )

    async def post(self, request: Request) -> Response:
        """Sign out."""
        pairs = await read_pairs(request)
        form = dict(pairs)
        if "csrf" not in form:
            return redirect_reply(f"{base_of(request)}{LOGOUT_PATH}?{urlencode(pairs)}", after_post=True)
        params = self._params(request)
        back = self._back(params, await self._client(params, await self._hint(params)))
        held = await self._sessions.find(request, ACCOUNT)
        held, _ = check_own_form(request, self._services, form["csrf"], held, [f"logout {request.url.query}"])
        if held.session is not None:
            await self._services.sessions.end(held.session)
        reply = self._done(back, after_post=True)
        self._sessions.clear(request, reply)
        return reply

    @staticmethod
    def _params(request: Request) -> Params:
        params = to_params(parse_pairs(request.scope["query_string"]))
        check_once(params)
        return params

    async def _hint(self, params: Params) -> tuple[str, str] | None:
        """The (subject, client id) of the ID token, None where there is none of ours."""
        return await self._services.tokens.id_token_hint(params.get("id_token_hint") or "")

    async def _client(self, params: Params, hint: tuple[str, str] | None) -> Client | None:
        client_id = params.get("client_id")
        if hint is not None and client_id not in (None, hint[1]):
            raise InvalidRequestError("client_id differs from the one the ID token was issued to.")
        client_id = hint[1] if hint is not None else client_id
        return await self._services.clients.find(client_id) if client_id else None

    def _back(self, params: Params, client: Client | None) -> str | None:
        """Where to go afterwards: only a URI that the client registered for this, byte for byte (section 3).

        Never an address of this server, where the redirect would count as begun by one of our own pages.
        """
        uri = params.get("post_logout_redirect_uri")
        if uri is None:
            return None
        known = client.metadata.get("post_logout_redirect_uris", ()) if client is not None else ()
        if uri not in known or self._services.deployment.is_own_page(uri):
            raise InvalidRequestError("The address to return to (post_logout_redirect_uri) is not registered.")
        state = params.get("state")
        return with_parameters(uri, [("state", state)]) if state is not None else uri

    @staticmethod
    def _done(back: str | None, *, after_post: bool) -> Response:
        if back is not None:
            return redirect_reply(back, after_post=after_post)
        return page_reply(pages.signed_out())
