"""What attacks look at from inside: which passwords were hashed at all."""

from collections.abc import Iterator

import pytest

from oauth_server.core import hashers


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The passwords that Argon2 was asked to verify, which it still does."""
    seen: list[str] = []
    ask = hashers._ask

    def watched(stored: str | None, password: str) -> str | bool:
        if stored is not None:
            seen.append(password)
        return ask(stored, password)

    monkeypatch.setattr(hashers, "_ask", watched)
    return seen
