"""Secrets of forms for rules that are tested without a store."""


class FixedSecrets:
    """One secret after another, the newest first; all of them are accepted."""

    def __init__(self, *secrets: bytes) -> None:
        self.secrets = secrets

    @property
    def signing(self) -> bytes:
        return self.secrets[0]

    def of_form(self, at: int) -> tuple[bytes, ...]:
        return self.secrets

    def kept(self) -> tuple[bytes, ...]:
        return self.secrets
