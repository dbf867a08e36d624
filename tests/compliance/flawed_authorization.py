"""The authorization endpoint of the flawed server: what it refuses, and what it sends back."""

import html
import re
import secrets
from urllib.parse import parse_qs, urlencode

from flawed_pages import PAGE, Pages
from flawed_redirects import VOUCHED, registered
from flawed_state import Client, Code, State
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

NO_STORE = {"Cache-Control": "no-store"}
REPEATED = {"resource"}
Fields = dict[str, list[str]]


class Authorization:
    """The endpoint; `flaw` is the one thing that is wrong."""

    def __init__(self, state: State, flaw: str) -> None:
        self.state, self.flaw, self.base = state, flaw, state.base
        self.pages = Pages(state, flaw)
        self.remembered: set[str] = set()

    async def authorize(self, request: Request) -> Response:
        """Judge a request, then sign in, then ask for consent."""
        loaded = request.headers.get("sec-fetch-mode", "navigate") != "navigate"
        if loaded and request.headers.get("sec-fetch-site") == "cross-site" and self.flaw != "authorize-subresource":
            return PlainTextResponse("not for pages of other sites", 403)
        if self.flaw == "login-first":
            return Response(status_code=302, headers={"Location": "/login"})
        form = parse_qs((await request.body()).decode())
        if "client_id" in form and self.flaw != "authorize-post":
            return Response(status_code=303, headers={"Location": f"/authorize?{urlencode(form, doseq=True)}"})
        if "client_id" in form:
            return PlainTextResponse("oops", 500)
        return await self.judged(request, parse_qs(request.url.query, keep_blank_values=True))

    async def judged(self, request: Request, fields: Fields) -> Response:
        """Judge a request."""
        client = self.client(fields.get("client_id", [""])[0], fields)
        refusal = self.untrusted(fields, client)
        if refusal is not None or client is None:
            return refusal or PlainTextResponse("", 400)
        if self.flaw == "state-raw" and "&" in fields.get("state", [""])[0]:
            return HTMLResponse("<p>Invalid state</p>", 400, PAGE)
        error = self.wrong_request(fields, client)
        if error.isdigit():
            return PlainTextResponse("oops", int(error))
        if error and self.stays(request, fields):
            return HTMLResponse(f"<p>{html.escape(error)}</p>", 400, PAGE)
        if error:
            return self.told(fields, error)
        unasked = self.flaw == "authorize-authenticates"
        return self.approve(fields, client) if unasked else await self.interact(request, fields, client)

    def stays(self, request: Request, fields: Fields) -> bool:
        """Say whether an error is shown on a page: before anyone has signed in, and leading off this computer."""
        hosted = fields["redirect_uri"][0].startswith("https:")
        return hosted and self.pages.csrf(request) is None and self.flaw != "authorize-error-before-login"

    async def logout(self, request: Request) -> Response:
        """Ask whether to sign out."""
        uri = request.query_params.get("post_logout_redirect_uri", "")
        if uri and (self.flaw == "logout-redirect" or request.method == "POST"):
            return Response(status_code=303, headers={"Location": uri})
        if self.flaw == "logout-scripted":
            script = "<script>document.forms[0].submit()</script>"
            unscripted = "<noscript><button>Continue</button></noscript>"
            form = f'<form method="post"><input type="hidden" name="xsrf" value="1">{unscripted}</form>'
            return HTMLResponse(f"<!doctype html>{script}{form}", 200, PAGE)
        return self.pages.page("<p>Sign out?</p>")

    def client(self, named: str, fields: Fields) -> Client | None:
        """Return the client; a flaw takes any URL for one."""
        if VOUCHED.get(self.flaw, "-") == named:
            metadata = {"redirect_uris": fields["redirect_uri"], "token_endpoint_auth_method": "none"}
            return Client(named, metadata)
        return self.state.clients.get(named)

    def untrusted(self, fields: Fields, client: Client | None) -> Response | None:
        """Refuse on a page what names no known client and redirect URI."""
        named, uris = fields.get("client_id", [""])[0], fields.get("redirect_uri", [])
        if client is not None and len(uris) < 2:
            known = client.metadata["redirect_uris"]
            if not uris and (len(known) == 1 or self.flaw == "redirect-omitted-several"):
                fields["redirect_uri"] = uris = known[:1]
            if uris and registered(uris[0], known, self.flaw):
                return None
        if (
            client is not None
            and self.flaw == "redirect-duplicate"
            and uris[:1]
            and uris[0] in client.metadata["redirect_uris"]
        ):
            fields["redirect_uri"] = uris[-1:]
            return None
        if client is None and named and self.flaw == "authorize-unknown-client":
            return Response(status_code=302, headers={"Location": f"{uris[0]}?error=x"})
        if named.startswith("https://") and self.flaw == "cimd-redirect":
            return self.told(fields, "invalid_client")
        if named == "https://client.invalid/client.json" and self.flaw == "cimd-unreachable":
            return PlainTextResponse("cannot be fetched", 502)
        shown = named if self.flaw == "authorize-escaped" else html.escape(named)
        status = 200 if self.flaw == ("authorize-unknown-status" if named else "authorize-missing-client") else 400
        headers = NO_STORE if self.flaw == "authorize-not-framed" else PAGE
        return HTMLResponse(f"<p>Unknown client {shown}</p>", status, headers)

    def wrong_request(self, fields: Fields, client: Client) -> str:
        """Return the error of a request, a status where it is one, empty when it is right."""
        if any(len(values) > 1 for name, values in fields.items() if name not in REPEATED):
            return "" if self.flaw == "authorize-duplicate" else "invalid_request"
        if "mcp_oauth_audit" in fields and self.flaw == "authorize-unknown-parameter":
            return "invalid_request"
        if fields.get("response_mode") == [""] and self.flaw == "authorize-empty-parameter":
            return "invalid_request"
        if "request" in fields:
            if self.flaw == "authorize-request-object":
                fields["redirect_uri"] = ["https://evil.invalid/callback"]
            return "request_not_supported"
        if "request_uri" in fields:
            return "500" if self.flaw == "authorize-request-uri" else "request_uri_not_supported"
        return self.wrong_response_type(fields) or self.wrong_challenge(fields, client) or self.wrong_scope(fields)

    def wrong_response_type(self, fields: Fields) -> str:
        """Return the error of the response type."""
        wanted = fields.get("response_type", [""])[0]
        if wanted == "code" or (wanted == "token" and self.flaw == "authorize-response-type"):
            return ""
        if not wanted:
            return "" if self.flaw == "authorize-no-response-type" else "invalid_request"
        return "unsupported_response_type"

    def wrong_challenge(self, fields: Fields, client: Client) -> str:
        """Return the error of the code challenge."""
        challenge, method = (fields.get(f"code_challenge{name}", [None])[0] for name in ("", "_method"))
        if challenge is None or method is None or not challenge:
            kept = "pkce-required-confidential" if client.secret else "pkce-required"
            kept = "pkce-method-missing" if challenge else "pkce-empty" if challenge == "" else kept
            return "" if self.flaw == kept else "invalid_request"
        if method != "S256":
            kept = "pkce-plain-refused" if method == "plain" else "pkce-method-unknown"
            return "" if self.flaw == kept else "invalid_request"
        if len(challenge) != 43:
            return "" if self.flaw == "pkce-challenge-short" else "invalid_request"
        odd = re.search(r"[^\w-]", challenge)
        return "invalid_request" if odd and self.flaw != "pkce-challenge-charset" else ""

    def wrong_scope(self, fields: Fields) -> str:
        """Return the error of scope and resource."""
        if self.flaw == "authorize-refuses":
            return "unauthorized_client"
        if self.state.target(fields.get("resource", []), self.flaw) is None:
            return "invalid_target"
        if "scope" not in fields and self.flaw == "authorize-scope-omitted":
            return "invalid_request"
        if self.state.scope(fields, self.flaw):
            return ""
        scope = fields.get("scope", [""])[0]
        if self.flaw == ("authorize-scope-garbage" if '"' in scope else "authorize-unknown-scope"):
            return "server_error" if '"' in scope else "500"
        return "invalid_scope"

    def told(self, fields: Fields, error: str) -> Response:
        """Tell the client an error."""
        if self.flaw == "authorize-error-to-client":
            return HTMLResponse(f"<p>{html.escape(error)}</p>", 400, PAGE)
        answer = {"error": error}
        if self.flaw == "authorize-error-characters":
            answer["error_description"] = 'The method "S999" is not supported'
        return self.back(fields, answer)

    def back(self, fields: Fields, answer: dict[str, str], status: int = 302) -> Response:
        """Send the browser back to the client."""
        kind = "error" if "error" in answer else "success"
        state = fields.get("state", [""])[0]
        if self.flaw == "authorize-state" and kind == "success":
            state = state.replace("+", " ")
        if self.flaw == "authorize-state-on-error" and kind == "error":
            state = ""
        pairs = [*answer.items(), *([("state", state)] if state else [])]
        if self.flaw != f"iss-{kind}":
            issuer = f"{self.base}/" if self.flaw == "iss-exact" else self.base
            pairs += [("iss", issuer)] * (2 if self.flaw == "iss-once" else 1)
        uri = fields["redirect_uri"][0]
        separator = "&" if "?" in uri else "?"
        if "access_token" in answer or (self.flaw == "authorize-code" and "code" in answer):
            separator = "#"
        headers = {**NO_STORE, "Location": f"{uri}{separator}{urlencode(pairs)}", "Referrer-Policy": "no-referrer"}
        absent = {"authorize-no-store": "Cache-Control", "authorize-referrer": "Referrer-Policy"}
        headers.pop(absent.get(self.flaw, ""), None)
        return Response(status_code=status, headers=headers)

    async def interact(self, request: Request, fields: Fields, client: Client) -> Response:
        """Show the page that is due, or take its form."""
        csrf = self.pages.csrf(request)
        form = {name: values[-1] for name, values in parse_qs((await request.body()).decode()).items()}
        if request.method == "POST" and "password" in form:
            return self.pages.sign_in(request, form)
        if csrf is None:
            silent = fields.get("prompt") == ["none"] and self.flaw != "authorize-prompt-none"
            return self.told(fields, "login_required") if silent else self.pages.login(request)
        if request.method == "GET":
            asked = self.pages.consent(client, fields["redirect_uri"][0], csrf)
            return self.approve(fields, client) if self.remembers(request, client) else asked
        if form.get("csrf") != csrf and self.flaw not in {"consent-csrf", "consent-csrf-samesite"}:
            return HTMLResponse("<p>This form is not yours</p>", 403, PAGE)
        if form.get("decision") != "approve":
            return self.back(fields, {"error": "access_denied"}, 303)
        self.remembered |= {client.client_id} if fields["redirect_uri"][0].startswith("https:") else set()
        return self.approve(fields, client)

    def remembers(self, request: Request, client: Client) -> bool:
        """Say whether an earlier consent to a hosted client counts for this request."""
        own = request.headers.get("sec-fetch-site") in {"none", "same-origin"}
        counts = (own and self.flaw != "consent-forgotten") or self.flaw == "consent-cross-site"
        return counts and client.client_id in self.remembered

    def approve(self, fields: Fields, client: Client) -> Response:
        """Issue a code."""
        status = {"authorize-not-307": 307, "authorize-303": 302}.get(self.flaw, 303)
        if fields.get("response_type") == ["token"]:
            return self.back(fields, {"access_token": secrets.token_urlsafe(16)}, status)
        value = secrets.token_urlsafe(16)
        self.state.codes[value] = Code(
            client,
            fields["redirect_uri"][0],
            fields.get("code_challenge", [""])[0],
            self.state.scope(fields, self.flaw),
            self.state.target(fields.get("resource", []), self.flaw) or "",
            fields.get("nonce", [""])[0],
        )
        return self.back(fields, {"code": value}, status)
