"""A visitor without a browser: follows redirects and fills in the forms of one authorization server, nowhere else."""

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final
from urllib.parse import quote, quote_plus, urldefrag, urlencode, urljoin

import httpx2

from oauth_server.compliance import urls
from oauth_server.compliance.forms import PAGE, Button, Form, forms_of
from oauth_server.compliance.inert import REDACTED
from oauth_server.compliance.model import Exchange
from oauth_server.compliance.visitor import Visit
from oauth_server.outbound import Answer, Outbound, OutboundError

STEPS: Final = 12
TELLING: Final = 6  # a shorter password stands in many a text by chance: it is not searched for there
_REDIRECTS: Final = {301, 302, 303, 307, 308}
_KEEPS_METHOD: Final = {307, 308}
_SUCCESS: Final = range(200, 300)
_PORTS: Final = {"http": 80, "https": 443}
_PAGES: Final = ("text/html", "application/xhtml+xml")
_FOREIGN: Final = "https://forger.invalid"
_STRICT: Final = re.compile(r";\s*samesite\s*=\s*strict\s*(?:;|$)", re.IGNORECASE)
_TOKENS: Final = re.compile("csrf|xsrf|token|nonce|authenticity", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Step:
    """A request; `gives` is what of the person is in it: `name`, `password` or nothing; `forged`: from another site."""

    method: str
    url: str
    content: bytes = b""
    gives: str = ""
    forged: bool = False


class FormVisitor:
    """Signs in with a user name and a password, and approves whatever is asked; without them it only approves.

    The password goes to the authorization server's own origin alone, by POST, once in a visit; and never again once a
    server has asked for it twice, which means that it is wrong. Nobody listens at `redirect_uri`: the redirect to it is
    caught.
    """

    redirect_uri = "http://127.0.0.1:8765/callback"
    watches = True

    def __init__(self, outbound: Outbound, username: str = "", password: str = "") -> None:
        """`outbound`: what the requests are sent with, and counted against."""
        self._outbound = outbound
        self._username = username
        self._password = password
        self._cookies = httpx2.Cookies()
        self._strict: set[str] = set()
        self._refused = False

    async def visit(self, url: str) -> Visit:
        """Open the URL; redirects and forms are followed within its origin, for at most `STEPS` requests."""
        return (await self._walk(url, forging=False))[0]

    async def forge(self, url: str) -> Visit | None:
        """As `visit`, but the consent is sent from a foreign origin, its hidden tokens changed; None without a form."""
        visit, forged = await self._walk(url, forging=True)
        return visit if forged else None

    async def follow(self, url: str, *, foreign: bool) -> Visit:
        """Open the URL and press nothing; `foreign`: by a link on another site, else as the address bar does."""
        return (await self._walk(url, forging=False, foreign=foreign, pressing=False))[0]

    async def _walk(
        self, url: str, *, forging: bool, foreign: bool = False, pressing: bool = True
    ) -> tuple[Visit, bool]:
        """Return what became of the visit, and whether a consent was forged."""
        home, given, forged = _origin(url), set[str](), False
        signed_in: int | None = None
        step: _Step | None = _Step("GET", url, forged=foreign)
        trail: list[Exchange] = []
        while step is not None and _origin(step.url) == home and len(trail) < STEPS:
            answer = await self._send(step, first=not trail)
            trail.append(Exchange(step.method, self._told(answer)))
            given.add(step.gives)
            forged = forged or step.forged
            signed_in = len(trail) - 1 if step.gives == "password" else signed_in
            location = answer.header("Location")
            if answer.status in _REDIRECTS and location:
                target = _joined(answer.url, location)
                if urldefrag(target).url.partition("?")[0] == self.redirect_uri:
                    return Visit(self._blotted(target), tuple(trail), signed_in), forged
                step = (
                    replace(step, url=target)
                    if answer.status in _KEEPS_METHOD
                    else _Step("GET", target, forged=foreign)
                )
            else:
                # What answers a forgery is where it ends: a form that is shown again would be a right one.
                step = None if forged or not pressing else self._following(answer, given, forging=forging)
        return Visit("", tuple(trail), signed_in), forged

    async def _send(self, step: _Step, *, first: bool) -> Answer:
        """Send one request as a browser would, with the cookies that belong to it."""
        fields = {
            "Accept": ", ".join(_PAGES),
            "Sec-Fetch-Dest": "document",
            "Sec-Fetch-Mode": "navigate",
            "Sec-Fetch-Site": "cross-site" if step.forged else "none" if first else "same-origin",
        }
        if step.method == "POST":
            origin = _FOREIGN if step.forged else urls.origin(step.url)
            fields |= {"Content-Type": "application/x-www-form-urlencoded", "Origin": origin}
        try:
            request = httpx2.Request(step.method, step.url, headers=fields)
            self._cookies.set_cookie_header(request)
            if "Cookie" in request.headers:
                fields["Cookie"] = self._sent_along(request.headers["Cookie"], step)
            answer = await self._outbound.request(step.method, step.url, headers=fields, content=step.content or None)
        except httpx2.InvalidURL as error:
            raise OutboundError(self._blotted(str(error))) from None
        except OutboundError as error:
            raise OutboundError(self._blotted(error.reason)) from None
        received = [("Set-Cookie", value) for value in answer.headers_of("Set-Cookie")]
        self._strict |= {value.partition("=")[0].strip() for _, value in received if _STRICT.search(value)}
        self._cookies.extract_cookies(httpx2.Response(answer.status, headers=received, request=request))
        return answer

    def _sent_along(self, cookies: str, step: _Step) -> str:
        """Return the cookies that a browser sends: with a link on another site, none of SameSite=Strict."""
        if step.method != "GET" or not step.forged:
            return cookies
        return "; ".join(pair for pair in cookies.split("; ") if pair.partition("=")[0] not in self._strict)

    def _following(self, answer: Answer, given: set[str], *, forging: bool) -> _Step | None:
        """Return the page's form as it is sent: the login, else the consent; None when it is left to a person."""
        if not (answer.header("Content-Type") or "").lower().startswith(_PAGES):
            return None
        forms = forms_of(answer.body[:PAGE].decode(errors="replace"))
        login = next((form for form in forms if form.asks_password), None)
        if login is not None:
            return self._signed_in(answer, login, "password", given)
        if any(form.passwords for form in forms) or answer.status not in _SUCCESS:
            return None  # a new password is for a person to choose, an error page for a person to read
        for form in forms:
            if form.username is not None and not form.username.value:
                return self._signed_in(answer, form, "name", given)
            button = next((button for button in form.buttons if button.approves), None)
            if button is not None:
                return _submitted(answer, _forgery(form) if forging else form, button, {}, forged=forging)
        return None

    def _signed_in(self, answer: Answer, form: Form, gives: str, given: set[str]) -> _Step | None:
        """Return the login as it is sent; None when there is nobody to sign in, or it was sent before."""
        self._refused = self._refused or gives in given
        if self._refused or not (self._username and self._password):
            return None
        answers = {form.username.name: self._username} if form.username else {}
        answers |= {item.name: self._password for item in form.passwords}
        # The Enter key presses the first button; here the first that does not say no.
        button = next((button for button in form.buttons if not button.denies), None)
        return _submitted(answer, form, button, answers, gives)

    def _told(self, answer: Answer) -> Answer:
        """Return an answer without the password, which a server may echo: the trail is evidence."""
        body = self._blotted(answer.body.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
        headers = tuple((name, self._blotted(value)) for name, value in answer.headers)
        return replace(answer, url=self._blotted(answer.url), headers=headers, body=body)

    @cached_property
    def _spellings(self) -> set[str]:
        word = self._password
        spelt = {word, quote(word), quote(word, safe=""), quote_plus(word), html.escape(word)}
        return spelt if len(word) >= TELLING else set()

    def _blotted(self, text: str) -> str:
        """Return the text without the password, however a URL or a page spells it."""
        for spelling in self._spellings:
            text = text.replace(spelling, REDACTED)
        return text


def _forgery(form: Form) -> Form:
    """Return the form as far as another site knows it: its hidden tokens are others."""
    guessed = [
        replace(item, value=item.value[1:] + item.value[:1] or "0")
        if item.kind == "hidden" and _TOKENS.search(item.name)
        else item
        for item in form.fields
    ]
    return replace(form, fields=guessed)


def _submitted(
    answer: Answer,
    form: Form,
    button: Button | None,
    answers: Mapping[str, str],
    gives: str = "",
    *,
    forged: bool = False,
) -> _Step | None:
    """Return the request that a browser makes of a form; where nothing of the person is asked, all boxes."""
    own = button.action if button is not None else None
    target = urldefrag(_joined(answer.url, form.action if own is None else own)).url
    content = urlencode(form.sent(button, answers, tick=not gives))
    if form.method == "post":
        return _Step("POST", target, content.encode(), gives, forged)
    return _Step("GET", f"{target.partition('?')[0]}?{content}", gives=gives, forged=forged)


def _joined(base: str, reference: str) -> str:
    """Resolve a reference, with blanks spelt as browsers spell them; empty when it is no URL at all."""
    try:
        return urljoin(base, reference.strip().replace(" ", "%20"))
    except ValueError:
        return ""


def _origin(url: str) -> tuple[str, str, int] | None:
    """Return what two URLs of one origin have in common (RFC 6454); None for what is no URL."""
    parts = urls.read(urldefrag(url).url) if "\\" not in url else None  # a browser would take it for a slash
    return (parts.scheme, parts.hostname or "", parts.port or _PORTS[parts.scheme]) if parts else None
