"""Redirect URIs: which may be registered, and which of the registered a request may name."""

from urllib.parse import urlencode

import hypothesis
import pytest
from hypothesis import strategies as st

from oauth_server.core.errors import InvalidRedirectUriError
from oauth_server.core.redirect_uris import (
    KNOWN_PRIVATE_USE,
    check_registrable,
    host_of,
    is_loopback,
    registered,
    same_but_port,
    with_parameters,
)

NATIVE = ["https://a.example/cb", "https://a.example", "https://a.example:8443/cb?x=1", "http://localhost/cb"]
NATIVE += [
    "https://xn--mnchen-3ya.example/cb",
    "https://1.2.3.4:443/cb",
    "https://[2001:db8::1]/cb",
    "https://a_b.example",
]
NATIVE += ["http://127.0.0.1:33418", "http://[::1]:9/cb", *KNOWN_PRIVATE_USE]


# What a browser reads as another host than the one that is written, or shows in another spelling.
NOT_NORMAL = [
    "A.example",
    "a.EXAMPLE",
    "a.example.",
    "a%2Eexample",
    "%61.example",
    "a%2eexample",
    "a\u3002example",
    "a\uff0eexample",
]
NOT_NORMAL += ["127.1", "0x7f.1", "0x7f000001", "0X7F.0.0.1", "2130706433", "017700000001", "0177.0.0.1", "127.0.0.01"]
NOT_NORMAL += [
    "1.2.3.4.",
    "1.2.3",
    "1.2.3.4.5",
    "a.1",
    "a.0x1",
    "[0:0:0:0:0:0:0:1]",
    "[::0001]",
    "[::1%25lo]",
    "[::1.2.3.4]",
]
NOT_NORMAL += [
    "[::ffff:1.2.3.4]",
    "[::ffff:102:304]",
    "[2001:DB8::1]",
    "[v1.a]",
    "LOCALHOST",
    "localhost.",
    "loc%61lhost",
]
NOT_NORMAL += [
    "XN--MNCHEN-3YA.example",
    "xn--a.example",
    "xn--",
    "xn--a-.example",
    "xn--mnchen-3yA.example",
    "xn--99999999",
]
NOT_NORMAL += [
    "xn--Mnchen-3ya.example",
    "xn--a.example",
    "a..example",
    ".example",
    "a\xad.example",
    "a.example:",
    "a.example:0",
]
NOT_NORMAL += ["a.example:0443", "a.example:+443", "a.example:65536", "a.example:\u0661"]


@pytest.mark.parametrize("uri", NATIVE)
def test_what_a_native_client_may_register(uri: str) -> None:
    check_registrable(uri, native=True, private_use=())


@pytest.mark.requirement("attack-4", "attack-52", "AS-30")
@pytest.mark.parametrize(
    "uri",
    [
        "",
        None,
        7,
        ["https://a.example"],
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "vbscript:x",
        "blob:https://a.example/x",
        "about:blank",
        "com.example.app:/cb",
        "cursor://anysphere.cursor-mcp/oauth/callback/",
        "cursor://evil/oauth/callback",
        "web+localhost://x",
        "http://a.example/cb",
        "http://localhost.evil.com/cb",
        "http://127.0.0.1.nip.io/cb",
        "http://127.0.0.1@evil.com/cb",
        "http://localhost@evil.com/cb",
        "http://127.0.0.2/cb",
        "http://0.0.0.0/cb",
        "http://[::ffff:127.0.0.1]/cb",
        "http://LOCALHOST/cb",
        "https://me:secret@a.example/cb",
        "https://*.example/cb",
        "https://a.example/cb#",
        "https://a.example/cb#x",
        "https://a.example/../cb",
        "https://a.example/a/./b",
        "https://a.example/%2e%2e/cb",
        "https://a.example/x/%2E.",
        "https://a.example/x%2f..%2fcb",
        "https://a.example\\@evil.com/cb",
        "https://a.example/c b",
        "https://a.example/cb\n",
        "https://a.example/\x00",
        "https://münchen.example/cb",
        "https:///cb",
        "https:a.example/cb",
        "https:/a.example/cb",
        "HTTPS://a.example/cb",
        "//a.example/cb",
        "/cb",
        "https://a.example:x/cb",
        "https://a.example:99999/cb",
        "https://[::1/cb",
        "https://a.example/" + "x" * 2048,
        *(f"{scheme}://{host}/cb" for scheme in ("http", "https") for host in NOT_NORMAL),
    ],
)
def test_what_nobody_may_register(uri: object) -> None:
    with pytest.raises(InvalidRedirectUriError) as caught:
        check_registrable(uri, native=True, private_use=())
    assert caught.value.error == "invalid_redirect_uri"


