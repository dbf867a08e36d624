"""What a known browser keeps: for one user name, one user, one password, made by this server alone."""

import hypothesis
import pytest
from hypothesis import strategies as st

from oauth_server.core.known_browsers import Claim, KnownBrowsers
from tests.support.secrets import FixedSecrets
from tests.support.stored import user

pytestmark = pytest.mark.requirement("attack-26")

ALICE = user("alice", password_hash="hash of alice's password")
BROWSERS = KnownBrowsers(FixedSecrets(b"secret of the forms"))


def test_a_value_of_another_name_is_seen_for_what_it_is_before_anybody_is_looked_up() -> None:
    value = BROWSERS.issue(ALICE)
    claim = BROWSERS.claim(value, "alice")
    assert claim is not None
    for name in ("bob", "Alice", "", "alice\x00", "\udc80"):
        assert BROWSERS.claim(value, name) is None
    assert KnownBrowsers(FixedSecrets(b"another secret")).claim(value, "alice") is None


def test_a_value_is_current_for_the_same_user_and_password() -> None:
    claim = BROWSERS.claim(BROWSERS.issue(ALICE), "alice")
    assert claim is not None
    assert BROWSERS.current(claim, ALICE)
    assert not BROWSERS.current(claim, ALICE._replace(password_hash="hash of a new one"))
    assert not BROWSERS.current(claim, ALICE._replace(user_id="id of another alice"))


def test_each_browser_has_an_id_of_its_own() -> None:
    ids = {BROWSERS.claim(BROWSERS.issue(ALICE), "alice") for _ in range(50)}
    assert len({claim.browser_id for claim in ids if claim is not None}) == 50


@hypothesis.given(st.text(max_size=200), st.text(max_size=40))
def test_arbitrary_text_is_of_no_browser(value: str, name: str) -> None:
    assert BROWSERS.claim(value, name) is None
    assert BROWSERS.claim(None, name) is None


@hypothesis.given(st.text(max_size=40), st.text(max_size=40))
def test_a_name_cannot_be_made_up_from_the_parts_before_it(name: str, more: str) -> None:
    value = BROWSERS.issue(ALICE._replace(username=name))
    browser_id, generation, mac = value.split(".")
    assert BROWSERS.claim(value, name) == Claim(browser_id, generation)
    if more:
        assert BROWSERS.claim(f"{browser_id}{more}.{generation}.{mac}", name) is None
        assert BROWSERS.claim(value, name + more) is None
