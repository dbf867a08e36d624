"""The OAuth errors: each a class with its code, its HTTP status, a sentence for people and a reason for the log.

Sources: RFC 6749 sections 4.1.2.1 and 5.2, RFC 6750 section 3.1, RFC 7591 section 3.2.2, RFC 8707 section 2,
OpenID Connect Core 1.0 section 3.1.2.6.
"""

import re
from typing import ClassVar

from oauth_server.core.policies import Policy

# error_description = 1*( %x20-21 / %x23-5B / %x5D-7E ); everything else is replaced.
_DESCRIPTION = re.compile(r"[^\x20\x21\x23-\x5B\x5D-\x7E]")


class OAuthError(Exception):
    """A refused request. `description` is shown to the caller, `reason` and `check` only ever reach the log."""

    error: ClassVar[str] = "server_error"
    status: ClassVar[int] = 400
    default: ClassVar[str] = "The request cannot be served."

    def __init__(self, description: str = "", *, reason: str = "", check: str = "") -> None:
        self.description = description or self.default
        self.reason = reason or self.description
        self.check = check
        super().__init__(self.description)

    def body(self) -> dict[str, str]:
        """The JSON object of RFC 6749 section 5.2."""
        return {"error": self.error, "error_description": _DESCRIPTION.sub("'", self.description)}


class InvalidRequestError(OAuthError):
    """A parameter is missing, repeated or malformed."""

    error = "invalid_request"
    default = "The request is malformed."


class PayloadTooLargeError(InvalidRequestError):
    """The request body exceeds what an OAuth request can need."""

    status = 413
    default = "The request body is larger than 64 KiB."


class MethodNotAllowedError(InvalidRequestError):
    """The endpoint does not answer this HTTP method."""

    status = 405
    default = "This endpoint does not answer this HTTP method."


class NotFoundError(OAuthError):
    """Nothing is served at this address."""

    error = "not_found"
    status = 404
    default = "There is nothing at this address."


class InvalidClientError(OAuthError):
    """Client authentication failed; the answer carries a challenge (RFC 6749 section 5.2, RFC 9110 section 15.5.2)."""

    error = "invalid_client"
    status = 401
    default = "Client authentication failed."

    def __init__(self, description: str = "", *, reason: str = "") -> None:
        super().__init__(description, reason=reason, check="client_authentication")


class InvalidClientDocumentError(OAuthError):
    """A client that is known by its metadata document cannot be used; a person reads it, so nothing is challenged."""

    error = "invalid_client"
    default = "The metadata document of the application cannot be used."


class InvalidGrantError(OAuthError):
    """The code or refresh token is invalid, expired, revoked or was issued to another client."""

    error = "invalid_grant"
    default = "The grant is invalid, expired, revoked or was issued to another client; start a new authorization."


class UnauthorizedClientError(OAuthError):
    """The client may not use this grant type."""

    error = "unauthorized_client"
    default = "The client is not registered for this grant type."


class UnsupportedGrantTypeError(OAuthError):
    """The grant type is not offered."""

    error = "unsupported_grant_type"
    default = "This grant type is not supported."


class UnsupportedResponseTypeError(OAuthError):
    """Only the code response type exists in OAuth 2.1."""

    error = "unsupported_response_type"
    default = 'Only response_type "code" is supported.'


class InvalidScopeError(OAuthError):
    """The scope is malformed, or nothing of it can be granted."""

    error = "invalid_scope"
    default = "None of the requested scopes can be granted."


class InvalidTargetError(OAuthError):
    """The resource indicator names no resource of this server (RFC 8707 section 2)."""

    error = "invalid_target"
    default = "The requested resource is not served here."


class AccessDeniedError(OAuthError):
    """The person, or the server's policy, said no."""

    error = "access_denied"
    status = 403
    default = "Access was denied."


class LoginRequiredError(OAuthError):
    """prompt=none, but nobody is signed in."""

    error = "login_required"
    default = "Nobody is signed in, and prompt=none forbids to ask."


class ConsentRequiredError(OAuthError):
    """prompt=none, but consent would have to be asked for."""

    error = "consent_required"
    default = "Consent is needed, and prompt=none forbids to ask."


class RequestNotSupportedError(OAuthError):
    """Request objects (OpenID Connect Core section 6) are not supported."""

    error = "request_not_supported"
    default = "The request parameter is not supported."


