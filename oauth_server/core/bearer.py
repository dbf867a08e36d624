"""Reading the Authorization header (RFC 6750 section 2.1, RFC 9110 section 11.6.2)."""

from collections.abc import Sequence

from oauth_server.core.errors import InvalidRequestError, InvalidTokenError


def bearer_token(values: Sequence[str]) -> str | None:
    """The access token of the request's Authorization headers; None without one, or with another scheme.

    A token in the query string or the body is never looked at. Raises InvalidRequestError for two headers,
    InvalidTokenError for an empty token.
    """
    if not values:
        return None
    if len(values) > 1:
        raise InvalidRequestError("The request has more than one Authorization header.")
    scheme, _, token = values[0].partition(" ")
    if scheme.lower() != "bearer":
        return None
    token = token.strip()
    if not token:
        raise InvalidTokenError("format", "the Bearer credentials are empty")
    return token
