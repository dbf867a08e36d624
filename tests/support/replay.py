"""Recordings of what clients send, replayed request by request; each step says what it must be answered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import httpx2

from tests.support.browser import Browser, query_of
from tests.support.oauth import Pkce

MCP = {"Accept": "application/json, text/event-stream"}
MISSING = object()  # what a member must be that must not be there
GRANTS = ["authorization_code", "refresh_token"]
NORMAL = "mcp:read mcp:write offline_access"
NOT_REGISTERED = "The application that sent you here is not registered with this server"


@dataclass(frozen=True)
class Send:
    """A request, and its answer: the status, members of the JSON body, headers, a sentence; `keep` names members.

    Every string may hold names of the replay in braces: {origin}, {client_id}, whatever was kept.
    """

    name: str
    method: str
    path: str
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] | None = None
    json: Any = None
    has: Mapping[str, Any] = field(default_factory=dict)
    answers: Mapping[str, str] = field(default_factory=dict)
    says: str = ""
    keep: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Open:
    """An authorization request that the browser is sent to.

    The person signs in, grants what is asked and is sent back to `at` with a code, which is kept; or is shown a page
    that says `says` and leads nowhere.
    """

    name: str
    params: Mapping[str, str]
    at: str = ""
    says: str = ""


Step = Send | Open


@dataclass(frozen=True)
class Recording:
    """What a client sends, in order, and where that was seen."""

    client: str
    source: str
    steps: Sequence[Step]
    documents: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # what it publishes, by URL


class Replay:
    """One client in front of one server; what it was given on the way is kept by name."""

    def __init__(self, http: httpx2.AsyncClient, browser: Browser, origin: str) -> None:
        self._http = http
        self._browser = browser
        self._pkce = Pkce.new()
        self.known = {"origin": origin, "verifier": self._pkce.verifier}

    async def run(self, steps: Sequence[Step]) -> None:
        """Take every step; a failure names the one that failed."""
        for step in steps:
            try:
                await (self._send(step) if isinstance(step, Send) else self._open(step))
            except Exception as error:
                error.add_note(f"in the step: {step.name}")
                raise

    def _filled(self, value: Any) -> Any:
        if isinstance(value, str):
            return value.format_map(self.known)
        if isinstance(value, Mapping):
            return {name: self._filled(inner) for name, inner in value.items()}
        return [self._filled(inner) for inner in value] if isinstance(value, list) else value

    async def _send(self, step: Send) -> None:
        body = {"data": self._filled(step.form), "json": self._filled(step.json)}
        headers = self._filled(step.headers)
        reply = await self._http.request(step.method, self._filled(step.path), headers=headers, **body)
        assert reply.status_code == step.status, (reply.status_code, reply.text)
        assert self._filled(step.says) in reply.text, reply.text
        for name, value in step.answers.items():
            assert reply.headers.get(name) == self._filled(value), (name, dict(reply.headers))
        if step.has or step.keep:
            found = reply.json()
            for name, value in step.has.items():
                assert found.get(name, MISSING) == self._filled(value), (name, found)
            self.known |= {name: found[member] for name, member in step.keep.items()}

    async def _open(self, step: Open) -> None:
        params = {
            "response_type": "code",
            "code_challenge": self._pkce.challenge,
            "code_challenge_method": "S256",
            **self._filled(step.params),
        }
        url = f"{self.known['origin']}/oauth/authorize?{urlencode(params)}"
        if step.says:
            page = await self._browser.http.get(url)
            assert (page.status_code, page.headers.get("location")) == (400, None)
            assert self._filled(step.says) in page.text, page.text
            return
        back = await self._browser.authorize(url)
        assert back.partition("?")[0] == step.at, back
        answer = query_of(back)
        assert (answer.get("state"), answer["iss"]) == (params.get("state"), self.known["origin"])
        self.known["code"] = answer["code"]


def challenge(error: str = "", scope: str = "mcp:read mcp:write") -> str:
    """The WWW-Authenticate header at /mcp."""
    told = f"{error}, " if error else ""
    return f'Bearer {told}resource_metadata="{{origin}}/.well-known/oauth-protected-resource/mcp", scope="{scope}"'


def probe(version: str = "2025-11-25") -> Send:
    """What starts every flow: a request without a token."""
    return Send(
        "a first request without a token is told where to go",
        "POST",
        "/mcp",
        401,
        MCP | {"MCP-Protocol-Version": version},
        json=initialize(version),
        answers={"www-authenticate": challenge()},
    )


def initialize(version: str) -> dict[str, Any]:
    """The first message of a client that shakes hands."""
    client = {"name": "recorded", "version": "1"}
    params = {"protocolVersion": version, "capabilities": {}, "clientInfo": client}
    return {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}


def connect(name: str = "the token opens the endpoint", version: str = "2025-11-25") -> Send:
    """`initialize` with the token of the newest token response."""
    headers = MCP | {"Authorization": "Bearer {access_token}"}
    return Send(name, "POST", "/mcp", 200, headers, json=initialize(version), says='"protocolVersion":"' + version)


RESOURCE_METADATA = Send(
    "the metadata at the inserted path",
    "GET",
    "/.well-known/oauth-protected-resource/mcp",
    has={"resource": "{origin}/mcp", "authorization_servers": ["{origin}"]},
    answers={"access-control-allow-origin": "*"},
)
SERVER_METADATA = Send(
    "the authorization server's metadata, which takes client id metadata documents, and public clients with them",
    "GET",
    "/.well-known/oauth-authorization-server",
    has={
        "issuer": "{origin}",
        "registration_endpoint": "{origin}/oauth/register",
        "code_challenge_methods_supported": ["S256"],
        "client_id_metadata_document_supported": True,
    },
)
TOKENS = {"access_token": "access_token", "refresh_token": "refresh_token"}


def register(name: str, metadata: Mapping[str, Any], **has: Any) -> Send:
    """A dynamic registration that succeeds."""
    return Send(name, "POST", "/oauth/register", 201, json=metadata, has=has, keep={"client_id": "client_id"})


def redeem(name: str, redirect_uri: str, *, granted: str, **form: str) -> Send:
    """A code redeemed by a client that says who it is in the body."""
    values = {
        "grant_type": "authorization_code",
        "code": "{code}",
        "redirect_uri": redirect_uri,
        "code_verifier": "{verifier}",
        "client_id": "{client_id}",
    }
    return Send(name, "POST", "/oauth/token", form=values | form, has={"scope": granted}, keep=TOKENS)


def refresh(name: str, status: int = 200, keep: Mapping[str, str] = TOKENS, **told: Any) -> Send:
    """A refresh by a public client, for the endpoint."""
    form = {"grant_type": "refresh_token", "refresh_token": "{refresh_token}", "client_id": "{client_id}"}
    return Send(name, "POST", "/oauth/token", status, form=form | {"resource": "{origin}/mcp"}, has=told, keep=keep)


def known_by_document(client_id: str, redirect_uri: str) -> tuple[Step, ...]:
    """A client that registers nothing: its id is the URL of the document it publishes."""
    params = {"client_id": client_id, "redirect_uri": redirect_uri, "scope": NORMAL, "resource": "{origin}/mcp"}
    form = {"grant_type": "refresh_token", "refresh_token": "{refresh_token}", "client_id": client_id}
    return (
        Open("a later version names its metadata document and registers nothing", params, at=redirect_uri),
        redeem("its code is redeemed", redirect_uri, granted=NORMAL, client_id=client_id),
        connect("and its token opens the endpoint"),
        Send("it refreshes", "POST", "/oauth/token", form=form, keep=TOKENS),
    )


def unknown_client(client_id: str, redirect_uri: str) -> tuple[Open, Send]:
    """What a client hears whose id means nothing here: a page for the person, invalid_client for the program."""
    params = {"client_id": client_id, "redirect_uri": redirect_uri, "scope": NORMAL, "state": "s"}
    form = {"grant_type": "refresh_token", "refresh_token": "of another database", "client_id": client_id}
    told = {"error": "invalid_client", "error_description": "The client is unknown; register it again."}
    return (
        Open("a page tells the person what to do", params, says=NOT_REGISTERED),
        Send("and invalid_client makes the program register anew", "POST", "/oauth/token", 401, form=form, has=told),
    )
