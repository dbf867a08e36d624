"""Secrets at rest: AES-256-GCM under the operator's key, their name as associated data (RFC 5116 section 5.2)."""

import os
from base64 import b64decode, b64encode
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from oauth_server.core.settings import ENV_NAMES, Settings
from oauth_server.core.settings_rules import SettingsError, encryption_keys
from oauth_server.store.records import SigningKey

_PREFIX: Final = "aes-256-gcm:"
_NONCE: Final = 12  # bytes
_NAME: Final = ENV_NAMES["key_encryption_key"]


class Sealing:
    """Seals secrets under the first of the operator's keys, opens them with any; without one they are plain."""

    def __init__(self, settings: Settings) -> None:
        secret = settings.key_encryption_key
        keys = (None,) if secret is None else encryption_keys(secret.get_secret_value())
        self._first = None if keys[0] is None else AESGCM(keys[0])
        self._others = [AESGCM(key) for key in keys[1:] if key is not None]

    def seal(self, name: str, plain: str) -> str:
        """A private key, or another secret, as it is stored under this name: of a key, its kid."""
        if self._first is None:
            return plain
        nonce = os.urandom(_NONCE)
        return _PREFIX + b64encode(nonce + self._first.encrypt(nonce, plain.encode(), name.encode())).decode("ascii")

    def open(self, key: SigningKey) -> str:
        """The PEM of a stored key; raises SettingsError where the operator's key is missing or another one."""
        found = self.opened(key.kid, key.private_pem)
        if found is None and self._first is None:
            raise _refused("is not set, and the signing keys in the database are encrypted")
        if found is None:
            raise _refused(f"does not open the signing key {key.kid} in the database")
        return found

    def opened(self, name: str, stored: str) -> str | None:
        """What was stored under a name; None where the operator's key is missing or another one."""
        if not stored.startswith(_PREFIX):
            return stored
        ciphers = [*([] if self._first is None else [self._first]), *self._others]
        return next((plain for cipher in ciphers if (plain := _opened(cipher, name, stored)) is not None), None)

    def is_settled(self, name: str, stored: str) -> bool:
        """Whether it is stored as `seal` stores it."""
        if self._first is None:
            return not stored.startswith(_PREFIX)
        return stored.startswith(_PREFIX) and _opened(self._first, name, stored) is not None


def _opened(cipher: AESGCM, name: str, stored: str) -> str | None:
    try:
        sealed = b64decode(stored.removeprefix(_PREFIX))
        return cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], name.encode()).decode()
    except (ValueError, InvalidTag):
        return None


def _refused(problem: str) -> SettingsError:
    return SettingsError(_NAME, problem, "the key that the signing keys were encrypted with")
