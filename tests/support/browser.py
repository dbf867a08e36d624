"""A person with a browser: follows the server's pages as their HTML says, knowing nothing of its insides."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx2

from tests.support.server import OWNER, PASSWORD


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


def query_of(url: str) -> dict[str, str]:
    """The parameters of a URL, each of which must come once."""
    found = parse_qs(urlsplit(url).query, keep_blank_values=True)
    assert all(len(values) == 1 for values in found.values()), found
    return {name: values[0] for name, values in found.items()}


class Browser:
    """One browser profile: a cookie jar, and a person who can sign in, consent and deny."""

    def __init__(self, base_url: str, username: str = OWNER, password: str = PASSWORD) -> None:
        self.http = httpx2.AsyncClient(base_url=base_url, follow_redirects=False)
        self.base_url = base_url
        self.username = username
        self.password = password

    async def close(self) -> None:
        await self.http.aclose()

    @property
    def session_id(self) -> str:
        """The one session id the browser holds, the same for every path."""
        (value,) = {cookie.value for cookie in self.http.cookies.jar if "mcp_session" in cookie.name}
        assert value is not None
        return value

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
        sent = {"Origin": self.base_url, "Sec-Fetch-Site": "same-origin", **(headers or {})}
        return await self.http.post(urljoin(str(page.url), form.action), data=data, headers=sent)

    async def sign_in(self, page: httpx2.Response) -> httpx2.Response:
        """Fill the login form and follow to the next page."""
        reply = await self.submit(page, {"username": self.username, "password": self.password})
        assert reply.status_code == 303, (reply.status_code, reply.text)
        return await self.http.get(reply.headers["location"])

    async def consent(self, page: httpx2.Response, scopes: list[str] | None = None) -> httpx2.Response:
        """Approve all that is asked, or just these scopes."""
        boxes = form_of(page.text).offered if scopes is None else {"scope": scopes}
        return await self.submit(page, checkboxes=boxes, button=("decision", "approve"))

    async def authorize(self, url: str, scopes: list[str] | None = None) -> str:
        """Open an authorization URL and do what the pages ask; returns the URL the browser is sent to."""
        page = await self.http.get(url)
        if page.status_code == 200 and "password" in form_of(page.text).inputs.values():
            page = await self.sign_in(page)
        if page.status_code == 200:
            page = await self.consent(page, scopes)
        assert page.status_code in (302, 303), (page.status_code, page.text)
        return str(page.headers["location"])
