"""Scopes, the table of what each operation needs, challenges and where the server is."""

from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from oauth_server.core.access import ANONYMOUS, NOBODY, OPERATOR, RESOURCES, TOOLS, Principal, operation_scope, visible
from oauth_server.core.challenges import challenge, metadata_url, userinfo_challenge
from oauth_server.core.deployment import deploy
from oauth_server.core.documents import authorization_server, openid_configuration, protected_resource
from oauth_server.core.errors import InsufficientScopeError, InvalidScopeError, InvalidTokenError
from oauth_server.core.scopes import ADMIN, IDENTITY, READ, WRITE, implied, missing, parse
from oauth_server.core.settings import load

LOCAL = deploy(load({}), "127.0.0.1", 8000)
CLOSED = deploy(load({"MCP_OAUTH_DYNAMIC_REGISTRATION": "false"}), "127.0.0.1", 8000)
PUBLIC = deploy(load({"MCP_OAUTH_ISSUER": "https://mcp.example"}), "0.0.0.0", 8000)  # noqa: S104


@pytest.mark.requirement("attack-16")
@pytest.mark.parametrize(
    ("text", "words"),
    [("", ()), ("  a  b ", ("a", "b")), ("a b a", ("a", "b")), ("!#~[]", ("!#~[]",)), ("a" * 2048, ("a" * 2048,))],
)
def test_a_scope_parameter_is_a_set_of_words_in_order(text: str, words: tuple[str, ...]) -> None:
    assert parse(text) == words


@pytest.mark.requirement("attack-16")
@pytest.mark.parametrize("text", ['a"b', "a\\b", "a\tb", "a\nb", "a\x00", "ä", "a\u00a0b", "\x7f", "a" * 2049])
def test_a_malformed_scope_parameter_is_refused(text: str) -> None:
    with pytest.raises(InvalidScopeError):
        parse(text)


@pytest.mark.requirement("RS-19", "attack-66")
def test_admin_includes_write_includes_read_and_nothing_else() -> None:
    assert implied([ADMIN]) == {ADMIN, WRITE, READ}
    assert implied([WRITE]) == {WRITE, READ}
    assert implied([READ, "openid", "x"]) == {READ, "openid", "x"}
    assert missing((READ, WRITE, ADMIN), (WRITE,)) == (ADMIN,)
    assert missing((READ,), ("mcp:", "mcp:readx", "MCP:READ", "openid")) == (READ,)


@hypothesis.given(st.frozensets(st.sampled_from([READ, WRITE, ADMIN, "openid", "x"])))
def test_what_is_implied_grows_and_is_complete(held: frozenset[str]) -> None:
    once = implied(held)
    assert held <= once == implied(once)
    assert missing(held, held) == ()


