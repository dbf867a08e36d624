"""A person with a browser: follows the server's pages as their HTML says, knowing nothing of its insides."""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx2

from tests.support.server import OWNER, PASSWORD

ABSENT = "absent"  # the value of a header that is not sent


@dataclass
class Form:
    """A form as a browser sees it: where it goes, what it holds, what can be chosen."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)
    checkboxes: dict[str, list[str]] = field(default_factory=dict)  # those that start ticked
    offered: dict[str, list[str]] = field(default_factory=dict)  # all of them
    buttons: dict[str, list[str]] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)  # name -> type


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        a = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(Form(a.get("action", "")))
        elif tag == "input" and self.forms and "name" in a:
            form, kind = self.forms[-1], a.get("type", "text")
            form.inputs[a["name"]] = kind
            if kind == "checkbox":
                form.offered.setdefault(a["name"], []).append(a.get("value", "on"))
                if "checked" in a:
                    form.checkboxes.setdefault(a["name"], []).append(a.get("value", "on"))
            else:
                form.fields[a["name"]] = a.get("value", "")
        elif tag == "button" and self.forms and "name" in a:
            self.forms[-1].buttons.setdefault(a["name"], []).append(a.get("value", ""))


def forms_of(html: str) -> list[Form]:
    """The page's forms, in order."""
    parser = _Forms()
    parser.feed(html)
    return parser.forms


def form_of(html: str, button: tuple[str, str] | None = None) -> Form:
    """The page's one form; where it has several, the first with this button."""
    forms = forms_of(html)
    if len(forms) > 1 and button is not None:
        forms = [form for form in forms if button[1] in form.buttons.get(button[0], [])][:1]
    assert len(forms) == 1, f"{len(forms)} forms"
    return forms[0]


def asks_to_sign_in(page: httpx2.Response) -> bool:
    """Whether it is the sign-in page."""
    return any({"username", "password"} == set(form.inputs) - {"csrf"} for form in forms_of(page.text))


def query_of(url: str) -> dict[str, str]:
    """The parameters of a URL, each of which must come once."""
    found = parse_qs(urlsplit(url).query, keep_blank_values=True)
    assert all(len(values) == 1 for values in found.values()), found
    return {name: values[0] for name, values in found.items()}


def _referrer(page: httpx2.Response) -> str:
    """The Referer of what a page starts: its URL, of a long one the origin (Referrer Policy, section 8.4)."""
    url = str(page.url)
    return url if len(url) <= 4096 else f"{urlsplit(url).scheme}://{urlsplit(url).netloc}/"


