"""The forms of an HTML page, as far as signing in and consenting need them (HTML standard, section 4.10.21)."""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Final

PAGE: Final = 256 * 1024  # characters of a page that are read
MOST_FORMS: Final = 50
MOST_PARTS: Final = 1000  # fields and buttons of all forms together
_TEXTUAL: Final = {"text", "email", "tel", "search", "url", ""}
_PRESSED: Final = {"submit", "image"}
_UNSENT: Final = {"button", "reset", "file"}
_USERNAMES: Final = {"username", "login", "user", "email", "userid", "identifier"}
# fmt: off
_YES: Final = frozenset((
    "accept", "agree", "allow", "approve", "approved", "authorise", "authorize", "confirm",
    "consent", "continue", "grant", "ok", "true", "yes",
))
_NO: Final = frozenset((
    "abort", "back", "cancel", "cancelled", "decline", "denied", "deny", "disagree", "disallow",
    "dont", "false", "logout", "no", "not", "refuse", "reject", "revoke", "signout",
))
# fmt: on


@dataclass(slots=True)
class Field:
    """One control with a name; `kind` is its type, `select` or `textarea`."""

    kind: str
    name: str
    value: str = ""
    checked: bool = False
    autocomplete: str = ""

    @property
    def is_username(self) -> bool:
        """Whether a person's name belongs here, by what the field says of itself."""
        named = self.name.lower() in _USERNAMES or self.kind == "email" or "username" in self.autocomplete.split()
        return self.kind in _TEXTUAL and named


@dataclass(slots=True)
class Button:
    """A button that sends its form, to `action` when it has one of its own."""

    name: str
    value: str
    text: str = ""
    action: str | None = None

    @property
    def denies(self) -> bool:
        """Whether it says no anywhere; the name alone may say both, as `allow_or_deny` does."""
        shown, name = _words(f"{self.value} {self.text}"), _words(self.name)
        return bool(shown & _NO) or bool(name & _NO and not name & _YES)

    @property
    def approves(self) -> bool:
        """Whether it says yes, and nowhere no."""
        return not self.denies and bool(_words(f"{self.name} {self.value} {self.text}") & _YES)


@dataclass(slots=True)
class Form:
    """A form: where it goes, what it holds, what can be pressed."""

    action: str
    method: str
    fields: list[Field] = field(default_factory=list)
    buttons: list[Button] = field(default_factory=list)

    @property
    def passwords(self) -> list[Field]:
        """The password inputs."""
        return [item for item in self.fields if item.kind == "password"]

    @property
    def asks_password(self) -> bool:
        """Whether a person signs in here; a form for a NEW password is none, nor one that would put it into a URL."""
        found = self.passwords
        return len(found) == 1 and "new-password" not in found[0].autocomplete and self.method == "post"

    @property
    def username(self) -> Field | None:
        """Where the person's name goes: a field that says so, in a form with a password else the first for text."""
        for item in self.fields:
            if item.is_username:
                return item
        return next((item for item in self.fields if item.kind in _TEXTUAL), None) if self.passwords else None

    def sent(self, button: Button | None, answers: Mapping[str, str], *, tick: bool) -> list[tuple[str, str]]:
        """Return the pairs a browser sends: the fields with `answers` filled in, all boxes when `tick`, the button."""
        pairs = [
            (item.name, answers.get(item.name, item.value))
            for item in self.fields
            if item.kind not in {"checkbox", "radio"} or item.checked or (tick and item.kind == "checkbox")
        ]
        return [*pairs, (button.name, button.value)] if button and button.name else pairs


def forms_of(html: str) -> list[Form]:
    """Return the page's forms in order; of a page or a form that goes on beyond the bounds, what was read."""
    parser = _Parser()
    with suppress(AssertionError):  # the library's answer to a declaration that it does not know
        # Never closed: what is open at the end would be read again and again, in the square of its length.
        parser.feed(html[:PAGE])
    return parser.forms


def _words(text: str) -> set[str]:
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text.replace("'", "").replace("\u2019", ""))
    return set(re.findall("[a-z]+", apart.lower()))


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._form: Form | None = None
        self._text: Button | Field | None = None  # what the characters that follow belong to
        self._select: Field | None = None
        self._parts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        has = {name: value or "" for name, value in reversed(attrs)}  # of two attributes of a name, the first counts
        if tag == "form" and self._form is None and len(self.forms) < MOST_FORMS:
            self._form = Form(has.get("action", ""), "post" if has.get("method", "").lower() == "post" else "get")
            self.forms.append(self._form)
        elif self._form is not None and self._parts < MOST_PARTS:
            self._parts += 1
            for part in self._part(tag, has):
                if isinstance(part, Button):
                    self._form.buttons.append(part)
                elif part.name:
                    self._form.fields.append(part)

    def _part(self, tag: str, has: Mapping[str, str]) -> Iterator[Field | Button]:
        """Read one control; a disabled one is never sent."""
        name, kind = has.get("name", ""), has.get("type", "").lower()
        if tag == "option" and self._select is not None and ("selected" in has or not self._select.checked):
            self._select.value, self._select.checked = has.get("value", ""), True
        elif "disabled" in has:
            return
        elif tag == "button" and kind in {"submit", ""}:
            self._text = Button(name, has.get("value", ""), has.get("aria-label", ""), has.get("formaction"))
            yield self._text
        elif tag == "input" and kind in _PRESSED:
            yield Button(name, has.get("value", ""), has.get("alt", ""), has.get("formaction"))
        elif tag == "input" and kind not in _UNSENT:
            box = kind in {"checkbox", "radio"}
            value = has.get("value", "on" if box else "")
            yield Field(kind, name, value, "checked" in has, has.get("autocomplete", "").lower())
        elif tag == "select":
            self._select = Field("select", name)
            yield self._select
        elif tag == "textarea":
            self._text = Field("textarea", name)
            yield self._text

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = self._text = self._select = None
        elif tag in {"button", "textarea"}:
            self._text = None
        elif tag == "select":
            self._select = None

    def handle_data(self, data: str) -> None:
        if isinstance(self._text, Button):
            self._text.text += data
        elif isinstance(self._text, Field):
            self._text.value += data