@pytest.mark.requirement("RS-15", "RS-16", "attack-66")
@pytest.mark.parametrize(
    ("method", "params", "open_scope", "closed_scope"),
    [
        ("tools/call", {"name": "mcp_oauth_validate_token"}, READ, READ),
        ("tools/call", {"name": "mcp_oauth_register_client"}, WRITE, ADMIN),
        ("tools/call", {"name": "mcp_oauth_check_compliance"}, READ, READ),
        ("tools/call", {"name": "mcp_oauth_check_compliance", "arguments": {"server_url": ""}}, READ, READ),
        *(
            ("tools/call", {"name": "mcp_oauth_check_compliance", "arguments": {"server_url": url}}, scope, scope)
            for url, scope in [
                ("http://localhost:8000", READ),
                ("http://localhost:8000/mcp", READ),
                ("http://127.0.0.1:8000/", READ),
                ("http://localhost:8001", WRITE),
                ("http://localhost:8000.evil.com", WRITE),
                ("http://localhost:8000@evil.com", WRITE),
                ("http://localhost:8000/mcp/../x", WRITE),
                (7, WRITE),
                (["http://localhost:8000"], WRITE),
            ]
        ),
        ("tools/call", {"name": "mcp_oauth_check_compliance", "arguments": ["server_url"]}, READ, READ),
        *(
            ("tools/call", {"name": "mcp_oauth_check_compliance", "arguments": arguments}, scope, scope)
            for arguments, scope in [
                ({"depth": "passive"}, READ),
                ({"depth": "active"}, ADMIN),
                ({"depth": "adversarial", "server_url": "http://localhost:8000/mcp"}, ADMIN),
                ({"depth": None}, ADMIN),
                ({"depth": ["passive"]}, ADMIN),
                ({"depth": "active", "server_url": "https://other.example"}, WRITE),
            ]
        ),
        ("tools/call", {"name": "unknown"}, None, None),
        ("tools/call", {}, None, None),
        ("tools/list", {"name": "mcp_oauth_register_client"}, None, None),
        ("resources/read", {"uri": "oauth://me"}, READ, READ),
        ("resources/read", {"uri": "oauth://audit"}, ADMIN, ADMIN),
        ("resources/read", {"uri": "oauth://clients"}, ADMIN, ADMIN),
        ("resources/read", {"uri": "oauth://clients/c1"}, ADMIN, ADMIN),
        ("resources/read", {"uri": "oauth://clients/../me"}, ADMIN, ADMIN),
        ("resources/subscribe", {"uri": "oauth://grants"}, ADMIN, ADMIN),
        ("resources/read", {"uri": "oauth://compliance"}, READ, READ),
        ("resources/read", {"uri": "ui://oauth/compliance.html"}, READ, READ),
        ("resources/read", {"uri": "oauth://unknown"}, None, None),
        ("prompts/get", {"name": "debug_oauth"}, None, None),
        ("resources/read", {"uri": "oauth://clientsx"}, None, None),
        ("resources/read", {}, None, None),
    ],
)
def test_the_scope_each_operation_needs(
    method: str, params: dict[str, Any], open_scope: str | None, closed_scope: str | None
) -> None:
    assert operation_scope(LOCAL, method, params) == open_scope
    assert operation_scope(CLOSED, method, params) == closed_scope


def test_the_table_names_six_tools_and_no_identity_scope() -> None:
    assert len(TOOLS) == 6
    assert all(name.startswith("mcp_oauth_") for name in TOOLS)
    assert {*TOOLS.values(), *RESOURCES.values()} == {READ, WRITE, ADMIN}


def test_who_may_do_what() -> None:
    OPERATOR.require(READ, WRITE, ADMIN)
    ANONYMOUS.require(READ)
    Principal("s", "c", frozenset((WRITE,))).require(READ, WRITE)
    for principal, scope in ((ANONYMOUS, WRITE), (NOBODY, READ), (Principal("s", "c", frozenset((READ,))), WRITE)):
        with pytest.raises(InsufficientScopeError) as caught:
            principal.require(scope)
        assert caught.value.required == (scope,)
    assert [p.authenticated for p in (OPERATOR, ANONYMOUS, NOBODY, Principal("s"))] == [True, False, False, True]


def test_lists_show_what_the_ceiling_allows() -> None:
    assert visible(ADMIN, None)
    assert visible(None, frozenset())
    assert visible(READ, frozenset((WRITE, READ)))
    assert not visible(ADMIN, frozenset((WRITE, READ)))


@pytest.mark.requirement("RS-04", "RS-06", "RS-20", "attack-61", "regression-6")
def test_the_challenge_without_a_token_names_metadata_and_scope_and_no_error() -> None:
    assert challenge(LOCAL, "/mcp", "localhost:8000") == (
        'Bearer resource_metadata="http://localhost:8000/.well-known/oauth-protected-resource/mcp", '
        'scope="mcp:read mcp:write"'
    )
    where = "http://localhost:8000/.well-known/oauth-protected-resource"
    assert challenge(LOCAL, "/oauth/test", "localhost:8000") == (
        f'Bearer resource_metadata="{where}", scope="mcp:read", resource="{where}"'
    )