class RequestUriNotSupportedError(OAuthError):
    """Request objects by reference are not supported, and never fetched."""

    error = "request_uri_not_supported"
    default = "The request_uri parameter is not supported."


class RegistrationNotSupportedError(OAuthError):
    """The registration parameter of self-issued providers is not supported."""

    error = "registration_not_supported"
    default = "The registration parameter is not supported."


class InvalidRedirectUriError(OAuthError):
    """A redirect URI may not be registered."""

    error = "invalid_redirect_uri"
    default = "A redirect URI is not acceptable."


class InvalidClientMetadataError(OAuthError):
    """A member of the client metadata is not acceptable."""

    error = "invalid_client_metadata"
    default = "The client metadata is not acceptable."


class InvalidSoftwareStatementError(OAuthError):
    """The software statement is no signed statement at all."""

    error = "invalid_software_statement"
    default = "The software statement is not a signed JWT with an issuer."


class UnapprovedSoftwareStatementError(OAuthError):
    """The software statement is of an issuer that this server does not trust, which are all."""

    error = "unapproved_software_statement"
    default = "This server trusts no issuer of software statements; register without one."


class InvalidTokenError(OAuthError):
    """The access token is not valid here; `check` names the check that it failed."""

    error = "invalid_token"
    status = 401
    default = "The access token is invalid, expired, revoked or meant for another resource."

    def __init__(self, check: str, reason: str) -> None:
        super().__init__(reason=reason, check=check)


class RegistrationTokenError(InvalidTokenError):
    """An initial or registration access token is missing or not valid (RFC 7591 section 3, RFC 7592 section 2)."""

    def __init__(self, description: str, *, reason: str) -> None:
        super().__init__("registration_token", reason)
        self.description = description


class InsufficientScopeError(OAuthError):
    """The operation needs scopes that the caller does not hold."""

    error = "insufficient_scope"
    status = 403

    def __init__(self, required: tuple[str, ...], description: str = "") -> None:
        self.required = required
        scopes = " ".join(required)
        super().__init__(description or f"This operation needs the scope {scopes}.", check="scope")


class ServerError(OAuthError):
    """A defect of this server; the details are in its log."""

    error = "server_error"
    status = 500
    default = "The server failed to answer; its log has the details."


class TemporarilyUnavailableError(OAuthError):
    """The store does not answer; the request may be repeated."""

    error = "temporarily_unavailable"
    status = 503
    default = "The server cannot reach its database at the moment; try again in a few seconds."
    retry_after = 5  # seconds

    def headers(self) -> dict[str, str]:
        """The header fields that say when to come back (RFC 9110 section 10.2.3)."""
        return {"Retry-After": str(self.retry_after)}


class EndingError(TemporarilyUnavailableError):
    """The process ends before the answer is there; another one, or the next, may have it."""

    default = "The server is about to end; try again in a few seconds."


class RateLimitedError(TemporarilyUnavailableError):
    """A request beyond a bound (RFC 6585 section 4); `retry_after` in seconds. Nothing was looked up or changed."""

    status = 429
    what: ClassVar[str] = "requests"

    def __init__(self, policy: Policy, *, reason: str, retry_after: int, description: str = "") -> None:
        seconds = "1 second" if retry_after == 1 else f"{retry_after} seconds"
        sentence = description or f"Too many {self.what}; try again in {seconds}."
        super().__init__(sentence, reason=f"{policy.name} {reason}", check="rate_limit")
        self.policy = policy
        self.retry_after = retry_after

    def headers(self) -> dict[str, str]:
        """Retry-After, and which bound was reached."""
        return self.policy.headers(self.retry_after)


class TooManyRegistrationsError(RateLimitedError):
    """A registration beyond what anybody may register (RFC 7591 section 5)."""

    def __init__(self, policy: Policy, *, reason: str, retry_after: int) -> None:
        sentence = "Too many clients were registered; try again later, or use the client_id of an earlier registration."
        super().__init__(policy, reason=reason, retry_after=retry_after, description=sentence)


class TooManyAttemptsError(RateLimitedError):
    """A password that is not even looked at: too many wrong ones came before it."""

    what = "attempts"


class BusyError(TemporarilyUnavailableError):
    """More passwords wait to be checked than can be in a few seconds; nothing was counted."""

    default = "Too many people are signing in at the moment; try again in a few seconds."
