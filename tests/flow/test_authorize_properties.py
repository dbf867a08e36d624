"""Properties of redirect URI matching and of scope parsing, for whatever is sent."""

import re
from urllib.parse import urlsplit

import hypothesis
import pytest
from hypothesis import strategies as st

from oauth_server.core import scopes
from oauth_server.core.errors import InvalidRedirectUriError, InvalidScopeError
from oauth_server.core.redirect_uris import check_registrable, registered, same_but_port

MANY = hypothesis.settings(deadline=None, max_examples=500)
LOOPBACK = ("http://localhost/cb", "http://127.0.0.1:8765/cb?a=1", "http://[::1]:1/")
WEB = ("https://app.example/cb", "https://app.example:8443/cb?tenant=1", "cursor://anysphere.cursor-mcp/oauth/callback")
KNOWN = (*LOOPBACK, *WEB)

_PIECES = st.sampled_from(
    [
        "http",
        "https",
        "cursor",
        ":",
        "//",
        "/",
        "localhost",
        "127.0.0.1",
        "[::1]",
        "app.example",
        "evil.example",
        "cb",
        "?",
        "#",
        "@",
        "\\",
        ".",
        "..",
        "%2e",
        "%2F",
        "80",
        "8443",
        "65535",
        "\n",
        " ",
        "a=1",
        "tenant=1",
        "\u0430",
        "::1",
    ]
)
_COMPOSED = st.lists(_PIECES, max_size=12).map("".join)
_EDITED = st.builds(
    lambda uri, place, text, cut: uri[: place % len(uri)] + text + uri[place % len(uri) + cut :],
    st.sampled_from(KNOWN),
    st.integers(0, 100),
    st.text(max_size=4) | _PIECES,
    st.integers(0, 3),
)
_URIS = _EDITED | _COMPOSED | st.sampled_from(KNOWN) | st.text()
# Read again, independently of the implementation: one loopback name, a port that exists, and the rest untouched.
_PORT = re.compile(
    r"\A(http://(?:localhost|127\.0\.0\.1|\[::1\]))(?::([1-9][0-9]{0,4}))?((?:/|\?).*)?\Z", re.DOTALL | re.ASCII
)


def differs_at_most_in_the_loopback_port(uri: str, known: str) -> bool:
    ours, theirs = _PORT.match(known), _PORT.match(uri)
    if uri == known or not (ours and theirs):
        return uri == known
    # An empty path and "/" are one place (RFC 3986 section 6.2.3).
    same = ours[1] == theirs[1] and (ours[3] or "/") == (theirs[3] or "/")
    return same and int(theirs[2] or 80) <= 65535


@pytest.mark.requirement("attack-2", "attack-3", "AS-31", "AS-32")
@MANY
@hypothesis.given(uri=_URIS)
def test_nothing_is_redirected_to_that_is_not_registered_but_for_the_loopback_port(uri: str) -> None:
    assert registered(uri, KNOWN) == any(differs_at_most_in_the_loopback_port(uri, known) for known in KNOWN)


@pytest.mark.requirement("attack-3", "AS-31")
@MANY
@hypothesis.given(port=st.integers(-10, 10**6))
def test_every_port_that_exists_is_free_on_loopback_and_nowhere_else(port: int) -> None:
    exists = 1 <= port <= 65535
    assert registered(f"http://localhost:{port}/cb", KNOWN) is exists
    assert registered(f"http://127.0.0.1:{port}/cb?a=1", KNOWN) is exists
    assert registered(f"https://app.example:{port}/cb?tenant=1", KNOWN) is (port == 8443)


@pytest.mark.requirement("attack-2", "AS-31")
@MANY
@hypothesis.given(uri=_URIS, known=_URIS)
def test_key_of_a_remembered_consent_is_the_same_only_for_uris_that_match(uri: str, known: str) -> None:
    assert (same_but_port(uri) == same_but_port(known)) == registered(uri, [known])
    assert registered(uri, [uri])
    assert same_but_port(same_but_port(uri)) == same_but_port(uri)


@pytest.mark.requirement("attack-4", "AS-30")
@MANY
@hypothesis.given(uri=_URIS, native=st.booleans())
def test_whatever_may_be_registered_is_https_or_loopback_or_an_allowed_private_use_uri(uri: str, native: bool) -> None:
    try:
        check_registrable(uri, native=native, private_use=())
    except InvalidRedirectUriError:
        return
    assert re.fullmatch(r"[\x21-\x7e]{1,2048}", uri)
    assert "#" not in uri
    assert "\\" not in uri
    parts = urlsplit(uri)
    assert "@" not in parts.netloc
    if parts.scheme == "http":
        assert parts.hostname in ("localhost", "127.0.0.1", "::1")
        assert native
    elif parts.scheme != "https":
        assert uri == "cursor://anysphere.cursor-mcp/oauth/callback"
        assert native


_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
_SCOPES = (
    st.text(st.characters(max_codepoint=0x7F))
    | st.text()
    | st.lists(st.sampled_from(["mcp:read", "mcp:write", "openid", "x", '"', "\\", "\t", "\u00e9"]), max_size=9).map(
        " ".join
    )
)


@pytest.mark.requirement("attack-16")
@MANY
@hypothesis.given(text=_SCOPES)
def test_scope_is_split_at_blanks_into_distinct_tokens_or_refused(text: str) -> None:
    words = [word for word in text.split(" ") if word]
    wellformed = all(_TOKEN.fullmatch(word) for word in words)
    try:
        found = scopes.parse(text)
    except InvalidScopeError:
        assert not wellformed
        return
    assert wellformed
    assert list(found) == sorted(set(words), key=words.index)
    assert scopes.parse(" ".join(found)) == found


@pytest.mark.requirement("attack-16")
def test_scope_has_a_limit() -> None:
    longest = "x" * scopes.MAX_LENGTH
    assert scopes.parse(longest) == (longest,)
    with pytest.raises(InvalidScopeError):
        scopes.parse(longest + "x")


@pytest.mark.requirement("attack-66")
@MANY
@hypothesis.given(held=st.sets(st.sampled_from(["mcp:read", "mcp:write", "mcp:admin", "openid", "x"])))
def test_a_higher_scope_includes_the_lower_ones_and_nothing_else(held: set[str]) -> None:
    expected = set(held)
    if "mcp:admin" in held:
        expected |= {"mcp:write", "mcp:read"}
    if "mcp:write" in held:
        expected |= {"mcp:read"}
    assert scopes.implied(held) == expected
    assert set(scopes.missing(["mcp:read", "mcp:admin", "x"], held)) == {"mcp:read", "mcp:admin", "x"} - expected
