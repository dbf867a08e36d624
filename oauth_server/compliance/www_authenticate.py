"""Read the WWW-Authenticate header as a client does (RFC 9110 sections 11.2 to 11.6.1)."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

LONGEST: Final = 8192  # characters read of one header
_ITEM: Final = re.compile(
    r"[\s,]*(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+)"
    r"(?:[ \t]*=[ \t]*(?:\"(?P<quoted>(?:[^\"\\]|\\.)*)\"|(?P<token>[!#$%&'*+.^_`|~0-9A-Za-z:/-]+)))?"
)
_REST: Final = re.compile(r"[\s,]*\Z")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One challenge: its scheme in lower case, its parameters by lower-case name; `problem` says what is malformed."""

    scheme: str
    parameters: Mapping[str, str]
    problem: str = ""


def read(headers: Iterable[str]) -> list[Challenge]:
    """Return every challenge in these header values; what follows a syntax error in one value is left out."""
    return [challenge for header in headers for challenge in _read_one(header[:LONGEST])]


def _read_one(header: str) -> list[Challenge]:
    found: list[tuple[str, dict[str, str], list[str]]] = []
    position, problem = 0, ""
    while not problem and (item := _ITEM.match(header, position)):
        name, value = item["name"].lower(), item["quoted"]
        position = item.end()
        if value is None and item["token"] is None:
            found.append((name, {}, []))
        elif not found:
            problem = f"the parameter {name!r} stands before any scheme"
        elif name in found[-1][1]:
            found[-1][2].append(f"the parameter {name!r} is there twice")
        else:
            found[-1][1][name] = re.sub(r"\\(.)", r"\1", value) if value is not None else item["token"]
    if not problem and not _REST.match(header, position):
        problem = f"it cannot be read from character {position + 1} on"
    if problem and not found:
        found.append(("", {}, []))
    if problem:
        found[-1][2].append(problem)
    return [Challenge(scheme, parameters, "; ".join(problems)) for scheme, parameters, problems in found]
