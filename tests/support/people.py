"""More people than the owner, and what an operator does to them."""

from oauth_server.core.clock import random_id
from oauth_server.core.revocation import ACCESS_TOKEN_MAX
from oauth_server.store.records import User
from oauth_server.store.verbs import users
from tests.support.server import OWNER, Running


async def owner_of(server: Running) -> User:
    """The owner's record."""
    found = await server.services.users.by_username(OWNER)
    assert found is not None
    return found


async def add_person(
    server: Running, username: str, scope: tuple[str, ...] = ("mcp:read", "mcp:write"), email: str = ""
) -> User:
    """Another person, with the owner's password: hashing one costs time."""
    password_hash = (await owner_of(server)).password_hash
    person = User(
        random_id(), username, password_hash, scope, server.clock(), display_name=username.title(), email=email
    )
    assert await server.services.store.write(users.add, person)
    return person


async def set_ceiling(server: Running, person: User, *scope: str) -> None:
    """Set what this person may be granted, from now on and in every process."""
    await server.services.store.write(users.set_scope, person.user_id, scope, server.clock, ACCESS_TOKEN_MAX)
    await server.services.revoked.refresh()
    server.clock.advance(1)  # a token carries whole seconds: one of the same second counts as older


async def set_disabled(server: Running, person: User, disabled: bool) -> None:
    """Disable or enable a person, from now on and in every process."""
    now = server.clock()
    await server.services.store.write(users.set_disabled, person.user_id, disabled, now, now + ACCESS_TOKEN_MAX)
    await server.services.revoked.refresh()
    server.clock.advance(1)
