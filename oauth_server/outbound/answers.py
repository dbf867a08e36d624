"""What came back from an address that strangers name; its JSON is read with care (RFC 8259 section 9)."""

import json
from dataclasses import dataclass
from typing import Any, Final

JSON_DEPTH: Final = 64


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: redirects are answers too, the body is decoded and cut at the limit, `elapsed` is in seconds.

    `tls`: the version spoken, as Python names it (`TLSv1.3`), empty without TLS.
    """

    url: str
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    truncated: bool
    elapsed: float
    tls: str = ""

    def headers_of(self, name: str) -> list[str]:
        """Return every value of a header, in the order received."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def header(self, name: str) -> str | None:
        """Return the first value of a header, None when it is absent."""
        return next(iter(self.headers_of(name)), None)

    def json(self) -> Any:
        """Return the body as JSON (RFC 8259: UTF-8, no NaN); ValueError when it is none, was cut, or nests deeply."""
        if self.truncated:
            raise ValueError("the body is longer than the limit")
        try:
            value = json.loads(self.body.decode(), parse_constant=_refuse_constant)
        except RecursionError:
            raise ValueError("the JSON nests too deeply") from None
        _refuse_depth(value)
        return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _refuse_depth(value: Any) -> None:
    level = [value]
    for _ in range(JSON_DEPTH):
        level = [
            item
            for holder in level
            if isinstance(holder, (dict, list))
            for item in (holder.values() if isinstance(holder, dict) else holder)
        ]
        if not level:
            return
    raise ValueError(f"the JSON nests deeper than {JSON_DEPTH} levels")
