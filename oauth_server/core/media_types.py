"""Media types as header fields name them (RFC 9110 sections 8.3 and 12.5.1)."""

import re
from collections.abc import Iterable

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_WEIGHT = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")


def named(values: Iterable[str]) -> str:
    """The media type that Content-Type fields name, in lower case without parameters.

    Proxies and clients name one type twice. Where none is named, or two that differ, the answer is empty.
    """
    found = {media_type for media_type, _ in _parts(values)}
    return found.pop() if len(found) == 1 else ""


def weights(values: Iterable[str]) -> dict[str, float]:
    """The media ranges of Accept fields with their weights, 0 to 1; without any, all media types are acceptable."""
    found: dict[str, float] = {}
    for media_range, parameters in _parts(values):
        weight = next((value for name, value in parameters if name == "q"), "1")
        found[media_range] = max(
            found.get(media_range, 0.0), float(weight) if _WEIGHT.fullmatch(weight) is not None else 0.0
        )
    return found or {"*/*": 1.0}


def weight(ranges: dict[str, float], media_type: str) -> float:
    """The weight of a media type among the ranges, of which the most specific one counts; 0 is not acceptable."""
    candidates = (media_type, f"{media_type.partition('/')[0]}/*", "*/*")
    return next((ranges[candidate] for candidate in candidates if candidate in ranges), 0.0)


def _parts(values: Iterable[str]) -> Iterable[tuple[str, list[tuple[str, str]]]]:
    """Each media type or range in the fields, in lower case, with its parameters."""
    for part in _QUOTED.sub("", ",".join(values)).lower().split(","):
        media_type, *parameters = (piece.strip() for piece in part.split(";"))
        if media_type:
            pairs = (parameter.partition("=") for parameter in parameters)
            yield media_type, [(name.strip(), value.strip()) for name, _, value in pairs]
