"""The pages: sound HTML that works without a script, in which no text from outside can act or hide."""

import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from oauth_server.flow import pages
from oauth_server.flow.pages import Consent, ScopeChoice, inert

ACTION = '/oauth/authorize?request=a&b="c"'
CSRF = "csrf-<token>&1"
VOID = {"br", "hr", "img", "input", "link", "meta"}
HOSTILE = (
    "<img src=x onerror=alert(1)>",
    '"><script>alert(1)</script>',
    "{{ 7 * 7 }}",
    "\u202egpj.exe\u2066\u2069",
    "Cl\u200bau\u200dde\ufeff\u00ad",
    "one\r\ntwo\u2028three\x00\x1b[31m",
    "x" * 5000,
    "",
)
FORBIDDEN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
CONSENT = Consent(
    client_name="Example Editor",
    client_id="c_8Qd0vV3y",
    client_host="editor.example",
    redirect_host="localhost",
    local=True,
    username="alice",
    resource="https://mcp.example/mcp",
    scopes=(
        ScopeChoice("mcp:read", "Read", "See metadata and configuration.", sensitive=False),
        ScopeChoice("mcp:admin", "Administer", "See every client and grant.", sensitive=True),
    ),
    action=ACTION,
    csrf=CSRF,
    verified=False,
)