@pytest.mark.requirement("attack-52")
@pytest.mark.parametrize("uri", ["http://localhost/cb", "http://127.0.0.1:80/cb", KNOWN_PRIVATE_USE[0], "com.a:/cb"])
def test_what_leads_to_the_users_own_computer_is_for_native_clients_alone(uri: str) -> None:
    check_registrable(uri, native=True, private_use=("com.a:/cb",))
    with pytest.raises(InvalidRedirectUriError, match="web"):
        check_registrable(uri, native=False, private_use=("com.a:/cb",))
    check_registrable("https://a.example/cb", native=False, private_use=())


@pytest.mark.requirement("AS-31", "attack-3")
@pytest.mark.parametrize(
    ("known", "asked", "same"),
    [
        ("https://a.example/cb", "https://a.example/cb", True),
        ("http://localhost/cb", "http://localhost:3000/cb", True),
        ("http://localhost:3000/cb", "http://localhost:4000/cb", True),
        ("http://127.0.0.1/cb", "http://127.0.0.1:65535/cb", True),
        ("http://[::1]/cb?x", "http://[::1]:1/cb?x", True),
        ("http://localhost", "http://localhost:3000/", True),
        ("cursor://a/b", "cursor://a/b", True),
        *(
            ("https://a.example/cb", f"https://a.example/cb{tail}", False)
            for tail in ("/", "?", "?x=1", "/x", "#", "%20")
        ),
        ("https://a.example/cb", "https://a.example:443/cb", False),
        ("https://a.example/cb", "https://A.example/cb", False),
        ("https://a.example/cb", "https://a.example/CB", False),
        ("https://a.example/cb", "https://a.example//cb", False),
        ("https://a.example/cb", "https://a.example/x/../cb", False),
        ("https://a.example/cb", "https://a.example/%63b", False),
        ("https://a.example/cb", "http://a.example/cb", False),
        ("https://a.example/cb", "https://a.example:8443/cb", False),
        ("http://localhost/cb", "http://127.0.0.1/cb", False),
        ("http://localhost/cb", "http://localhost:3000/cb/", False),
        ("http://localhost/cb", "http://localhost:3000/cb?x", False),
        ("http://localhost/cb", "https://localhost:3000/cb", False),
        ("http://localhost/cb", "http://localhost.evil.com/cb", False),
        ("http://localhost/cb", "http://localhost:3000@evil.com/cb", False),
        ("http://localhost/cb", "http://localhost:/cb", False),
        ("http://localhost/cb", "http://localhost:123456/cb", False),
        ("http://localhost/cb", "http://localhost:٣/cb", False),
        ("http://localhost/cb", "http://localhost:3000/cb\n", False),
        ("http://localhost/cb", "http://user@localhost:3000/cb", False),
    ],
)
def test_a_request_may_name_what_is_registered_and_on_loopback_another_port(known: str, asked: str, same: bool) -> None:
    assert registered(asked, ["https://other.example", known]) is same
    assert not registered(asked, [])


@hypothesis.given(st.text(max_size=60))
def test_what_is_loopback_stays_on_this_computer(tail: str) -> None:
    for start in ("http://localhost", "http://127.0.0.1", "http://[::1]"):
        uri = start + tail
        if is_loopback(uri):
            assert tail == "" or tail[0] in "/?:"
            assert "@" not in tail.partition("/")[0].partition("?")[0]
            assert same_but_port(same_but_port(uri)) == same_but_port(uri)


@pytest.mark.requirement("AS-17")
@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("https://a.example:8443/cb", "a.example"),
        ("http://[::1]:9/cb", "::1"),
        ("cursor://anysphere.cursor-mcp/oauth/callback", "cursor://anysphere.cursor-mcp"),
        ("com.example.app:/cb", "com.example.app:"),
    ],
)
def test_people_are_shown_where_a_redirect_leads(uri: str, shown: str) -> None:
    assert host_of(uri) == shown


@pytest.mark.requirement("attack-12")
def test_parameters_are_appended_encoded_and_the_uris_own_query_is_kept() -> None:
    answered = with_parameters("https://a.example/cb?x=%20y", [("code", "c"), ("state", "a\r\nSet-Cookie: b&c=ä")])
    assert answered == "https://a.example/cb?x=%20y&code=c&state=a%0D%0ASet-Cookie%3A+b%26c%3D%C3%A4"
    assert with_parameters("http://localhost:1", [("a", "b")]) == "http://localhost:1?a=b"


@hypothesis.given(st.lists(st.tuples(st.text(max_size=9), st.text(max_size=9)), max_size=5))
@hypothesis.example([("a~-._", "1+2 &=%/:~")])
def test_parameters_are_encoded_as_a_form(parameters: list[tuple[str, str]]) -> None:
    assert with_parameters("https://a.example/cb", parameters) == f"https://a.example/cb?{urlencode(parameters)}"