@pytest.mark.requirement("RS-15", "RS-16", "RS-17")
def test_the_challenge_for_a_missing_scope_names_what_this_operation_needs() -> None:
    found = challenge(LOCAL, "/mcp", "localhost:8000", InsufficientScopeError((ADMIN,)))
    assert found.startswith('Bearer error="insufficient_scope", error_description="')
    assert found.endswith('oauth-protected-resource/mcp", scope="mcp:admin"')
    assert 'error="invalid_token"' in challenge(LOCAL, "/mcp", "localhost:8000", InvalidTokenError("expiry", "secret"))
    assert "secret" not in challenge(LOCAL, "/mcp", "localhost:8000", InvalidTokenError("expiry", "secret"))


@pytest.mark.requirement("attack-67")
@pytest.mark.parametrize(
    ("deployment", "host", "shown"),
    [
        (LOCAL, "127.0.0.1:8000", "http://127.0.0.1:8000"),
        (LOCAL, "LOCALHOST:8000", "http://localhost:8000"),
        (LOCAL, "127.0.0.1:9", "http://localhost:8000"),
        (LOCAL, "evil.example", "http://localhost:8000"),
        (LOCAL, 'x", evil="', "http://localhost:8000"),
        (PUBLIC, "localhost:8000", "https://mcp.example"),
    ],
)
def test_only_the_loopback_spelling_follows_the_host(deployment: Any, host: str, shown: str) -> None:
    wanted = f'resource_metadata="{shown}/.well-known/oauth-protected-resource/mcp"'
    assert wanted in challenge(deployment, "/mcp", host)


def test_metadata_urls_have_the_path_inserted() -> None:
    assert metadata_url("https://a.example") == "https://a.example/.well-known/oauth-protected-resource"
    assert metadata_url("https://a.example/x/mcp") == "https://a.example/.well-known/oauth-protected-resource/x/mcp"
    assert userinfo_challenge() == 'Bearer scope="openid"'


@pytest.mark.requirement("AS-24", "AS-25", "RS-03", "RS-20")
def test_documents_say_the_issuer_and_what_is_switched_on() -> None:
    document = authorization_server(PUBLIC)
    assert document["issuer"] == "https://mcp.example"
    assert document["authorization_response_iss_parameter_supported"] is True
    assert document["scopes_supported"] == [READ, WRITE, ADMIN, *IDENTITY]
    assert "registration_endpoint" in document
    assert "registration_endpoint" not in authorization_server(CLOSED)
    assert set(document) < set(openid_configuration(PUBLIC))
    resource = protected_resource(PUBLIC, "https://mcp.example/mcp")
    assert resource["authorization_servers"] == ["https://mcp.example"]
    assert not {"offline_access", "openid"} & set(resource["scopes_supported"])


def test_a_deployment_knows_its_own_names() -> None:
    assert (LOCAL.issuer, LOCAL.endpoint, LOCAL.secure, LOCAL.loopback) == (
        "http://localhost:8000",
        "http://localhost:8000/mcp",
        False,
        True,
    )
    assert (PUBLIC.secure, PUBLIC.loopback, PUBLIC.host_names) == (True, False, {"mcp.example"})
    assert LOCAL.origins == LOCAL.own_origins
    assert LOCAL.own_origins == {"http://localhost:8000", "http://127.0.0.1:8000", "http://[::1]:8000"}
    assert LOCAL.is_own("http://127.0.0.1:8000/mcp")
    assert LOCAL.is_own("http://[::1]:8000/mcp")
    assert not LOCAL.is_own("http://localhost:8000/oauth")
    recorded = deploy(load({}), "127.0.0.1", 8000, "http://localhost:9000")
    assert (recorded.issuer, recorded.endpoint) == ("http://localhost:9000", "http://localhost:9000/mcp")
    given = deploy(load({"MCP_OAUTH_ISSUER": "https://a.example"}), "127.0.0.1", 8000, "http://localhost:9000")
    assert given.issuer == "https://a.example"
