"""People, passwords, browser sessions and the CSRF tokens of their forms."""

import hypothesis
import pytest
from hypothesis import strategies as st

from oauth_server.core import hashers
from oauth_server.core.form_secrets import FORM_LIFETIME
from oauth_server.core.known_browsers import KnownBrowsers
from oauth_server.core.limits import Limits
from oauth_server.core.logins import Logins
from oauth_server.core.passwords import MAX_PASSWORD, PasswordError, normalise_username
from oauth_server.core.sessions import LIFETIME, Sessions
from oauth_server.core.settings import load
from oauth_server.core.users import Users
from oauth_server.store.ages import CLOCK_SKEW
from oauth_server.store.store import Store
from oauth_server.store.verbs import audit
from oauth_server.store.verbs import users as verbs
from tests.support.clock import ManualClock
from tests.support.secrets import FixedSecrets

PASSWORD = "correct horse battery staple"
OWNER = {"MCP_OAUTH_ADMIN_PASSWORD": PASSWORD, "MCP_OAUTH_ADMIN_USERNAME": "Zoë"}


@pytest.fixture
def logins(users: Users, store: Store, clock: ManualClock) -> Logins:
    return Logins(users, Limits(store, clock), KnownBrowsers(FixedSecrets(b"secret of the forms")))


@pytest.fixture
def sessions(store: Store, clock: ManualClock) -> Sessions:
    return Sessions(store, FixedSecrets(b"secret of the forms"), clock)


async def test_the_owner_signs_in_under_every_spelling_of_the_name(users: Users, logins: Logins) -> None:
    assert await users.create_owner(load(OWNER)) is None  # a given password is not handed out
    for name in ("zoë", "ZOË", " Zoë ", "zoe\u0308"):
        found = await logins.sign_in(name, PASSWORD)
        assert found is not None, name
        assert (found.username, found.display_name, found.must_change_password) == ("zoë", "Zoë", False)
        assert found.user_id not in ("zoë", "Zoë")
    assert await users.create_owner(load(OWNER)) is None


async def test_a_generated_password_is_told_once_and_must_be_changed(users: Users, logins: Logins) -> None:
    password = await users.create_owner(load({}))
    assert password is not None
    assert len(password) >= 24
    found = await logins.sign_in("admin", password)
    assert found is not None
    assert found.must_change_password
    assert await users.create_owner(load({})) is None
    await users.change_password(found, PASSWORD, PASSWORD, None)
    assert await logins.sign_in("admin", password) is None
    changed = await logins.sign_in("admin", PASSWORD)
    assert changed is not None
    assert not changed.must_change_password


