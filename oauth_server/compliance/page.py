"""What a person sees of an HTML page, and which elements it is made of."""

import re
from contextlib import suppress
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Final

from oauth_server.compliance.forms import PAGE, Form, forms_of
from oauth_server.compliance.model import Exchange

_UNSEEN: Final = {"script", "style", "template", "head"}
_CONTROLS: Final = {"a", "button", "select", "summary", "textarea"}
_SENDS: Final = re.compile(r"\.(?:s|requestS)ubmit\s*\(")


@dataclass(frozen=True, slots=True)
class Page:
    """The text of a page, with single blanks, and the names of its elements.

    `asks`: whether there is something to press or to fill in for a person whose browser runs scripts.
    """

    text: str
    elements: frozenset[str]
    asks: bool

    @property
    def scripted(self) -> bool:
        """Whether scripts may show what is not in the text."""
        return "script" in self.elements


def page_of(exchange: Exchange) -> Page:
    """Read the beginning of a page."""
    parser = _Parser()
    with suppress(AssertionError):  # the library's answer to a declaration that it does not know
        parser.feed(exchange.answer.body[:PAGE].decode(errors="replace"))
    return Page(" ".join("".join(parser.texts).split()), frozenset(parser.elements), parser.asks)


def sent_at_once(exchange: Exchange) -> Form | None:
    """Return the form that a script of the page sends without a person; None when there is none, or someone is asked.

    Only scripts and handlers in the page itself are seen.
    """
    html = exchange.answer.body[:PAGE].decode(errors="replace")
    forms = [] if page_of(exchange).asks or not _SENDS.search(html) else forms_of(html)
    return forms[0] if forms else None


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.elements: set[str] = set()
        self.asks = False
        self._unseen = ""
        self._unscripted = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self._unseen = self._unseen or (tag if tag in _UNSEEN else "")
        has = dict(attrs)
        self._unscripted = self._unscripted or tag == "noscript"
        control = tag in _CONTROLS or (tag == "input" and (has.get("type") or "").lower() != "hidden")
        self.asks = self.asks or (control and not self._unscripted)
        if tag == "input" and has.get("type") in {"submit", "button", "text"}:
            self.texts.append(f" {has.get('value') or ''} ")

    def handle_endtag(self, tag: str) -> None:
        self._unseen = "" if tag == self._unseen else self._unseen
        self._unscripted = self._unscripted and tag != "noscript"

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.texts.append(f"{data} ")
