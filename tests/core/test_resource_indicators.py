"""Resource indicators: the spellings that are the same resource, and the tricks that are not (RFC 8707)."""

import string
from urllib.parse import urlsplit

import hypothesis
import pytest
from hypothesis import strategies as st

from oauth_server.core.errors import InvalidTargetError
from oauth_server.core.resource_indicators import Resources, loopback_spellings, normalise

LOCAL = Resources(["http://localhost:8000"])
PUBLIC = Resources(["https://mcp.example", "https://files.example/api", "https://b.example:8443"])
AT_MCP = Resources(["https://mcp.example/mcp"])


@pytest.mark.requirement("RS-21")
@pytest.mark.parametrize(
    ("resources", "spelling", "canonical"),
    [
        (LOCAL, "http://localhost:8000", "http://localhost:8000"),
        (LOCAL, "http://localhost:8000/", "http://localhost:8000"),
        (LOCAL, "HTTP://LocalHost:8000", "http://localhost:8000"),
        (LOCAL, "http://localhost:8000/mcp", "http://localhost:8000/mcp"),
        (LOCAL, "http://127.0.0.1:8000", "http://localhost:8000"),
        (LOCAL, "http://127.0.0.1:8000/mcp", "http://localhost:8000/mcp"),
        (LOCAL, "http://[::1]:8000", "http://localhost:8000"),
        (LOCAL, "http://[::1]:8000/mcp", "http://localhost:8000/mcp"),
        (PUBLIC, "https://MCP.example", "https://mcp.example"),
        (PUBLIC, "https://mcp.example:443/mcp", "https://mcp.example/mcp"),
        (PUBLIC, "https://files.example/api", "https://files.example/api"),
        (PUBLIC, "https://b.example:8443/", "https://b.example:8443"),
        (AT_MCP, "https://mcp.example/mcp", "https://mcp.example/mcp"),
        (Resources(["http://[::1]:8000"]), "http://[::1]:8000/mcp", "http://[::1]:8000/mcp"),
        (Resources(["http://[::1]:8000"]), "http://localhost:8000/mcp", "http://[::1]:8000/mcp"),
        (Resources(["http://127.0.0.1:8000"]), "http://[::1]:8000/", "http://127.0.0.1:8000"),
    ],
)
def test_one_resource_has_these_spellings(resources: Resources, spelling: str, canonical: str) -> None:
    assert resources.canonical(spelling) == canonical
    assert resources.requested([spelling, canonical]) == (canonical,)


@pytest.mark.requirement("attack-14", "regression-8", "RS-10")
@pytest.mark.parametrize(
    ("resources", "uri"),
    [
        *(
            (LOCAL, uri)
            for uri in (
                "http://localhost:8000.evil.com",
                "http://localhost:80001",
                "http://localhost:800",
                "http://localhost",
                "https://localhost:8000",
                "http://localhost:8000@evil.com",
                "http://localhost:8000/mcp-evil",
                "http://localhost:8000/mcp/",
                "http://localhost:8000/MCP",
                "http://localhost:8000/mcp/../mcp",
                "http://localhost:8000//",
                "http://localhost:8000/%6dcp",
                "http://localhost:8000?x",
                "http://localhost:8000/?x",
                "http://localhost:8000/mcp?x=1",
                "http://localhost:8000#",
                "http://localhost:8000/mcp#f",
                "http://localhost.:8000",
                "http://127.0.0.2:8000",
                "http://127.1:8000",
                "http://[::2]:8000",
                "http://[0:0:0:0:0:0:0:1]:8000",
                "http:localhost:8000",
                "//localhost:8000",
                "localhost:8000",
                "/mcp",
                "",
                " http://localhost:8000",
                "http://localhost:8000\n",
                "http://localhost:8000\\mcp",
                "http:\\\\localhost:8000",
                "http://localhost\t:8000",
                "http://ⓛocalhost:8000",
                "http://localhost:\uff18000",
                "http://localhost:99999",
                "http://localhost:x",
                "ftp://localhost:8000",
                "javascript://localhost:8000",
                "http://[localhost]:8000",
                "http://[::1",
            )
        ),
        (PUBLIC, "https://mcp.example.evil.com"),
        (PUBLIC, "https://mcp.example/"[:-1] + ".evil.com/"),
        (PUBLIC, "http://mcp.example"),
        (PUBLIC, "https://files.example"),
        (PUBLIC, "https://files.example/mcp"),
        (PUBLIC, "https://files.example/api/mcp"),
        (PUBLIC, "https://files.example/apis"),
        (AT_MCP, "https://mcp.example"),
        (AT_MCP, "https://mcp.example/mcp/mcp"),
    ],
)
def test_what_only_looks_like_ours_is_another_resource(resources: Resources, uri: str) -> None:
    assert resources.canonical(uri) is None
    with pytest.raises(InvalidTargetError):
        resources.requested([resources.root, uri])


