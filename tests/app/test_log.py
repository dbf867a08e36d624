"""The log: at debug level each refusal with its check and reason, at no level a secret, code, token or verifier."""

import json
import re
from base64 import b64encode
from pathlib import Path

import httpx2
import pytest

from tests.support.browser import Browser, query_of
from tests.support.oauth import CALLBACK, DEFAULT_CLIENT, Pkce
from tests.support.program import SERVER, Program, environment, free_port, program

PASSWORD = "canary-password-of-the-owner"


async def flow(url: str, secrets: dict[str, str]) -> None:
    """Register, sign in, consent, redeem, refresh, call, revoke, and fail at each; notes every secret on the way."""
    browser = Browser(url, "admin", PASSWORD)
    async with httpx2.AsyncClient(base_url=url) as http:
        body = {"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "client_secret_basic"}
        registered = (await http.post("/oauth/register", json=body)).json()
        secrets["client secret"] = registered["client_secret"]
        auth = (registered["client_id"], registered["client_secret"])
        secrets["Basic credentials"] = b64encode(":".join(auth).encode()).decode()
        pkce = Pkce.new()
        secrets["verifier"] = pkce.verifier
        asked = {
            "client_id": auth[0],
            "response_type": "code",
            "redirect_uri": CALLBACK,
            "code_challenge": pkce.challenge,
            "code_challenge_method": "S256",
            "scope": "openid mcp:read",
            "state": "canary-state",
            "nonce": "canary-nonce",
        }
        start = str(httpx2.URL(f"{url}/oauth/authorize", params=asked))
        login = await browser.http.get(start)
        wrong = await browser.submit(login, {"username": "admin", "password": "canary-wrong-password"})
        assert wrong.status_code == 400
        secrets["code"] = query_of(await browser.authorize(start))["code"]
        for cookie in browser.http.cookies.jar:
            secrets[f"cookie {cookie.name} of {cookie.path}"] = str(cookie.value)
        form = {"grant_type": "authorization_code", "code": secrets["code"], "redirect_uri": CALLBACK}
        for wrong_form, wrong_auth in (
            ({**form, "code_verifier": pkce.verifier}, (auth[0], "canary-wrong-secret")),
            ({**form, "code_verifier": pkce.verifier, "redirect_uri": CALLBACK + "/x"}, auth),
            ({**form, "code_verifier": "canary-short-verifier"}, auth),
            ({**form, "code": "canary-unknown-code", "code_verifier": pkce.verifier}, auth),
        ):
            assert (await http.post("/oauth/token", data=wrong_form, auth=wrong_auth)).status_code in (400, 401)
        tokens = (await http.post("/oauth/token", data={**form, "code_verifier": pkce.verifier}, auth=auth)).json()
        secrets["refresh token"] = tokens["refresh_token"]
        secrets["ID token"] = tokens["id_token"].rpartition(".")[2]
        refresh = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
        again = (await http.post("/oauth/token", data=refresh, auth=auth)).json()
        secrets["second refresh token"] = again["refresh_token"]
        for number, token in enumerate((tokens["access_token"], again["access_token"])):
            secrets[f"access token {number}"] = token.rpartition(".")[2]
            secrets[f"access token {number}, payload"] = token.split(".")[1]
        bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
        assert (await http.get("/oauth/test", headers=bearer)).status_code == 200
        changed = {"Authorization": f"Bearer {tokens['access_token'][:-6]}AAAAAA"}
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        for path in ("/oauth/test", "/oauth/userinfo"):
            assert (await http.get(path, headers=changed)).status_code == 401
        assert (await http.post("/mcp", headers=changed, json=message)).status_code == 401
        assert (await http.post("/oauth/revoke", data={"token": again["refresh_token"]}, auth=auth)).status_code == 200
        assert (await http.get("/oauth/test", headers=bearer)).status_code == 401
        assert (await http.post("/oauth/token", data=refresh, auth=auth)).status_code == 400
        query = {"access_token": secrets["access token 0"], "code": secrets["code"]}
        assert (await http.post("/oauth/token", params=query)).status_code == 400
        assert (await http.get("/nowhere", params=query)).status_code == 404
    await browser.close()


async def refusals(started: Program, url: str) -> dict[str, str]:
    """Send requests that are refused; by name what must be logged for each."""
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "x", "arguments": {}}}
    authorize = f"/oauth/authorize?response_type=code&client_id={DEFAULT_CLIENT}"
    async with httpx2.AsyncClient(base_url=url) as http:
        for path in (
            "/oauth/authorize?client_id=unknown",
            f"{authorize}&redirect_uri=https://evil.example/cb",
            f"{authorize}&redirect_uri={CALLBACK}&state=s",
        ):
            assert (await http.get(path)).status_code in (302, 400)
        assert (await http.get("/oauth/token")).status_code == 405
        assert (await http.post("/oauth/token", data={"grant_type": "password"})).status_code in (400, 401)
        assert (await http.post("/oauth/register", json={"redirect_uris": ["http://evil.example/"]})).status_code == 400
        for path in ("/oauth/userinfo", "/oauth/test"):
            assert (await http.get(path)).status_code == 401
        assert (await http.post("/mcp", json=message)).status_code == 401
        assert (await http.post("/oauth/test")).status_code == 405
        assert (await http.post("/mcp", json=message, headers={"Authorization": "Bearer a.b.c"})).status_code == 401
        assert (await http.post("/mcp", json=message, headers={"Origin": "https://evil.example"})).status_code == 403
        assert (await http.get("/oauth/test", headers={"Host": "evil.example"})).status_code == 421
        assert (await http.get("/x%0AFORGED%20LINE", headers={"Host": "evil.example"})).status_code == 421
    return {
        "GET /oauth/authorize": r"refused GET /oauth/authorize: \S+ by check \w*client\w*: .*not registered",
        "redirect URI": r"refused GET /oauth/authorize: \S+ by check \w*redirect\w*: ",
        "PKCE": r"refused GET /oauth/authorize: invalid_request by check \w*(pkce|challenge)\w*: ",
        "method": r"refused GET /oauth/token: invalid_request by check \w+: .*POST",
        "client": r"refused POST /oauth/token: \S+ by check \w+: ",
        "registration": r"refused POST /oauth/register: invalid_redirect_uri by check \w+: ",
        "bearer": r"refused POST /mcp: invalid_token by check format: ",
        "no bearer at /mcp": r"refused POST /mcp: invalid_token by check \w+: ",
        "no bearer at userinfo": r"refused GET /oauth/userinfo: invalid_token by check token: .*no access token",
        "no bearer at /oauth/test": r"refused GET /oauth/test: invalid_token by check token: .*no access token",
        "method at /oauth/test": r"refused POST /oauth/test: invalid_request by check method: .*GET",
        "origin": r"refused POST /mcp: invalid_request by check guard: .*https://evil\.example",
        "host": r"refused GET /oauth/test: invalid_request by check guard: .*evil\.example",
    }