class Browser:
    """One browser profile: a cookie jar, and a person who can sign in, consent and deny.

    It says of each request what a browser says about who started it (Fetch Metadata): `none` for an address that the
    person opened, `same-origin` for a form, what the request before said for a redirect that is followed.
    """

    def __init__(
        self,
        base_url: str,
        username: str = OWNER,
        password: str = PASSWORD,
        http: httpx2.AsyncClient | None = None,
    ) -> None:
        self._followed: dict[str, dict[str, str]] = {}
        self.base_url = base_url
        self.username = username
        self.password = password
        self.http = http or httpx2.AsyncClient(base_url=base_url, follow_redirects=False)

    @property
    def http(self) -> httpx2.AsyncClient:
        """What the browser sends its requests with."""
        return self._http

    @http.setter
    def http(self, http: httpx2.AsyncClient) -> None:
        hooks = http.event_hooks
        http.event_hooks = {
            "request": [*hooks["request"], self._about],
            "response": [*hooks["response"], self._redirected],
        }
        self._http = http

    async def _about(self, request: httpx2.Request) -> None:
        by_itself = {"Sec-Fetch-Site": "none" if request.method == "GET" else "same-origin"}
        said = self._followed.pop(str(request.url), by_itself)
        for name, value in {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", **said}.items():
            request.headers.setdefault(name, value)
            if request.headers[name] == ABSENT:
                del request.headers[name]

    async def _redirected(self, response: httpx2.Response) -> None:
        location = response.headers.get("location")
        if location:
            asked = response.request.headers
            said = {name: asked[name] for name in ("Sec-Fetch-Site", "Referer") if name in asked}
            self._followed[urljoin(str(response.url), location)] = said

    async def close(self) -> None:
        await self.http.aclose()

    @property
    def session(self) -> str:
        """The one session cookie that the browser holds."""
        (value,) = {cookie.value for cookie in self.http.cookies.jar if "mcp_session" in cookie.name}
        assert value is not None
        return value

    @property
    def form_key(self) -> str:
        """What the forms of that session are bound to."""
        return self.session.rpartition(".")[2]

    async def follow(self, page: httpx2.Response, path: str, **params: str) -> httpx2.Response:
        """Press a link of a page of the server, which leads to that path."""
        hrefs = [href for href in re.findall('href="([^"]+)"', page.text) if urlsplit(href).path.endswith(path)]
        assert hrefs, page.text
        return await self.reload(page, hrefs[0], **params)

    async def reload(self, page: httpx2.Response, href: str = "", **params: str) -> httpx2.Response:
        """The page once more; or another address, as a link on it opens it."""
        said = {"Sec-Fetch-Site": "same-origin", "Referer": _referrer(page)}
        return await self.http.get(urljoin(str(page.url), href), headers=said, params=params or None)

    def _own(self, url: str) -> bool:
        return urlsplit(urljoin(self.base_url, url)).netloc == urlsplit(self.base_url).netloc

    async def submit(
        self,
        page: httpx2.Response,
        fields: dict[str, str] | None = None,
        *,
        checkboxes: dict[str, list[str]] | None = None,
        button: tuple[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx2.Response:
        """Send the page's form as Chromium does: hidden fields, checked boxes, one button, an Origin header."""
        form = form_of(page.text, button)
        data: dict[str, str | list[str]] = {**form.fields, **(fields or {})}
        data |= form.checkboxes if checkboxes is None else checkboxes
        if button is not None:
            assert button[1] in form.buttons[button[0]], form.buttons
            data[button[0]] = button[1]
        own = {"Origin": self.base_url, "Sec-Fetch-Site": "same-origin", "Referer": _referrer(page)}
        sent = {**own, **(headers or {})}
        return await self.http.post(urljoin(str(page.url), form.action), data=data, headers=sent)

    async def sign_in(self, page: httpx2.Response) -> httpx2.Response:
        """Fill the login form and follow to the next page."""
        reply = await self.submit(page, {"username": self.username, "password": self.password})
        assert reply.status_code == 303, (reply.status_code, reply.text)
        return await self.http.get(reply.headers["location"])

    async def account(self) -> httpx2.Response:
        """The account page, after signing in where that is asked for."""
        page = await self.http.get("/account")
        return await self.sign_in(page) if asks_to_sign_in(page) else page

    async def sign_out(self, account: httpx2.Response) -> httpx2.Response:
        """Sign out of the session of an account page, by its link."""
        return await self.submit(await self.follow(account, "/oauth/logout"))

    async def consent(self, page: httpx2.Response, scopes: list[str] | None = None) -> httpx2.Response:
        """Approve all that is asked, or just these scopes."""
        boxes = form_of(page.text).offered if scopes is None else {"scope": scopes}
        return await self.submit(page, checkboxes=boxes, button=("decision", "approve"))

    async def authorize(self, url: str, scopes: list[str] | None = None) -> str:
        """Open an authorization URL and do what the pages ask; returns the URL the browser is sent to."""
        page = await self.http.get(url)
        if page.status_code == 200 and asks_to_sign_in(page):
            page = await self.sign_in(page)
        if page.status_code == 200:
            page = await self.consent(page, scopes)
        assert page.status_code in (302, 303), (page.status_code, page.text)
        return str(page.headers["location"])
