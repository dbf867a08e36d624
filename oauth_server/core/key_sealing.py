"""Private keys at rest: AES-256-GCM under the operator's key, the kid as associated data (RFC 5116 section 5.2)."""

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


def is_sealed(key: SigningKey) -> bool:
    """Whether the stored private key is encrypted."""
    return key.private_pem.startswith(_PREFIX)


class Sealing:
    """Seals private keys under the first of the operator's keys, opens them with any; without one they are plain."""

    def __init__(self, settings: Settings) -> None:
        secret = settings.key_encryption_key
        keys = (None,) if secret is None else encryption_keys(secret.get_secret_value())
        self._first = None if keys[0] is None else AESGCM(keys[0])
        self._others = [AESGCM(key) for key in keys[1:] if key is not None]

    def seal(self, kid: str, pem: str) -> str:
        """The private key as it is stored."""
        if self._first is None:
            return pem
        nonce = os.urandom(_NONCE)
        return _PREFIX + b64encode(nonce + self._first.encrypt(nonce, pem.encode(), kid.encode())).decode("ascii")

    def open(self, key: SigningKey) -> str:
        """The PEM of a stored key; raises SettingsError where the operator's key is missing or another one."""
        if not is_sealed(key):
            return key.private_pem
        ciphers = [*([] if self._first is None else [self._first]), *self._others]
        if not ciphers:
            raise _refused("is not set, and the signing keys in the database are encrypted")
        found = next((pem for cipher in ciphers if (pem := _opened(cipher, key)) is not None), None)
        if found is None:
            raise _refused(f"does not open the signing key {key.kid} in the database")
        return found

    def is_settled(self, key: SigningKey) -> bool:
        """Whether a key is stored as `seal` stores it."""
        if self._first is None:
            return not is_sealed(key)
        return is_sealed(key) and _opened(self._first, key) is not None


def _opened(cipher: AESGCM, key: SigningKey) -> str | None:
    try:
        sealed = b64decode(key.private_pem.removeprefix(_PREFIX))
        return cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], key.kid.encode()).decode()
    except (ValueError, InvalidTag):
        return None


def _refused(problem: str) -> SettingsError:
    return SettingsError(_NAME, problem, "the key that the signing keys were encrypted with")
