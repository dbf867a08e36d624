"""Browsers in which a person signed in before, so that no stranger's guesses keep them out (OWASP device cookies).

What such a browser keeps is `id.generation.mac`: the generation stands for the password, and the MAC binds both to the
user name. It opens nothing; all it gives is a count of failed attempts of the browser's own.
"""

import hashlib
import hmac
from dataclasses import dataclass

from oauth_server.core.clock import random_id
from oauth_server.core.form_secrets import Secrets
from oauth_server.store.records import User


@dataclass(frozen=True)
class Claim:
    """What a browser says about itself, issued here for the user name that is signing in now."""

    browser_id: str
    generation: str


class KnownBrowsers:
    """Makes the values that browsers keep, and recognises them."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets

    def issue(self, user: User) -> str:
        """A value for the browser in which this person just proved who they are."""
        key = _key(self._secrets.signing)
        claim = Claim(random_id(), _generation(key, user))
        return f"{claim.browser_id}.{claim.generation}.{_binding(key, claim, user.username)}"

    def claim(self, value: str | None, username: str) -> Claim | None:
        """What a value says, when it was issued for this name: judged without looking whether there is such a user."""
        browser_id, _, rest = (value or "").partition(".")
        generation, _, mac = rest.partition(".")
        claim = Claim(browser_id, generation)
        given = mac.encode("utf-8", "surrogatepass")
        keys = map(_key, self._secrets.kept())
        return (
            claim if any(hmac.compare_digest(given, _binding(key, claim, username).encode()) for key in keys) else None
        )

    def current(self, claim: Claim, user: User) -> bool:
        """Whether it was issued for this user with the present password."""
        keys = map(_key, self._secrets.kept())
        return any(hmac.compare_digest(claim.generation, _generation(key, user)) for key in keys)


def _key(secret: bytes) -> bytes:
    # A key of its own: the form secret itself signs messages that a browser chooses part of.
    return hmac.digest(secret, b"known browsers of https issuers", hashlib.sha256)


def _generation(key: bytes, user: User) -> str:
    return _mac(key, user.user_id, user.password_hash)[:32]


def _binding(key: bytes, claim: Claim, username: str) -> str:
    return _mac(key, claim.browser_id, claim.generation, username)


def _mac(key: bytes, *parts: str) -> str:
    message = "\x00".join(parts).encode("utf-8", "surrogatepass")
    return hmac.new(key, message, hashlib.sha256).hexdigest()