@pytest.mark.requirement("attack-27", "attack-28")
@pytest.mark.parametrize(
    ("name", "password", "actor"),
    [
        ("zoë", "wrong", "zoë"),
        ("zoë", "", "zoë"),
        ("zoë", PASSWORD + " ", "zoë"),
        ("zoë", PASSWORD.upper(), "zoë"),
        ("zoë", PASSWORD + "\x00", "zoë"),
        ("zoë", "x" * 1_000_000, "zoë"),
        ("zoë", "\ud800", "zoë"),
        ("ZOË\n", "wrong", "zoë"),
        ("nobody", PASSWORD, ""),
        ("", PASSWORD, ""),
        ("zoë\x00", PASSWORD, ""),
        ("zoë\u202e", PASSWORD, ""),
        ("z" * 100_000, PASSWORD, ""),
    ],
)
async def test_other_credentials_are_refused_and_recorded(
    users: Users, logins: Logins, store: Store, name: str, password: str, actor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await users.create_owner(load(OWNER))
    verified: list[int] = []
    ask = hashers._ask
    monkeypatch.setattr(hashers, "_ask", lambda stored, given: (verified.append(len(given)), ask(stored, given))[1])
    assert await logins.sign_in(name, password) is None
    assert len(verified) == 1  # one Argon2 verification, whoever was named
    assert verified[0] <= MAX_PASSWORD
    (event, *_) = await store.read(audit.newest, 1)
    assert (event.event, event.outcome, event.actor) == ("login", "failure", actor)  # what nobody is called is not kept


async def test_a_disabled_person_is_not_signed_in_with_the_right_password(
    users: Users, logins: Logins, store: Store
) -> None:
    await users.create_owner(load(OWNER))
    owner = await users.by_username("zoë")
    assert owner is not None
    await store.write(verbs.set_disabled, owner.user_id, True, 0.0, 1.0)
    assert await logins.sign_in("zoë", PASSWORD) is None


@pytest.mark.requirement("attack-28")
@pytest.mark.parametrize(
    ("new", "again", "problem"),
    [
        ("a new password!", "a new password?", "differ"),
        ("short", "short", "at least 12"),
        (PASSWORD, PASSWORD, "differs from"),
        ("x" * 1025, "x" * 1025, "longer"),
        ("ä" * 600, "ä" * 600, "longer"),
        ("nul \x00 in a password", "nul \x00 in a password", "character"),
    ],
)
async def test_a_new_password_that_is_not_acceptable_changes_nothing(
    users: Users, new: str, again: str, problem: str
) -> None:
    await users.create_owner(load(OWNER))
    owner = await users.by_username("zoë")
    assert owner is not None
    with pytest.raises(PasswordError, match=problem):
        await users.change_password(owner, new, again, None)
    assert await users.by_username("zoë") == owner


@hypothesis.given(st.text(max_size=40))
def test_normalising_a_name_does_not_fail(name: str) -> None:
    assert normalise_username(name) == normalise_username(name)


@pytest.mark.requirement("attack-25")
async def test_a_session_begins_with_a_new_id_and_ends_by_time_or_sign_out(
    users: Users, sessions: Sessions, clock: ManualClock
) -> None:
    await users.create_owner(load(OWNER))
    owner = await users.by_username("zoë")
    assert owner is not None
    first = await sessions.start(owner, None)
    second = await sessions.start(owner, await sessions.find(first))
    assert first != second
    assert await sessions.find(first) is None
    found = await sessions.find(second)
    assert second is not None
    assert found is not None
    assert (found.user, found.auth_time) == (owner, clock())
    assert await sessions.find(second, "a path") is None
    bound = await sessions.start(owner, None, "a path", "a form key", 60)
    assert bound is not None
    assert bound.endswith(".a form key")
    assert await sessions.find(bound, "a path") is not None
    for elsewhere in ("", "another path", "a path\x00"):
        assert await sessions.find(bound, elsewhere) is None
    clock.advance(60)
    assert await sessions.find(bound, "a path") is None
    clock.advance(-60)
    for other in (None, "", "x", second + "x", second.lower(), "x" * 1000, "\udc80"):
        assert await sessions.find(other) is None
    clock.advance(LIFETIME - 1)
    assert await sessions.find(second) is not None
    clock.advance(1)
    assert await sessions.find(second) is None
    third = await sessions.start(owner, None)
    live = await sessions.find(third)
    assert live is not None
    await sessions.end(live)
    assert await sessions.find(third) is None


@pytest.mark.requirement("attack-22", "attack-23")
def test_a_form_belongs_to_its_browser_its_purpose_and_its_hour(sessions: Sessions, clock: ManualClock) -> None:
    token = sessions.csrf("browser", "consent a=1")
    assert sessions.csrf_valid(token, "browser", "consent a=1")
    for session_id, purpose in (("other", "consent a=1"), ("browser", "consent a=2"), ("browser", "login a=1")):
        assert not sessions.csrf_valid(token, session_id, purpose)
    assert not sessions.csrf_valid(token, None, "consent a=1")
    assert not sessions.csrf_valid(token, "", "consent a=1")
    at, _, mac = token.partition(".")
    for changed in (
        "",
        ".",
        at,
        f"{at}.",
        f".{mac}",
        f"{int(at) + 1}.{mac}",
        f"{at}.{mac}0",
        f"0{at}.{mac}",
        f"٣.{mac}",
    ):
        assert not sessions.csrf_valid(changed, "browser", "consent a=1"), changed
    clock.advance(FORM_LIFETIME)
    assert sessions.csrf_valid(token, "browser", "consent a=1")
    clock.advance(1)
    assert not sessions.csrf_valid(token, "browser", "consent a=1")
    clock.advance(-FORM_LIFETIME - 1 - CLOCK_SKEW)  # rendered by a machine whose clock is ahead
    assert sessions.csrf_valid(token, "browser", "consent a=1")
    clock.advance(-1)
    assert not sessions.csrf_valid(token, "browser", "consent a=1")  # from the future


def test_no_two_bindings_make_the_same_form_token(sessions: Sessions) -> None:
    assert sessions.csrf("a", "bc") != sessions.csrf("ab", "c")


@hypothesis.given(st.text(max_size=90))
def test_arbitrary_text_is_no_form_token(text: str) -> None:
    assert not Sessions.__new__(Sessions).csrf_valid(text, None, "x")
