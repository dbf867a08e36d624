"""What attacks look at from inside: which passwords were hashed at all."""

from collections.abc import Iterator

import pytest
from argon2 import PasswordHasher


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The passwords that Argon2 was asked to verify, which it still does."""
    seen: list[str] = []
    verify = PasswordHasher.verify

    def watched(hasher: PasswordHasher, stored: str, password: str) -> bool:
        seen.append(password)
        return verify(hasher, stored, password)

    monkeypatch.setattr(PasswordHasher, "verify", watched)
    return seen
