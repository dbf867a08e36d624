"""Registration and client configuration at the flawed server (RFC 7591, RFC 7592)."""

import base64
import json
import secrets
from typing import Any
from urllib.parse import urlsplit

from flawed_state import Client, State
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

NO_STORE = {"Cache-Control": "no-store"}
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
GRANTS = {"authorization_code", "refresh_token"}
CURSOR = "cursor://anysphere.cursor-mcp/oauth/callback"
LARGEST = 64 * 1024
LONGEST_MODULUS = 700  # characters: 4096 bits have 683


class Registration:
    """The endpoints; `flaw` is the one thing that is wrong."""

    def __init__(self, state: State, flaw: str) -> None:
        self.state, self.flaw, self.base = state, flaw, state.base

    async def register(self, request: Request) -> Response:
        """Register a client (RFC 7591)."""
        if self.flaw == "register-closed":
            return JSONResponse({"error": "invalid_token"}, 401)
        if request.method == "GET":
            return JSONResponse([]) if self.flaw == "register-get" else PlainTextResponse("", 405, {"Allow": "POST"})
        body = await request.body()
        if len(body) > LARGEST and self.flaw != "register-large":
            return PlainTextResponse("too large", 413)
        try:
            metadata = json.loads(body)
        except ValueError:
            status = 500 if self.flaw == "register-malformed" else 400
            return JSONResponse({} if status == 500 else {"error": "invalid_client_metadata"}, status)
        problem = "invalid_client_metadata" if self.flaw == "register-works" else self.wrong(metadata)
        if problem and self.flaw in {"register-error", "register-crash"}:
            return PlainTextResponse("Bad", 400 if self.flaw == "register-error" else 500)
        return JSONResponse({"error": problem}, 400) if problem else self.registered(metadata)

    def wrong(self, metadata: dict[str, Any]) -> str:
        """Return the error of a registration, empty when it is right."""
        uris = metadata.get("redirect_uris") or []
        if isinstance(uris, str) and self.flaw == "register-wrong-type":
            metadata["redirect_uris"] = uris = [uris]
        if not uris and self.flaw == "register-no-redirect":
            return ""
        if not uris or not isinstance(uris, list) or any(self.wrong_redirect(uri) for uri in uris):
            return "invalid_redirect_uri"
        keys = (metadata.get("jwks") or {}).get("keys", [])
        if any(len(key.get("n", "")) > LONGEST_MODULUS for key in keys) and self.flaw != "assertion-large-keys":
            return "invalid_client_metadata"
        scripted = any(str(metadata.get(name, "")).startswith("javascript:") for name in ("client_uri", "logo_uri"))
        return "invalid_client_metadata" if scripted and self.flaw != "register-logo-script" else ""

    def wrong_redirect(self, uri: str) -> bool:
        """Say whether a redirect URI may not be registered."""
        parts = urlsplit(uri)
        kind = "fragment" if "#" in uri else parts.scheme or "relative"
        if uri == CURSOR:
            return self.flaw == "register-private-use"
        if kind == "http" and parts.hostname in LOOPBACK:
            return parts.port is None and self.flaw == "register-loopback-portless"
        if "*" in uri:
            return self.flaw != "redirect-wildcard"
        return kind != "https" and self.flaw != f"register-{kind}"

    def registered(self, metadata: dict[str, Any]) -> Response:
        """Store the client, and say what was registered."""
        right = {
            "token_endpoint_auth_method": "client_secret_basic",
            "grant_types": ["authorization_code"],
            **metadata,
            "response_types": ["code"],
        }
        if self.flaw == "register-implicit":
            right["response_types"] = metadata.get("response_types", ["code"])
        else:
            right["grant_types"] = [grant for grant in right["grant_types"] if grant in GRANTS]
        statement = right.pop("software_statement", "")
        if statement and self.flaw == "register-software-statement":
            claims = statement.split(".")[1]
            right |= json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
        client = Client(f"client-{secrets.token_urlsafe(8)}", right)
        answer: dict[str, Any] = {"client_id": client.client_id, "client_id_issued_at": 1, **right}
        client.management = secrets.token_urlsafe(16)
        answer["registration_client_uri"] = f"{self.base}/register/{client.client_id}"
        answer["registration_access_token"] = client.management
        if client.method.startswith("client_secret"):
            client.secret = secrets.token_urlsafe(16)
        if client.secret or self.flaw == "register-public-no-secret":
            answer |= {"client_secret": client.secret or "s3cr3t", "client_secret_expires_at": 0}
        self.state.clients[client.client_id] = client
        return self.told(answer)

    def told(self, answer: dict[str, Any]) -> Response:
        """Return the reply, as this server's flaw has it."""
        absent = {
            "register-echo": "grant_types",
            "register-secret-expiry": "client_secret_expires_at",
            "register-management-pair": "registration_access_token",
        }
        answer.pop(absent.get(self.flaw, ""), None)
        answer |= {
            "register-types": {"logo_uri": None},
            "register-null-secret": {"client_secret": None} if "client_secret" not in answer else {},
            "register-list-scope": {"scope": ["mcp:read"]},
        }.get(self.flaw, {})
        if self.flaw == "register-client-id":
            answer["client_id"] = 1
        headers = {} if self.flaw == "register-no-store" else NO_STORE
        return JSONResponse(answer, 200 if self.flaw == "register-status-201" else 201, headers)

    async def manage(self, request: Request) -> Response:
        """Read or delete a registration (RFC 7592)."""
        client = self.state.clients.get(request.path_params["client_id"])
        sent = request.headers.get("authorization", "")
        tokens = {f"Bearer {client.management}"} if client else set()
        if self.flaw == "register-management-foreign":
            tokens = {f"Bearer {other.management}" for other in self.state.clients.values()}
        if self.flaw == "register-management-anonymous":
            tokens.add("")
        if self.flaw == "register-management-undead" and client is None:
            return JSONResponse({"client_id": request.path_params["client_id"]})
        if client is None or sent not in tokens:
            return JSONResponse({"error": "invalid_token"}, 401)
        if request.method == "GET":
            status = 404 if self.flaw == "register-management-read" else 200
            return JSONResponse({"client_id": client.client_id, **client.metadata}, status, NO_STORE)
        del self.state.clients[client.client_id]
        self.state.deleted += 1
        return Response(status_code=200 if self.flaw == "register-management-delete" else 204)
