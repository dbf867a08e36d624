"""The authorization endpoint: checks, login, consent, and the redirect with a code.

Sources: OAuth 2.1 section 4.1, RFC 9207, OpenID Connect Core 1.0 section 3.1.2, RFC 9700 sections 4.1 and 4.12.
"""

from functools import partial
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from oauth_server.core.document_urls import is_url
from oauth_server.core.documents import AUTHORIZE_PATH
from oauth_server.core.errors import (
    AccessDeniedError,
    ConsentRequiredError,
    InvalidClientDocumentError,
    InvalidRequestError,
    InvalidScopeError,
    LoginRequiredError,
    OAuthError,
)
from oauth_server.core.grants import Approval
from oauth_server.core.passwords import PasswordError
from oauth_server.core.policies import AUTHORIZATIONS
from oauth_server.core.redirect_uris import (
    host_of,
    is_loopback,
    on_this_computer,
    same_but_port,
    with_parameters,
)
from oauth_server.core.scopes import SENSITIVE, SENSITIVE_AFTER_SIGN_IN
from oauth_server.core.services import Services
from oauth_server.flow.authorize_checks import AuthorizeRefused, AuthorizeRequest, refused, run_checks
from oauth_server.flow.authorize_forms import SIGN_IN_AGAIN, Forms
from oauth_server.flow.browser_sessions import BrowserSessions, Held
from oauth_server.flow.http import (
    Params,
    check_opened,
    error_page,
    log_refusal,
    parse_pairs,
    read_pairs,
    redirect_reply,
    to_params,
)
from oauth_server.flow.login import Login
from oauth_server.flow.places import Place, place_of
from oauth_server.flow.turn import Turn
from oauth_server.store.records import Session


