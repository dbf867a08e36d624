"""Presented credentials: what a request says about its client, and by which method it authenticates.

Sources: RFC 6749 section 2.3 and appendix B, RFC 7521 section 4.2, RFC 7617 section 2.
"""

from base64 import b64decode
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote_plus

from oauth_server.core.client_assertions import ASSERTION_TYPE
from oauth_server.core.errors import InvalidClientError, InvalidRequestError
from oauth_server.core.jwt_parts import JwtError, unverified_subject


class Presented(NamedTuple):
    """What a request says about its client: an id, and one method with its credential.

    `unencoded`: id and secret of HTTP Basic as they stand there, where form decoding changes one of them. Many clients
    leave out the encoding that RFC 6749 section 2.3.1 asks for.
    """

    client_id: str
    method: str
    credential: str | None
    unencoded: tuple[str, str] | None = None

    @property
    def client_ids(self) -> tuple[str, ...]:
        """The ids that may be meant, that of the standard first."""
        ids = (self.client_id,) if self.unencoded is None else (self.client_id, self.unencoded[0])
        return tuple(found for found in dict.fromkeys(ids) if "\x00" not in found)

    @property
    def secrets(self) -> tuple[str | None, ...]:
        """The client secrets that may be meant; one where the method has none, so that judging takes the same time."""
        if not self.method.startswith("client_secret"):
            return (None,)
        return (self.credential,) if self.unencoded is None else (self.credential, self.unencoded[1])


def presented(authorization: str | None, form: Mapping[str, str]) -> Presented:
    """Read the credentials of a request; raises InvalidClientError, or InvalidRequestError for two methods at once.

    `form` has the body's parameters without empty ones.
    """
    # "Basic" without anything is an attempt to authenticate too, and must fail as one.
    scheme, *credentials = (authorization or "").split(maxsplit=1) or [""]
    basic = scheme.lower() == "basic"
    client_id, secret, assertion = form.get("client_id"), form.get("client_secret"), form.get("client_assertion")
    asserts = assertion is not None or "client_assertion_type" in form
    # The client MUST NOT use more than one authentication method in each request (RFC 6749 section 2.3).
    if basic + (secret is not None) + asserts > 1:
        raise InvalidRequestError("Two client authentication methods were used at once.")
    if basic:
        return _basic("".join(credentials).strip(), client_id)
    if asserts:
        return _assertion(client_id, assertion, form.get("client_assertion_type"))
    if client_id is None:
        raise InvalidClientError("The request names no client.")
    return Presented(client_id, "none" if secret is None else "client_secret_post", secret)


def _assertion(client_id: str | None, assertion: str | None, assertion_type: str | None) -> Presented:
    if assertion is None or assertion_type != ASSERTION_TYPE:
        raise InvalidClientError(f"A client assertion needs client_assertion_type={ASSERTION_TYPE}.")
    try:
        subject = unverified_subject(assertion)
    except JwtError as error:
        raise InvalidClientError("The client assertion is not a JWT.", reason=error.reason) from None
    # client_id is unnecessary, but must agree where it is sent (RFC 7521 section 4.2).
    if client_id not in (None, subject):
        raise InvalidClientError("client_id differs from the one in the client assertion.")
    return Presented(subject, "private_key_jwt", assertion)


def _basic(credentials: str, client_id: str | None) -> Presented:
    """The id and secret of a Basic header, both form-decoded (RFC 6749 section 2.3.1), and as they stand there."""
    try:
        text = b64decode(credentials, validate=True).decode("utf-8")
    except ValueError:
        raise InvalidClientError("The Basic credentials cannot be decoded.") from None
    raw_id, colon, raw_secret = text.partition(":")
    if not colon:
        raise InvalidClientError("The Basic credentials have no colon.")
    try:
        named, secret = unquote_plus(raw_id, errors="strict"), unquote_plus(raw_secret, errors="strict")
    except UnicodeDecodeError:  # no form encoding of any text
        named, secret = raw_id, raw_secret
    if client_id == raw_id:
        named = raw_id
    elif client_id not in (None, named):
        raise InvalidRequestError("client_id differs from the one in the Basic credentials.")
    unencoded = None if (named, secret) == (raw_id, raw_secret) else (raw_id, raw_secret)
    if not secret:  # MAY be left out where it is empty (RFC 6749 section 2.3.1), so that says the same
        return Presented(named, "none", None, unencoded)
    return Presented(named, "client_secret_basic", secret, unencoded)
