"""What a person sees of an HTML page, and which elements it is made of."""

from contextlib import suppress
from dataclasses import dataclass
from html.parser import HTMLParser

from oauth_server.compliance.forms import PAGE
from oauth_server.compliance.model import Exchange

_UNSEEN = {"script", "style", "template", "head"}


@dataclass(frozen=True, slots=True)
class Page:
    """The text of a page, with single blanks, and the names of its elements."""

    text: str
    elements: frozenset[str]

    @property
    def scripted(self) -> bool:
        """Whether scripts may show what is not in the text."""
        return "script" in self.elements


def page_of(exchange: Exchange) -> Page:
    """Read the beginning of a page."""
    parser = _Parser()
    with suppress(AssertionError):  # the library's answer to a declaration that it does not know
        parser.feed(exchange.answer.body[:PAGE].decode(errors="replace"))
    return Page(" ".join("".join(parser.texts).split()), frozenset(parser.elements))


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.elements: set[str] = set()
        self._unseen = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self._unseen = self._unseen or (tag if tag in _UNSEEN else "")
        has = dict(attrs)
        if tag == "input" and has.get("type") in {"submit", "button", "text"}:
            self.texts.append(f" {has.get('value') or ''} ")

    def handle_endtag(self, tag: str) -> None:
        self._unseen = "" if tag == self._unseen else self._unseen

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.texts.append(f"{data} ")
