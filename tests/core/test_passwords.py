"""One rule says what a password may be: for settings, commands, forms and the hash itself (NIST SP 800-63B 3.1.1)."""

import hashlib
import unicodedata

import hypothesis
import pytest
from argon2 import PasswordHasher
from hypothesis import strategies as st

from oauth_server.core import hashers
from oauth_server.core.administration import Administration
from oauth_server.core.clients import proves, secret_hash
from oauth_server.core.known_browsers import KnownBrowsers
from oauth_server.core.limits import Limits
from oauth_server.core.logins import Logins
from oauth_server.core.passwords import MAX_PASSWORD, PasswordError, new_password, normal_form
from oauth_server.core.settings import SettingsError, load
from oauth_server.core.users import Users
from oauth_server.store.records import Session
from oauth_server.store.schema import users as table
from oauth_server.store.store import Store
from tests.support.clock import ManualClock
from tests.support.secrets import FixedSecrets
from tests.support.stored import count

PASSWORD = "correct horse battery staple"
# What no password can be; each with a word of the sentence that says why.
REFUSED = [
    ("x" * 1025, "longer"),
    ("0123456789abcdef" * 75, "longer"),  # openssl rand -hex 600
    ("ä" * 600, "longer"),
    ("\ufdfa" * 60, "longer"),  # 60 characters of 3 bytes each, 33 bytes each once they are normalised
    ("short", "at least 12"),
    ("", "at least 12"),
    ("e\u0301" * 11, "at least 12"),  # 22 code points, 11 characters
    ("a bell \x07 in the middle", "character"),
    ("nul \x00 in a password", "character"),
    ("two lines\u2028of one password", "character"),
    ("half of a pair \ud800", "character"),
]
IDS = [f"{len(password)}-{index}" for index, (password, _) in enumerate(REFUSED)]
refused = pytest.mark.parametrize(("password", "problem"), REFUSED, ids=IDS)


# An empty variable is one that is not set, and no environment holds a NUL.
@pytest.mark.parametrize(("password", "problem"), [row for row in REFUSED if row[0] and "\x00" not in row[0]])
def test_the_settings_refuse_what_is_no_password(password: str, problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load({"MCP_OAUTH_ADMIN_PASSWORD": password})
    assert caught.value.name == "MCP_OAUTH_ADMIN_PASSWORD"
    assert problem in str(caught.value)
    assert password not in str(caught.value)


def test_the_settings_refuse_the_name_of_the_owner_as_the_password() -> None:
    with pytest.raises(SettingsError) as caught:
        load({"MCP_OAUTH_ADMIN_PASSWORD": "Administrator", "MCP_OAUTH_ADMIN_USERNAME": "administrator"})
    assert caught.value.name == "MCP_OAUTH_ADMIN_PASSWORD"


@pytest.mark.parametrize("name", ["n" * 129, "\ufdfa" * 60])
def test_the_settings_refuse_an_owner_who_could_never_sign_in(name: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load({"MCP_OAUTH_ADMIN_USERNAME": name})
    assert caught.value.name == "MCP_OAUTH_ADMIN_USERNAME"


@refused
async def test_no_hash_is_made_of_what_is_no_password(password: str, problem: str) -> None:
    with pytest.raises(PasswordError, match=problem):
        await hashers.hashed(password)


@refused
async def test_forms_and_commands_refuse_what_is_no_password(
    store: Store, users: Users, clock: ManualClock, password: str, problem: str
) -> None:
    await users.create_owner(load({"MCP_OAUTH_ADMIN_PASSWORD": PASSWORD}))
    owner = await users.by_username("admin")
    assert owner is not None
    admin = Administration(load({}), None, store, clock)
    with pytest.raises(PasswordError, match=problem):
        await users.change_password(owner, password, password, None)
    with pytest.raises(PasswordError, match=problem):
        await admin.set_password(owner, password, must_change=False)
    with pytest.raises(PasswordError, match=problem):
        await admin.add_user("bob", password, ())
    assert await users.by_username("admin") == owner
    assert await store.read(count, table) == 1


@pytest.mark.requirement("attack-27")
@refused
async def test_a_stored_hash_of_the_empty_password_lets_nobody_in(
    store: Store, users: Users, clock: ManualClock, password: str, problem: str
) -> None:
    """A release before this one stored such a hash where the configured password was too long."""
    await users.create_owner(load({"MCP_OAUTH_ADMIN_PASSWORD": PASSWORD}))
    empty = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1).hash("")
    await store.write(lambda connection: connection.execute(table.update().values(password_hash=empty)))
    owner = await users.by_username("admin")
    assert owner is not None
    logins = Logins(users, Limits(store, clock), KnownBrowsers(FixedSecrets(b"secret of the forms")))
    session = Session(b"session", owner, clock(), clock() + 60)
    assert await logins.sign_in("admin", password) is None
    assert not await logins.confirms(session, password)
    assert not await hashers.matches(empty, password)


@hypothesis.given(st.text(max_size=60))
def test_what_is_accepted_has_one_form_and_keeps_it(text: str) -> None:
    try:
        accepted = new_password(text)
    except PasswordError:
        return
    assert accepted == normal_form(text) == normal_form(accepted) == new_password(accepted)
    assert accepted == unicodedata.normalize("NFKC", text)
    assert len(accepted) >= 12
    assert len(accepted.encode()) <= MAX_PASSWORD


@hypothesis.given(st.text(max_size=60))
def test_settings_and_forms_agree(text: str) -> None:
    """The settings take what a form takes, but for what an environment does not hold and the blanks it is trimmed of."""
    hypothesis.assume("\x00" not in text)
    hypothesis.assume(text == text.strip() and text[:1] not in ("'", '"'))
    hypothesis.assume(text)

    def taken(rule: object) -> bool:
        try:
            rule(text)  # type: ignore[operator]
        except (PasswordError, SettingsError):
            return False
        return True

    assert taken(new_password) == taken(lambda value: load({"MCP_OAUTH_ADMIN_PASSWORD": value}))


@pytest.mark.parametrize("presented", [None, "", "\x00", "x", "\ud800"])
@pytest.mark.parametrize("stored", [None, hashlib.sha256(b"").digest(), bytes(32), b""])
def test_nothing_is_proved_by_nothing_or_where_nothing_is_stored(presented: str | None, stored: bytes | None) -> None:
    assert not proves(presented, stored)


def test_a_secret_is_proved_by_itself_alone() -> None:
    stored = secret_hash("a secret")
    assert proves("a secret", stored)
    assert not any(proves(other, stored) for other in ("a secret ", "A secret", " a secret", "a%20secret"))
