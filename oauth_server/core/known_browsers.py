"""Browsers in which a person signed in before, so that no stranger's guesses keep them out (OWASP device cookies).

What such a browser keeps is `id.generation.mac`: the generation stands for the password, and the MAC binds both to the
user name. It opens nothing; all it gives is a count of failed attempts of the browser's own.
"""

import hashlib
import hmac
from dataclasses import dataclass

from oauth_server.core.clock import random_id
from oauth_server.store.records import User


@dataclass(frozen=True)
class Claim:
    """What a browser says about itself, issued here for the user name that is signing in now."""

    browser_id: str
    generation: str


class KnownBrowsers:
    """Makes the values that browsers keep, and recognises them."""

    def __init__(self, secret: str) -> None:
        # A key of its own: the form secret itself signs messages that a browser chooses part of.
        self._key = hmac.digest(secret.encode(), b"known browsers", hashlib.sha256)

    def issue(self, user: User) -> str:
        """A value for the browser in which this person just proved who they are."""
        claim = Claim(random_id(), self._generation(user))
        return f"{claim.browser_id}.{claim.generation}.{self._binding(claim, user.username)}"

    def claim(self, value: str | None, username: str) -> Claim | None:
        """What a value says, when it was issued for this name: judged without looking whether there is such a user."""
        browser_id, _, rest = (value or "").partition(".")
        generation, _, mac = rest.partition(".")
        claim = Claim(browser_id, generation)
        expected = self._binding(claim, username).encode()
        return claim if hmac.compare_digest(mac.encode("utf-8", "surrogatepass"), expected) else None

    def current(self, claim: Claim, user: User) -> bool:
        """Whether it was issued for this user with the present password."""
        return hmac.compare_digest(claim.generation, self._generation(user))

    def _generation(self, user: User) -> str:
        return self._mac(user.user_id, user.password_hash)[:32]

    def _binding(self, claim: Claim, username: str) -> str:
        return self._mac(claim.browser_id, claim.generation, username)

    def _mac(self, *parts: str) -> str:
        message = "\x00".join(parts).encode("utf-8", "surrogatepass")
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()
