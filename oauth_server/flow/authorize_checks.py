"""The checks of an authorization request, in order.

Sources: OAuth 2.1 section 4.1.1, RFC 7636 section 4.3, RFC 8707 section 2.1, OpenID Connect Core 1.0 section 3.1.2.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from oauth_server.core import capabilities as c
from oauth_server.core import pkce, redirect_uris, scopes
from oauth_server.core.deployment import Deployment
from oauth_server.core.errors import (
    InvalidRequestError,
    InvalidScopeError,
    OAuthError,
    RegistrationNotSupportedError,
    RequestNotSupportedError,
    RequestUriNotSupportedError,
    UnauthorizedClientError,
    UnsupportedResponseTypeError,
)
from oauth_server.core.refusal_log import shown_uri
from oauth_server.core.untrusted import unverified
from oauth_server.flow.http import Params, check_once
from oauth_server.store.records import Client

MAX_STATE = 4096
MAX_NONCE = 1024


@dataclass
class AuthorizeRequest:
    """An authorization request while it is being checked; later fields are filled by the checks."""

    params: Params
    client: Client | None
    deployment: Deployment
    # The client is a metadata document that is fetched only for somebody who signed in (SEP-991).
    pending: bool = False
    redirect_uri: str = ""
    challenge: str = ""
    requested: tuple[str, ...] = ()
    scope: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    prompt: frozenset[str] = frozenset()
    max_age: int | None = None
    state: str | None = None
    nonce: str | None = None

    @property
    def known_client(self) -> Client:
        """The client, after check_client."""
        if self.client is None:
            raise InvalidRequestError
        return self.client


@dataclass
class AuthorizeRefused(Exception):  # noqa: N818 - it carries the error
    """A refused request. `redirect_uri` is set only once client and redirect URI were verified; None shows a page.

    `trusted`: whether a browser may be sent there before anyone has signed in. With the URI of an unknown registrant
    that would make this server an open redirector (RFC 9700 section 4.11.2). A loopback URI leads nowhere else.
    """

    error: OAuthError
    redirect_uri: str | None = None
    state: str | None = field(default=None, repr=False)
    trusted: bool = False


def check_duplicates(request: AuthorizeRequest) -> None:
    """Refuse repeated parameters."""
    # Request parameters MUST NOT be included more than once (OAuth 2.1 section 4.1.1).
    check_once(request.params)


def check_client(request: AuthorizeRequest) -> None:
    """Require a registered client."""
    # The authorization server MUST NOT redirect for an invalid client identifier (RFC 6749 section 4.1.2.1).
    if request.params.get("client_id") is None:
        raise InvalidRequestError("The application did not say who it is: client_id is missing.")
    if request.client is None:
        raise InvalidRequestError(
            "The application that sent you here is not registered with this server; "
            "remove the connection in the application and add it again."
        )


def check_redirect_uri(request: AuthorizeRequest) -> None:
    """Require a registered redirect URI."""
    # Compared exactly; only the port of a loopback URI may differ (RFC 8252 section 7.3, RFC 9700 section 4.1.3).
    known = request.known_client.redirect_uris
    given = request.params.get("redirect_uri")
    if given is None:
        if len(known) != 1:
            raise InvalidRequestError("redirect_uri is missing, and the application registered more than one.")
        given = known[0]
    elif not redirect_uris.registered(given, known):
        raise InvalidRequestError(
            "The address to return to (redirect_uri) is not one that the application registered.",
            reason=f"redirect_uri {shown_uri(given)} is not among {unverified(', '.join(known))}",
        )
    # What answers one client would begin the request of another, as one of our own pages (RFC 9700 section 4.11).
    if request.deployment.is_own_page(given):
        raise InvalidRequestError("The address to return to (redirect_uri) is an address of this server itself.")
    request.redirect_uri = given


def check_state(request: AuthorizeRequest) -> None:
    """Keep the state, which every answer from here on carries."""
    state = request.state = request.params.get("state")
    # The error for one that is too long carries it too (RFC 6749 section 4.1.2.1): the client knows its request by it.
    if state is not None and len(state) > MAX_STATE:
        raise InvalidRequestError(f"state is longer than {MAX_STATE} characters.")


def check_unsupported(request: AuthorizeRequest) -> None:
    """Refuse request objects, which are neither read nor fetched."""
    for name, error in (
        ("request", RequestNotSupportedError),
        ("request_uri", RequestUriNotSupportedError),
        ("registration", RegistrationNotSupportedError),
    ):
        if request.params.get(name) is not None:
            raise error


def check_response_type(request: AuthorizeRequest) -> None:
    """Require response_type=code, answered in the query."""
    # OAuth 2.1 has no other response type (section 4.1.1).
    if request.params.get("response_type") is None:
        raise InvalidRequestError("response_type is missing.")
    if request.params.get("response_type") not in c.RESPONSE_TYPES:
        raise UnsupportedResponseTypeError
    if request.params.get("response_mode") not in (None, *c.RESPONSE_MODES):
        raise InvalidRequestError('Only response_mode "query" is supported.')


def check_grant_type(request: AuthorizeRequest) -> None:
    """Require a client that may use codes."""
    if "authorization_code" not in request.known_client.grant_types:
        raise UnauthorizedClientError


def check_pkce(request: AuthorizeRequest) -> None:
    """Require a PKCE challenge of method S256."""
    # Clients MUST use code_challenge, and servers MUST enforce it (OAuth 2.1 sections 4.1.1 and 7.5.2).
    challenge, method = request.params.get("code_challenge"), request.params.get("code_challenge_method")
    if challenge is None:
        raise InvalidRequestError("code_challenge is missing: PKCE is required (RFC 7636).")
    if method not in c.CODE_CHALLENGE_METHODS:
        raise InvalidRequestError("code_challenge_method must be S256.")
    if not pkce.valid_challenge(challenge):
        raise InvalidRequestError("code_challenge must be 43 base64url characters: the SHA-256 of the verifier.")
    request.challenge = challenge


def check_scope(request: AuthorizeRequest) -> None:
    """Keep the known scopes; omitted ones default to the registered, else to mcp:read.

    offline_access is no right to anything: where it stands alone, the defaults are meant beside it, as claude.ai does.
    """
    # A server may ignore part of the requested scope; it is refused only when nothing is left (RFC 6749 section 3.3).
    text = request.params.get("scope")
    registered = request.client.scope if request.client is not None else ()
    wanted = () if text is None else scopes.parse(text)
    if text is None or wanted == ("offline_access",):
        wanted = (*(registered or (scopes.READ,)), *wanted)
    request.requested = wanted
    known = c.capabilities(request.deployment.settings).scopes
    request.scope = tuple(scope for scope in wanted if scope in known)
    if not request.scope:
        raise InvalidScopeError(f"None of the requested scopes exists here; this server knows {' '.join(known)}.")


def check_resource(request: AuthorizeRequest) -> None:
    """Require every resource to be ours; the canonical one is the default."""
    # An unknown resource is answered with invalid_target (RFC 8707 section 2).
    resources = request.deployment.resources
    request.resources = resources.requested(request.params.resources) or (resources.root,)


def check_prompt(request: AuthorizeRequest) -> None:
    """Read prompt; "none" stands alone."""
    # If prompt contains none with any other value, an error is returned (OpenID Connect Core section 3.1.2.1).
    prompt = frozenset((request.params.get("prompt") or "").split())
    if not prompt <= set(c.PROMPTS):
        raise InvalidRequestError(f"prompt may have the values {', '.join(c.PROMPTS)}.")
    if "none" in prompt and len(prompt) > 1:
        raise InvalidRequestError('prompt "none" cannot be combined with another value.')
    request.prompt = prompt


def check_max_age(request: AuthorizeRequest) -> None:
    """Read max_age, whole seconds."""
    text = request.params.get("max_age")
    if text is None:
        return
    if not (text.isascii() and text.isdigit() and len(text) <= 9):  # noqa: PLR2004 - thirty years are enough
        raise InvalidRequestError("max_age must be a whole number of seconds.")
    request.max_age = int(text)


def check_nonce(request: AuthorizeRequest) -> None:
    """Keep the nonce for the ID token."""
    nonce = request.params.get("nonce")
    if nonce is not None and len(nonce) > MAX_NONCE:
        raise InvalidRequestError(f"nonce is longer than {MAX_NONCE} characters.")
    request.nonce = nonce


Check = Callable[[AuthorizeRequest], None]

BEFORE_REDIRECT: tuple[Check, ...] = (check_duplicates, check_client, check_redirect_uri)
# Below this line client and redirect URI are verified, so errors go back to the client.
AFTER_REDIRECT: tuple[Check, ...] = (
    check_state,
    check_unsupported,
    check_response_type,
    check_grant_type,
    check_pkce,
    check_scope,
    check_resource,
    check_prompt,
    check_max_age,
    check_nonce,
)


NEED_CLIENT: tuple[Check, ...] = (check_client, check_redirect_uri, check_grant_type)


def run_checks(request: AuthorizeRequest) -> None:
    """Run all checks; raises AuthorizeRefused with the first one's error.

    While the client is pending, those that need it wait, and every error is shown as a page.
    """
    for check in (*BEFORE_REDIRECT, *AFTER_REDIRECT):
        if request.pending and check in NEED_CLIENT:
            continue
        try:
            check(request)
        except OAuthError as error:
            error.check = check.__name__
            verified = check in AFTER_REDIRECT and not request.pending
            raise refused(request, error) if verified else AuthorizeRefused(error) from None


def refused(request: AuthorizeRequest, error: OAuthError) -> AuthorizeRefused:
    """The refusal of a request whose client and redirect URI were verified."""
    trusted = request.known_client.by_operator or redirect_uris.is_loopback(request.redirect_uri)
    return AuthorizeRefused(error, request.redirect_uri, request.state, trusted=trusted)