@pytest.mark.requirement("attack-15")
def test_one_foreign_resource_among_ours_refuses_all() -> None:
    assert PUBLIC.requested(["https://mcp.example/", "https://files.example/api"]) == (
        "https://mcp.example",
        "https://files.example/api",
    )
    with pytest.raises(InvalidTargetError) as caught:
        PUBLIC.requested(["https://mcp.example", "https://evil.example"])
    assert caught.value.error == "invalid_target"
    assert PUBLIC.requested([]) == ()


def test_the_names_are_the_resource_its_endpoint_and_the_others() -> None:
    assert PUBLIC.names == (
        "https://mcp.example",
        "https://mcp.example/mcp",
        "https://files.example/api",
        "https://b.example:8443",
    )
    assert AT_MCP.names == ("https://mcp.example/mcp",)


def test_only_loopback_names_have_other_spellings() -> None:
    names = ("localhost", "127.0.0.1", "[::1]")
    for name in names:
        found = loopback_spellings(f"http://{name}:8000/localhost")
        assert found[0] == f"http://{name}:8000/localhost"
        assert set(found) == {f"http://{other}:8000/localhost" for other in names}
    for uri in ("https://mcp.example", "http://127.0.0.2:8000", "http://[::2]:8000", "http://localhost.evil:8000"):
        assert loopback_spellings(uri) == (uri,)


HOSTS = st.sampled_from(
    ["localhost", "LOCALHOST", "127.0.0.1", "mcp.example", "evil.example", "[::1]", "localhost.evil"]
)
URIS = st.builds(
    "{}{}{}{}{}".format,
    st.sampled_from(["http://", "https://", "HTTP://", "http:", "//", "ftp://", "http://a@", ""]),
    HOSTS,
    st.sampled_from(["", ":", ":8000", ":80", ":443", ":08000", ":x", ":8000.evil.com"]),
    st.one_of(st.sampled_from(["", "/", "/mcp", "/mcp/", "//mcp", "/mcp-evil"]), st.text(string.printable, max_size=5)),
    st.sampled_from(["", "?", "?a", "#", "#a"]),
)


@pytest.mark.requirement("attack-76", "RS-10")
@hypothesis.given(st.one_of(st.text(max_size=40), URIS))
def test_canonical_is_idempotent_and_never_maps_a_foreign_origin(uri: str) -> None:
    for resources in (LOCAL, PUBLIC, AT_MCP):
        found = resources.canonical(uri)
        if found is None:
            continue
        assert found in resources.names
        assert resources.canonical(found) == found
        parts, wanted = urlsplit(uri), urlsplit(found)
        same = {"localhost", "127.0.0.1", "::1"} if wanted.hostname == "localhost" else {wanted.hostname}
        assert parts.hostname in same
        assert parts.scheme == wanted.scheme
        default = {"http": 80, "https": 443}[wanted.scheme]
        assert (parts.port or default) == (wanted.port or default)
        assert parts.path.rstrip("/") == wanted.path


@hypothesis.given(st.one_of(st.text(max_size=40), URIS))
def test_normalising_twice_changes_nothing(uri: str) -> None:
    once = normalise(uri)
    assert once is None or normalise(once) == once