@pytest.mark.requirement("attack-73")
async def test_no_secret_reaches_the_log_or_the_audit_at_debug_level(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://localhost:{port}"
    env = environment(tmp_path, MCP_LOG_LEVEL="debug", MCP_OAUTH_ADMIN_PASSWORD=PASSWORD)
    secrets = {"password": PASSWORD, "wrong password": "canary-wrong-password", "wrong secret": "canary-wrong-secret"}
    secrets |= {"unknown code": "canary-unknown-code", "short verifier": "canary-short-verifier"}
    async with program(*SERVER, "--port", str(port), env=env) as started:
        await started.ready(url)
        await flow(url, secrets)
        ended = await started.end()
    assert ended.err.count("refused") >= 8  # the log did speak
    for name, secret in secrets.items():
        assert len(secret) > 12, name
        assert secret not in ended.err + ended.out, name
    assert "canary-nonce" not in ended.err


async def test_debug_names_for_each_refused_request_the_check_and_the_reason(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://localhost:{port}"
    async with program(*SERVER, "--port", str(port), env=environment(tmp_path, MCP_LOG_LEVEL="debug")) as started:
        await started.ready(url)
        wanted = await refusals(started, url)
        ended = await started.end()
    missing = {name: pattern for name, pattern in wanted.items() if not re.search(pattern, ended.err)}
    assert missing == {}, ended.err
    assert len(re.findall("refused", ended.err)) >= 10
    assert not [line for line in ended.lines if line.startswith("FORGED")]
    assert "refused GET /…: invalid_request by check guard" in ended.err


async def test_info_says_nothing_about_refused_requests(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://localhost:{port}"
    async with program(*SERVER, "--port", str(port), env=environment(tmp_path)) as started:
        await started.ready(url)
        await refusals(started, url)
        ended = await started.end()
    assert "refused" not in ended.err
    assert "evil" not in ended.err
    assert json.dumps(ended.out) == '""'