class Page(HTMLParser):
    """A parsed page: its elements with their attributes, in order, and its text; asserts that tags are balanced."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.html = html
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.bdi: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record an element; an attribute may stand in it once."""
        assert len(dict(attrs)) == len(attrs), f"<{tag}> repeats an attribute"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "bdi":
            self.bdi.append("")

    def handle_endtag(self, tag: str) -> None:
        """Close the element opened last, which must be of this name."""
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Collect text, and apart from it what stands in `<bdi>`."""
        self.words.append(data)
        if "bdi" in self._open:
            self.bdi[-1] += data

    @property
    def text(self) -> str:
        """The text of the page in one line."""
        return " ".join("".join(self.words).split())

    def all(self, *tags: str, **wanted: str) -> list[dict[str, str | None]]:
        """Return the attributes of each element of these names that has the wanted ones."""
        return [
            attrs
            for tag, attrs in self.elements
            if tag in tags and all(attrs.get(name) == value for name, value in wanted.items())
        ]

    def one(self, *tags: str, **wanted: str) -> dict[str, str | None]:
        """Return what `all` finds, which must be a single element."""
        (only,) = self.all(*tags, **wanted)
        return only


def every_page(text: str = "Some text", error: str | None = None) -> dict[str, Page]:
    """Render every page with `text` in each place that takes text from outside."""
    view = replace(CONSENT, client_name=text, client_id=text, client_host=text, redirect_host=text, username=text)
    form = {"action": ACTION, "csrf": CSRF}
    html = {
        "login": pages.login(**form, client_name=text, username=text, error=error),
        "login, alone": pages.login(**form, client_name=None),
        "consent": pages.consent(view, error),
        "consent, remote": pages.consent(replace(view, local=False, verified=True, client_host=None), error),
        "change_password": pages.change_password(**form, username=text, error=error),
        "confirm_logout": pages.confirm_logout(**form, username=text, client_name=text, host=text),
        "confirm_logout, alone": pages.confirm_logout(**form, username=text, client_name=None, host=None),
        "signed_out": pages.signed_out(),
        "message": pages.message(title=text, text=text, hint=text, code=text),
        "message, short": pages.message(title=text, text=text),
    }
    return {name: Page(source) for name, source in html.items()}


NAMES = tuple(every_page())
FORMS = tuple(name for name in NAMES if name.startswith(("login", "consent", "change_password", "confirm_logout")))


@pytest.mark.parametrize("error", [None, "Something is wrong."])
@pytest.mark.parametrize("name", NAMES)
def test_page_is_sound_html(name: str, error: str | None) -> None:
    page = every_page(error=error)[name]
    assert page.html.startswith("<!doctype html>")
    assert page.one("html")["lang"] == "en"
    assert page.one("meta", charset="utf-8")
    assert page.one("meta", name="viewport")
    assert page.one("meta", name="robots")["content"] == "noindex"
    assert len(page.all("h1")) == len(page.all("title")) == len(page.all("main")) == 1
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert all(attrs.get("name") for attrs in page.all("input"))
    labelled = [label["for"] for label in page.all("label")]
    seen = [field["id"] for field in page.all("input") if field.get("type") != "hidden" and "hidden" not in field]
    assert sorted(labelled, key=str) == sorted(seen, key=str)
    described = " ".join(attrs.get("aria-describedby") or "" for _, attrs in page.elements).split()
    assert set(described) <= set(ids)
    assert len([attrs for _, attrs in page.elements if "autofocus" in attrs]) <= 1


@pytest.mark.parametrize("name", NAMES)
def test_page_needs_no_inline_code_and_no_other_host(name: str) -> None:
    page = every_page()[name]
    assert not page.all("script", "style", "img", "iframe", "object", "base", "svg")
    for tag, attrs in page.elements:
        assert not [key for key in attrs if key == "style" or key.startswith("on")], tag
        for key in ("src", "href", "action", "formaction"):
            assert re.match(r"/(?!/)", attrs.get(key) or "/"), (tag, key)
    assert page.one("link") == {"rel": "stylesheet", "href": pages.STYLESHEET_PATH}


@pytest.mark.parametrize("name", FORMS)
def test_form_posts_the_token_to_its_action(name: str) -> None:
    page = every_page()[name]
    assert page.one("form") == {"method": "post", "action": ACTION}
    assert page.one("input", name="csrf") == {"type": "hidden", "name": "csrf", "value": CSRF}
    assert all(button["type"] == "submit" for button in page.all("button"))


@pytest.mark.requirement("attack-20")
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_untrusted_text_is_inert(name: str, text: str) -> None:
    harmless = every_page(error="Wrong.")[name]
    page = every_page(text, error=text or "Wrong.")[name]
    focus = {"autofocus"}  # stands on the first field still empty
    assert [(tag, attrs.keys() - focus) for tag, attrs in page.elements] == [
        (tag, attrs.keys() - focus) for tag, attrs in harmless.elements
    ]
    assert not FORBIDDEN.search(page.html)
    assert "x" * 401 not in page.html
    if text:
        host = text.encode("ascii", "backslashreplace").decode()
        may_show = {inert(shown, limit) for shown in (text, host, "Wrong.") for limit in (80, 255, 300, 400)}
        may_show |= {CONSENT.resource, pages._host(text)}
        assert set(page.bdi) <= may_show


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Claude Code", "Claude Code"),
        ("  a \t b\r\nc\u2028d\u3000e  ", "a b c d e"),
        ("\u202eevil\u202c", "�evil�"),
        ("ad\u200b\u200d\ufeffmin", "ad�min"),
        ("a\ud800b\ue000c\x00\x7fd", "a�b�c�d"),
        ("\u3164\u2800", "�"),
        ("\u2764\ufe0f", "\u2764"),
        ("e" + "\u0301" * 50 + "x", "e" + "\u0301" * 3 + "x"),
        ("Jos\u00e9 日本語 عربي", "Jos\u00e9 日本語 عربي"),
        ("x" * 80, "x" * 80),
        ("x" * 81, "x" * 79 + "…"),
        ("x" * 78 + "  " + "y" * 9, "x" * 78 + "…"),
        ("<b>&", "<b>&"),
        ("", ""),
    ],
    ids=ascii,
)
def test_inert(text: str, shown: str) -> None:
    assert inert(text) == shown
    assert len(inert(text, 5)) <= 5


def test_inert_text_can_always_be_encoded() -> None:
    assert inert("".join(map(chr, range(0x110000))), 0x110000).encode()


def test_client_without_a_name_is_called_so() -> None:
    assert "(no name) asks to use this server" in Page(pages.consent(replace(CONSENT, client_name="\n"))).text


@pytest.mark.requirement("attack-30", "AS-16", "AS-17", "PX-03")
def test_consent_says_who_asks_for_what_and_where_the_answer_goes() -> None:
    page = Page(pages.consent(CONSENT))
    for said in (
        "Example Editor asks to use this server in your name.",
        "The application gave itself this name. Nobody has verified it.",
        "Signed in as alice",
        "Resource https://mcp.example/mcp",
        "Website (claimed) editor.example",
        "Client ID c_8Qd0vV3y",
        "After you decide, you return to localhost (an application on this computer)",
        "Go on only if you just started this yourself. Any program on this computer could be using this name.",
        "Read mcp:read See metadata and configuration.",
        "Administer mcp:admin Sensitive: administration See every client and grant.",
    ):
        assert said in " ".join(re.sub(r"<[^>]+>", " ", page.html).split()), said
    assert page.text.count("Sensitive") == 1


@pytest.mark.requirement("AS-16", "AS-17")
def test_consent_warns_only_where_there_is_reason() -> None:
    view = replace(CONSENT, redirect_host="editor.example", local=False, verified=True, client_host=None)
    page = Page(pages.consent(view))
    assert "you return to editor.example" in page.text
    assert not re.search("this computer|verified|Website", page.text)


@pytest.mark.requirement("AS-17")
@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("cursor://anysphere.cursor-mcp", "cursor://anysphere.cursor-mcp"),
        ("accounts.example." + "a" * 63 + "." + "b" * 63 + ".evil.example",) * 2,
        ("\u0430pple.example", "xn--pple-43d.example"),
        ("\u202eevil.example", "\\u202eevil.example"),
    ],
    ids=ascii,
)
def test_redirect_host_is_shown_whole_and_in_ascii(host: str, shown: str) -> None:
    assert shown in Page(pages.consent(replace(CONSENT, redirect_host=host))).bdi


def test_consent_offers_every_scope_and_both_decisions() -> None:
    page = Page(pages.consent(CONSENT))
    boxes = page.all("input", name="scope", type="checkbox")
    assert [box["value"] for box in boxes] == ["mcp:read", "mcp:admin"]
    assert all("checked" in box for box in boxes)
    # Enter presses the first button, so that one must not approve.
    assert [button["value"] for button in page.all("button", name="decision")] == ["deny", "approve"]


def test_login_fields() -> None:
    page = Page(pages.login(action=ACTION, csrf=CSRF, client_name=None))
    username, password = page.one("input", name="username"), page.one("input", name="password")
    assert (username["autocomplete"], username["value"]) == ("username", "")
    assert (password["type"], password["autocomplete"]) == ("password", "current-password")
    assert "autofocus" in username
    assert "value" not in password


def test_login_again_keeps_the_name_and_focuses_the_password() -> None:
    page = Page(pages.login(action=ACTION, csrf=CSRF, client_name=None, username="alice", error="Wrong."))
    assert page.one("input", name="username")["value"] == "alice"
    assert "autofocus" in page.one("input", name="password")


def test_change_password_fields() -> None:
    page = Page(pages.change_password(action=ACTION, csrf=CSRF, username="admin"))
    for name in ("new_password", "new_password_again"):
        field = page.one("input", name=name)
        assert (field["type"], field["autocomplete"]) == ("password", "new-password")
    assert "admin" in page.bdi


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("login", {"username", "password"}),
        ("consent", {"scope"}),
        ("change_password", {"new_password", "new_password_again"}),
    ],
)
def test_error_is_announced_and_tied_to_its_fields(name: str, fields: set[str]) -> None:
    page = every_page(error="Something is wrong.")[name]
    (alert,) = [attrs for _, attrs in page.elements if attrs.get("role") == "alert"]
    assert alert["id"] == "error"
    assert "Something is wrong." in page.bdi
    tied = {field["name"] for field in page.all("input") if "error" in (field.get("aria-describedby") or "").split()}
    assert tied == fields
    assert not [attrs for _, attrs in every_page()[name].elements if attrs.get("role") == "alert"]


def test_message_says_what_happened_and_what_to_do() -> None:
    page = Page(pages.message(title="Not here", text="It failed.", hint="Start again.", code="invalid_request"))
    assert page.bdi == ["Not here", "It failed.", "Start again.", "invalid_request"]


def test_stylesheet_is_named_by_its_content_and_loads_nothing() -> None:
    assert f"/oauth/style-{hashlib.sha256(pages.STYLESHEET).hexdigest()[:12]}.css" == pages.STYLESHEET_PATH
    assert not re.search(rb"url\(|@import|@font-face", pages.STYLESHEET)
    moving = pages.STYLESHEET.decode().split("@media (prefers-reduced-motion: no-preference)")
    assert not re.search("transition|animation", moving[0])


@pytest.mark.requirement("attack-21")
def test_policy_forbids_framing_and_scripts_and_leaves_callbacks_alone() -> None:
    policy = dict(part.strip().split(" ", 1) for part in pages.CONTENT_SECURITY_POLICY.split(";"))
    assert policy == {
        "default-src": "'none'",
        "style-src": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }


def palettes() -> dict[str, dict[str, str]]:
    """Return the custom properties of the light and of the dark scheme, as the stylesheet states them."""
    light, dark = (
        dict(re.findall(r"--([a-z-]+):\s*(#[0-9a-f]{6});", block))
        for block in re.findall(r":root \{(.*?)\}", pages.STYLESHEET.decode(), re.DOTALL)
    )
    return {"light": light, "dark": dark}


def luminance(colour: str) -> float:
    """Return the relative luminance of `#rrggbb` (WCAG 2.2)."""
    parts = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("front", "ground", "least"),
    [
        ("text", "page", 4.5),
        ("text", "card", 4.5),
        ("text", "sunken", 4.5),
        ("muted", "card", 4.5),
        ("muted", "sunken", 4.5),
        ("on-accent", "accent", 4.5),
        ("on-accent", "accent-hover", 4.5),
        ("warning", "warning-ground", 4.5),
        ("error", "error-ground", 4.5),
        ("edge", "card", 3),  # WCAG 1.4.11: the edges of fields and buttons, and the focus ring
        ("accent", "card", 3),
        ("error", "card", 3),
    ],
)
def test_contrast(scheme: str, front: str, ground: str, least: float) -> None:
    palette = palettes()[scheme]
    dark, light = sorted((luminance(palette[front]), luminance(palette[ground])))
    assert (light + 0.05) / (dark + 0.05) >= least


def test_schemes_define_the_same_colours_and_no_rule_states_its_own() -> None:
    schemes = palettes()
    assert schemes["light"].keys() == schemes["dark"].keys()
    rules = re.sub(r":root \{.*?\}", "", pages.STYLESHEET.decode(), flags=re.DOTALL)
    assert not re.search(r":[^;{}]*#[0-9a-f]{3}", rules)
    assert set(re.findall(r"var\(--([a-z-]+)\)", rules)) == schemes["light"].keys()