class Authorize:
    """The endpoint's handlers. Each request is checked anew, so nothing a browser sends back is trusted."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._deployment = services.deployment
        self._sessions = BrowserSessions(services)
        self._forms = Forms(services, self._sessions)
        self._login = Login(services)

    async def get(self, request: Request) -> Response:
        """Show what is still missing, or answer the client."""
        self._admit(request)
        held = await self._held(request)
        try:
            reply = await self._proceed(await self._turn(request, held))
        except AuthorizeRefused as refusal:
            reply = self._refuse(request, refusal, held, after_post=False)
        return await self._ended(request, reply, held)

    async def post(self, request: Request) -> Response:
        """Take a form; or an authorization request sent by POST, which goes on as a GET."""
        self._admit(request)
        pairs = await read_pairs(request)
        names = {name for name, value in pairs if value}
        if "csrf" not in names and "client_id" in names:
            return redirect_reply(f"{AUTHORIZE_PATH}?{urlencode(pairs)}", after_post=True)
        held = await self._held(request)
        try:
            reply = await self._submitted(await self._turn(request, held), pairs)
        except AuthorizeRefused as refusal:
            reply = self._refuse(request, refusal, held, after_post=True)
        return await self._ended(request, reply, held)

    def _admit(self, request: Request) -> None:
        """Refuse what another site's page loads by itself, before it counts for its visitor; then count."""
        check_opened(request)
        self._services.rate_limits.take_caller(AUTHORIZATIONS)

    async def _held(self, request: Request) -> Held | None:
        return await self._sessions.find(request, _purpose(request.url.query))

    async def _ended(self, request: Request, reply: Response, held: Held | None) -> Response:
        """The reply; where it answers the client, the session of this authorization request has ended."""
        if not reply.headers.get("location", "/").startswith("/"):
            await self._sessions.answered(request, reply, held)
        return reply

    async def _turn(self, request: Request, held: Held | None) -> Turn:
        params = to_params(parse_pairs(request.scope["query_string"]))
        session = held.session if held is not None else None
        client_id = params.get("client_id") or ""
        if is_url(client_id):
            known = session is not None or self._unasked(request, params.get("redirect_uri") or "")
            asked = await self._documented(params, client_id, fetch=known)
        else:
            asked = await self._registered(params, client_id)
        return Turn(request, asked, held, self._forms.began(request, held))

    async def _registered(self, params: Params, client_id: str) -> AuthorizeRequest:
        clients = self._services.clients
        asked = AuthorizeRequest(params, await clients.recall(client_id) if client_id else None, self._deployment)
        try:
            run_checks(asked)
        except AuthorizeRefused:
            if not clients.forget(client_id):
                raise
            asked = AuthorizeRequest(params, await clients.find(client_id), self._deployment)
            run_checks(asked)
        return asked

    async def _documented(self, params: Params, client_id: str, *, fetch: bool) -> AuthorizeRequest:
        """A request of a client known by its metadata document, which is fetched once all else is well formed."""
        try:
            self._services.client_documents.admit(client_id)
            asked = AuthorizeRequest(params, None, self._deployment, pending=True)
            run_checks(asked)
            if fetch:
                client = await self._services.client_documents.find(client_id)
                asked = AuthorizeRequest(params, client, self._deployment)
                run_checks(asked)
        except InvalidClientDocumentError as error:
            error.check = "check_client_document"
            raise AuthorizeRefused(error) from None
        return asked

    def _refuse(self, request: Request, refusal: AuthorizeRefused, held: Held | None, *, after_post: bool) -> Response:
        log_refusal(request, refusal.error)
        uri = refusal.redirect_uri
        if uri is None:
            return error_page(refusal.error)
        if not refusal.trusted and (held is None or held.session is None):
            return error_page(refusal.error, host_of(uri))
        fields = list(refusal.error.body().items())
        return self._answer(uri, fields, refusal.state, after_post=after_post)

    def _answer(
        self, redirect_uri: str, fields: list[tuple[str, str]], state: str | None, *, after_post: bool
    ) -> Response:
        if state is not None:
            fields.append(("state", state))
        # Error responses carry iss as well (RFC 9207 section 2).
        fields.append(("iss", self._deployment.issuer))
        return redirect_reply(with_parameters(redirect_uri, fields), after_post=after_post)

    # What is missing

    async def _proceed(self, turn: Turn) -> Response:
        automatic = await self._automatic(turn)
        if automatic is not None:
            return automatic
        silent = "none" in turn.asked.prompt
        held, session = turn.held, turn.session
        if held is None or session is None or self._must_sign_in(turn, session):
            if silent:
                raise self._refused(turn, LoginRequiredError())
            return self._forms.login(turn)
        if session.user.must_change_password:
            if silent:
                raise self._refused(turn, LoginRequiredError("The person must choose a new password first."))
            return self._forms.password(turn, held, session)
        offered = self._offered(turn, session)
        stands, old = await self._consent_stands(turn, session, offered), self._too_old(session, offered)
        if stands and not old:
            return await self._approve(turn, session, offered, asked=False)
        if silent:
            raise self._refused(turn, LoginRequiredError(SIGN_IN_AGAIN) if stands else ConsentRequiredError())
        return self._forms.sign_in_again(turn) if stands else self._forms.consent(turn, held, session, offered)

    async def _automatic(self, turn: Turn) -> Response | None:
        """The answer to a request that is approved unasked; a sensitive scope never is, for it needs a sign-in."""
        session = await self._auto_approved(turn)
        if session is None:
            return None
        scope = tuple(s for s in self._offered(turn, session) if s not in SENSITIVE)
        return await self._approve(turn, session, scope, asked=False) if scope else None

    def _refused(self, turn: Turn, error: OAuthError) -> AuthorizeRefused:
        return refused(turn.asked, error) if turn.asked.client is not None else AuthorizeRefused(error)

    def _must_sign_in(self, turn: Turn, session: Session) -> bool:
        if turn.asked.prompt & {"login", "select_account"}:
            return True
        age = self._services.clock() - session.auth_time
        return turn.asked.max_age is not None and age > turn.asked.max_age

    def _too_old(self, session: Session, scope: tuple[str, ...]) -> bool:
        """Whether the sign-in is too long ago for a sensitive scope among these."""
        age = self._services.clock() - session.auth_time
        return bool(SENSITIVE & set(scope)) and age > SENSITIVE_AFTER_SIGN_IN

    def _offered(self, turn: Turn, session: Session) -> tuple[str, ...]:
        """The requested scopes that this person may be granted at all."""
        offered = self._services.grants.permitted.cut(turn.asked.scope, session.user.scope)
        if not offered:
            raise self._refused(turn, InvalidScopeError("This person may not be granted any of the requested scopes."))
        return offered

    async def _consent_stands(self, turn: Turn, session: Session, offered: tuple[str, ...]) -> bool:
        """Whether an earlier consent covers this request. A public client can be impersonated, so it always asks.

        The answer to a client that is known by its metadata document goes to the host that vouches for it. A link of
        another site may carry another client's challenge to that host, so there the person is always asked.
        """
        if not turn.own:
            return False
        vouched = turn.client.source == "document" and not on_this_computer(turn.asked.redirect_uri)
        if "consent" in turn.asked.prompt or not (turn.client.confidential or vouched):
            return False
        given = await self._services.grants.consented(
            session, turn.client, same_but_port(turn.asked.redirect_uri), turn.asked.resources
        )
        return set(offered) <= given

    async def _auto_approved(self, turn: Turn) -> Session | None:
        """The session of the user that MCP_OAUTH_AUTO_APPROVE names, when this request may be approved unasked."""
        name = self._deployment.settings.auto_approve
        if not self._unasked(turn.request, turn.asked.redirect_uri):
            return None
        user = await self._services.users.by_username(name)
        if user is None or user.disabled:
            raise self._refused(turn, AccessDeniedError(f"MCP_OAUTH_AUTO_APPROVE names no user of this server: {name}"))
        now = self._services.clock()
        return Session(b"", user, now, now)

    def _unasked(self, request: Request, redirect_uri: str) -> bool:
        # Never for a navigation that another site started, and never to another computer.
        site = request.headers.get("sec-fetch-site", "none")
        approves = bool(self._deployment.settings.auto_approve) and site in ("none", "same-origin")
        return approves and is_loopback(redirect_uri)

    async def _approve(self, turn: Turn, session: Session, scope: tuple[str, ...], *, asked: bool) -> Response:
        code = await self._services.grants.issue_code(
            Approval(
                client=turn.client,
                session=session,
                redirect_uri=turn.asked.redirect_uri,
                challenge=turn.asked.challenge,
                resources=turn.asked.resources,
                requested=turn.asked.requested,
                scope=scope,
                nonce=turn.asked.nonce,
                consent_key=same_but_port(turn.asked.redirect_uri),
                asked=asked,
            )
        )
        return self._answer(turn.asked.redirect_uri, [("code", code)], turn.asked.state, after_post=asked)

    # Forms

    async def _submitted(self, turn: Turn, pairs: list[tuple[str, str]]) -> Response:
        form = {name: value for name, value in pairs if name != "scope"}
        step = "consent" if "decision" in form else "password" if "new_password" in form else "login"
        turn = self._forms.check(turn, step, form.get("csrf", ""))
        if step == "login":
            return await self._sign_in(turn, form)
        held, session = turn.held, turn.session
        if held is None or session is None:
            return self._forms.login(turn, error="Your session has ended; sign in again.")
        if step == "password":
            return await self._change_password(turn, held, session, form)
        chosen = {value for name, value in pairs if name == "scope"}
        return await self._decide(turn, held, session, form["decision"], chosen)

    async def _sign_in(self, turn: Turn, form: dict[str, str]) -> Response:
        query = turn.query_after_login
        after = partial(self._onward, turn, query)
        again = partial(self._forms.login, turn, form.get("username", ""))
        return await self._login.sign_in(turn.request, form, purpose=_purpose(query), after=after, again=again)

    def _onward(self, turn: Turn, query: str, held: Held) -> tuple[Place, str]:
        """Where a signed-in browser goes on with a request; the path says that the person began it, if so."""
        place = Place(held.name, self._forms.ticket(held, query) if turn.own else "")
        return place, f"{place.base}{AUTHORIZE_PATH}?{query}"

    def _again(self, turn: Turn, held: Held) -> Response:
        """The request once more, after one of its forms."""
        url = turn.action if place_of(turn.request) else self._onward(turn, turn.query, held)[1]
        return redirect_reply(url, after_post=True)

    async def _change_password(self, turn: Turn, held: Held, session: Session, form: dict[str, str]) -> Response:
        if not session.user.must_change_password:
            # Whoever has a password of their own changes it at the account page, which asks for the present one.
            return self._again(turn, held)
        new, again = form.get("new_password", ""), form.get("new_password_again", "")
        try:
            user = await self._services.users.change_password(session.user, new, again, session.session_hash)
        except PasswordError as error:
            return self._forms.password(turn, held, session, str(error))
        return self._login.remember(self._again(turn, held), user)

    async def _decide(self, turn: Turn, held: Held, session: Session, decision: str, chosen: set[str]) -> Response:
        if session.user.must_change_password or self._must_sign_in(turn, session):
            return self._again(turn, held)
        if decision == "deny":
            await self._services.grants.deny(session, turn.client)
            raise self._refused(turn, AccessDeniedError("The request was denied."))
        if decision != "approve":
            raise AuthorizeRefused(InvalidRequestError("The decision must be approve or deny."))
        offered = self._offered(turn, session)
        scope = tuple(s for s in offered if s in chosen)
        if not scope:
            return self._forms.consent(
                turn, held, session, offered, "Choose at least one permission, or deny the request."
            )
        if self._too_old(session, scope):
            return self._forms.sign_in_again(turn)
        return await self._approve(turn, session, scope, asked=True)


def _purpose(query: str) -> str:
    """What a session on an http issuer is for: this very request."""
    return f"authorize {query}"
