"""Private keys at rest: AES-256-GCM under the operator's key, the kid as associated data (RFC 5116 section 5.2)."""

import os
from base64 import b64decode, b64encode
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from oauth_server.core.settings import ENV_NAMES, Settings
from oauth_server.core.settings_rules import SettingsError, key_of_32_bytes
from oauth_server.store.records import SigningKey

_PREFIX: Final = "aes-256-gcm:"
_NONCE: Final = 12  # bytes
_NAME: Final = ENV_NAMES["key_encryption_key"]


def is_sealed(key: SigningKey) -> bool:
    """Whether the stored private key is encrypted."""
    return key.private_pem.startswith(_PREFIX)


class Sealing:
    """Seals and opens private keys; without a key of the operator's they stay as they are."""

    def __init__(self, settings: Settings) -> None:
        secret = settings.key_encryption_key
        self._cipher = None if secret is None else AESGCM(key_of_32_bytes(secret.get_secret_value()))

    @property
    def on(self) -> bool:
        """Whether private keys are to be stored encrypted."""
        return self._cipher is not None

    def seal(self, kid: str, pem: str) -> str:
        """The private key as it is stored."""
        if self._cipher is None:
            return pem
        nonce = os.urandom(_NONCE)
        return _PREFIX + b64encode(nonce + self._cipher.encrypt(nonce, pem.encode(), kid.encode())).decode("ascii")

    def open(self, key: SigningKey) -> str:
        """The PEM of a stored key; raises SettingsError where the operator's key is missing or another one."""
        if not is_sealed(key):
            return key.private_pem
        if self._cipher is None:
            raise _refused("is not set, and the signing keys in the database are encrypted")
        try:
            sealed = b64decode(key.private_pem.removeprefix(_PREFIX))
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], key.kid.encode()).decode()
        except (ValueError, InvalidTag):
            raise _refused(f"does not open the signing key {key.kid} in the database") from None


def _refused(problem: str) -> SettingsError:
    return SettingsError(_NAME, problem, "the key that the signing keys were encrypted with")
