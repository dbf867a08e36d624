"""The HTML pages a person sees, and the stylesheet and policy served with them (OAuth 2.1 §7.4, §7.14; RFC 9700 §4.16).

Pages need no JavaScript and load nothing from another host. Names, hosts and messages come from whoever registered
or called: the templates escape them, show them through `inert` and isolate them in `<bdi>`.
"""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from oauth_server.core.untrusted import inert

if TYPE_CHECKING:
    from jinja2 import Environment

PRODUCT: Final = "MCP Docker Server"

STYLESHEET: Final[bytes] = (Path(__file__).parent / "style.css").read_bytes()
STYLESHEET_PATH: Final[str] = f"/oauth/style-{hashlib.sha256(STYLESHEET).hexdigest()[:12]}.css"
"""Where the stylesheet is served; the name follows the content, so the answer may be cached as immutable."""

# No form-action: Chromium applies it to every redirect that follows a form, so it would block the client's callback.
CONTENT_SECURITY_POLICY: Final[str] = "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'"

_LONGEST_HOST = 255


@dataclass(frozen=True)
class ScopeChoice:
    """One scope on the consent page: its wire name, what a person reads, and whether it is marked as sensitive."""

    name: str
    title: str
    description: str
    sensitive: bool
    checked: bool = True


@dataclass(frozen=True)
class Consent:
    """What a person must see before deciding about a request (MCP authorization, redirect URI and consent rules).

    `client_host` is the host of `client_uri`. `redirect_host` is the bare host the answer goes to, or the scheme and
    authority of a private-use URI (`cursor://anysphere.cursor-mcp`); `local` says that it is this computer.
    `verified` is False when the client registered itself, so that nobody vouches for its name; `publisher` is the host
    of the client ID metadata document that describes it, which does.
    """

    client_name: str
    client_id: str
    client_host: str | None
    redirect_host: str
    local: bool
    username: str
    resource: str
    scopes: tuple[ScopeChoice, ...]
    action: str
    csrf: str
    verified: bool
    publisher: str | None = None


@dataclass(frozen=True)
class Moment:
    """A time: `machine` for the datetime attribute, `words` for a person."""

    machine: str
    words: str


@dataclass(frozen=True)
class ApplicationView:
    """A client that a person connected: `hosts` are where its redirect URIs lead, `scopes` wire names with titles."""

    client_id: str
    name: str
    verified: bool
    publisher: str | None
    hosts: tuple[str, ...]
    scopes: tuple[tuple[str, str], ...]
    since: Moment
    last_used: Moment


@dataclass(frozen=True)
class AccountView:
    """A signed-in person's account: `others` are the times at which they signed in to other live sessions.

    `base` is what stands before the paths of the page's forms and links.
    """

    username: str
    applications: tuple[ApplicationView, ...]
    signed_in: Moment
    others: tuple[Moment, ...]
    csrf: str
    base: str = ""


@dataclass(frozen=True)
class Snippet:
    """A client's configuration: the `file` it stands in, or "" for a command to run."""

    client: str
    file: str
    text: str


@dataclass(frozen=True)
class StartView:
    """The start page: the MCP endpoint, who may call it, how clients are told of it, named addresses, the account."""

    endpoint: str
    access: str
    snippets: tuple[Snippet, ...]
    addresses: tuple[tuple[str, str], ...]
    account: str | None


def _host(text: str) -> str:
    """Return a host in the spelling DNS compares (A-labels), so that look-alike letters show."""
    if not text.isascii():
        try:
            text = text.encode("idna").decode()
        except UnicodeError:
            text = text.encode("ascii", "backslashreplace").decode()
    # DNS allows no longer one, so none that resolves is cut: whom a host belongs to stands at its end.
    return inert(text, _LONGEST_HOST)


def login(*, action: str, csrf: str, client_name: str | None, username: str = "", error: str | None = None) -> str:
    """Return the sign-in page: a form with `username`, `password` and `csrf`, posted to `action`.

    `client_name` is the client that asked, or None when a person came by themselves; `username` is filled in again.
    """
    return _render("login.html", action=action, csrf=csrf, client_name=client_name, username=username, error=error)


def consent(view: Consent, error: str | None = None) -> str:
    """Return the consent page: checkboxes `scope`, and the buttons `decision=deny` and `decision=approve`."""
    return _render("consent.html", view=view, error=error)


def change_password(*, action: str, csrf: str, username: str, error: str | None = None) -> str:
    """Return the page that asks for `new_password` and `new_password_again`."""
    return _render("change_password.html", action=action, csrf=csrf, username=username, error=error)


def confirm_logout(*, action: str, csrf: str, username: str, client_name: str | None, host: str | None) -> str:
    """Return the page that asks before the session ends; posting it is the consent (OpenID RP-Initiated Logout §2).

    `host` is where the browser is sent afterwards, None where it stays here.
    """
    return _render(
        "confirm_logout.html", action=action, csrf=csrf, username=username, client_name=client_name, host=host
    )


def signed_out() -> str:
    """Return the page shown when the session has ended and no client is waiting for the browser."""
    return _render("signed_out.html")


def account(view: AccountView, *, done: str | None = None, error: str | None = None) -> str:
    """Return the account page: forms with `action=disconnect` and `client_id`, `end_sessions` and `password`.

    `done` says what was changed; `error` why the new password was not taken.
    """
    return _render("account.html", view=view, done=done, error=error)


def start(view: StartView) -> str:
    """Return the page that says what this server is and how to connect to it."""
    return _render("start.html", view=view)


def message(
    *,
    title: str,
    text: str,
    hint: str | None = None,
    code: str | None = None,
    home: bool = False,
    host: str | None = None,
    onward: str | None = None,
) -> str:
    """Return a page that says what happened, for errors that may not be sent to a redirect URI (OAuth 2.1 §4.1.2.1).

    `hint` says what the person can do; `code` is the OAuth `error`, for a report to whoever runs the client; `home`
    adds a link to the start page; `host` is where the error would have been sent, had the person signed in; `onward`
    is the URL, of this server, that the person may go on to.
    """
    values = {"title": title, "text": text, "hint": hint, "code": code, "home": home, "host": host, "onward": onward}
    return _render("message.html", **values)


def _render(template: str, **values: object) -> str:
    return _templates().get_template(template).render(**values)


@cache
def _templates() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415 - the first page brings it

    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )
    templates.filters.update(inert=inert, host=_host)
    templates.globals.update(product=PRODUCT, stylesheet=STYLESHEET_PATH)
    return templates
