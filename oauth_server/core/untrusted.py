"""Text that anonymous parties wrote, made fit for people and for assistants that read for them.

One rule for every destination: pages show `inert` text; resources, tools, commands, events and the log show it marked.
An assistant must be able to tell what a registrant wrote from what this server says (prompt injection).
"""

import unicodedata
from collections.abc import Iterator
from typing import Final

_MOST = 80  # characters of a text that is marked
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})  # controls, formats (bidi, zero width), surrogates …
_BLANKS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")  # drawn as nothing, though marks or letters
_VARIATION_SELECTORS = frozenset(map(chr, (*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))
_MARKS = frozenset({"Mn", "Me"})
_MARKS_IN_A_ROW = 3  # what scripts need; taller stacks paint over the neighbouring lines
# What ends the quoted text, or makes links, images, code, tables and tags of it where Markdown is shown.
_MARKDOWN: Final = str.maketrans({'"': "'", "`": "'", "[": "(", "]": ")", "<": "(", ">": ")", "|": "/", "\\": "/"})


def inert(text: str, limit: int = _MOST) -> str:
    """Return `text` as one line of at most `limit` characters in which nothing is hidden.

    White space of any kind becomes one blank. Controls, bidirectional overrides, zero-width and blank characters become
    one visible U+FFFD per run. Variation selectors are dropped and stacks of combining marks trimmed. What exceeds
    `limit` gives way to an ellipsis. The result is text, not HTML: a page has to escape it.
    """
    shown: list[str] = []
    for glyph in _glyphs(text):
        last = shown[-1] if shown else " "
        if glyph == last and glyph in {" ", _REPLACEMENT}:
            continue
        shown.append(glyph)
        if len(shown) > limit + 1:
            break
    line = "".join(shown).strip()
    return line if len(line) <= limit else line[: limit - 1].rstrip() + _ELLIPSIS


def _glyphs(text: str) -> Iterator[str]:
    marks = 0
    for character in text:
        category = unicodedata.category(character)
        marks = marks + 1 if category in _MARKS else 0
        if marks > _MARKS_IN_A_ROW or character in _VARIATION_SELECTORS:
            continue
        if character.isspace():
            yield " "
        elif category in _HIDDEN_CATEGORIES or character in _BLANKS:
            yield _REPLACEMENT
        else:
            yield character


def unverified(text: str, limit: int = _MOST) -> str:
    """Return `unverified "…"` around at most `limit` inert characters of `text`, without Markdown; empty for no text.

    The text holds no double quote, so that the mark ends where it seems to end, and no `://`, so that it is no link.
    """
    return f'unverified "{inert(text.translate(_MARKDOWN).replace("://", ": //"), limit)}"' if text else ""
