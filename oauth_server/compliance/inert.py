"""Make what a stranger's server said fit to print: no secrets, no control characters, bounded."""

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

READ: Final = 4096  # characters of a text that are looked at
LONG_SECRET: Final = 16  # from here on a secret is known by its beginning, should its end be cut off
REDACTED: Final = "[redacted]"
_ACTIVE: Final = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_NAMES: Final = (
    "access_token|refresh_token|id_token|client_secret|registration_access_token|code|password|assertion"
    "|client_assertion|code_verifier|device_code"
)
_PATTERNS: Final = (
    (re.compile(rf'("(?:{_NAMES})"\s*:\s*")[^"]*', re.IGNORECASE), rf"\1{REDACTED}"),
    (re.compile(rf"((?:^|[?&\s])(?:{_NAMES})=)[^&\s\"]+", re.IGNORECASE), rf"\1{REDACTED}"),
    (re.compile(r'(\bBearer\s+)[\w.~+/-]{16,}+=*+(?!")', re.IGNORECASE), rf"\1{REDACTED}"),
    (re.compile(r"eyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)*"), REDACTED),
)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Replace the given secrets, and whatever has the name or the shape of one."""
    for secret in filter(None, secrets):
        if len(secret) < LONG_SECRET:
            text = text.replace(secret, REDACTED)
        elif secret[:LONG_SECRET] in text:
            text = re.sub(re.escape(secret[:LONG_SECRET]) + r"[\w.~+/=-]*", REDACTED, text)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def inert(text: str, limit: int, secrets: Iterable[str] = ()) -> str:
    """Return at most `limit` characters in which escapes, line breaks and direction marks are spelt out."""
    line = spelt(redact(text[:READ], secrets)[: limit + 1])
    return line if len(line) <= limit and len(text) <= READ else line[: limit - 1] + "…"


def spelt(text: str) -> str:
    """Return the text as one line: escapes, line breaks and direction marks are spelt out; does nothing twice."""
    if text.isprintable():  # most are: none of its characters is in one of these categories
        return text
    return "".join(
        character.encode("unicode_escape").decode() if unicodedata.category(character) in _ACTIVE else character
        for character in text
    )
