"""What a check is, and what it finds."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from oauth_server.outbound import Answer

if TYPE_CHECKING:
    from oauth_server.compliance.survey import Survey

SpecVersion = Literal["2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"]
Depth = Literal["passive", "active", "adversarial"]
Role = Literal["authorization server", "resource server"]
Level = Literal["MUST", "SHOULD", "MAY", "advice"]
Status = Literal["pass", "fail", "warn", "skip", "error"]

VERSIONS: Final[tuple[SpecVersion, ...]] = ("2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28")
DEPTHS: Final[tuple[Depth, ...]] = ("passive", "active", "adversarial")
STATUSES: Final[tuple[Status, ...]] = ("fail", "warn", "error", "skip", "pass")
_LETTERS: Final[Mapping[str, Level]] = {"M": "MUST", "S": "SHOULD", "Y": "MAY", "a": "advice"}


def reaches(depth: Depth, needed: Depth) -> bool:
    """Say whether a run of one depth takes in what another one asks for."""
    return DEPTHS.index(depth) >= DEPTHS.index(needed)


class Missing(Exception):  # noqa: N818 - it is a reason, not an error
    """What a check needs is not there, so it is skipped; the text says what."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer."""

    method: str
    answer: Answer

    @property
    def request(self) -> str:
        """The request line as a person would write it."""
        return f"{self.method} {self.answer.url}"


Shown = tuple[Exchange, str]
"""An exchange, and the header or member in it that decided (empty: none in particular)."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check saw: whether its rule is met, in one sentence, and where."""

    met: bool
    summary: str
    shown: tuple[Shown, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a rule is written."""

    document: str
    section: str
    url: str


Run = Callable[["Survey"], Awaitable[Verdict]]
Progress = Callable[[int, int, str], Awaitable[None]]
"""Told at the start and after each check: how many are judged, of how many, and the title of the last one."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule, where it is written, how a server is made to keep it, and the function that looks."""

    title: str
    sources: tuple[Source, ...]
    fix: str
    run: Run


@dataclass(frozen=True, slots=True)
class Check:
    """A rule with its place in the table; a version without a level does not ask for it."""

    id: str
    title: str
    role: Role
    family: str
    levels: Mapping[SpecVersion, Level]
    sources: tuple[Source, ...]
    depth: Depth
    fix: str
    run: Run


@dataclass(frozen=True, slots=True)
class Evidence:
    """An exchange made fit to print: secrets redacted, control characters inert, lengths bounded."""

    request: str
    status: int
    seen: str
    excerpt: str


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one check; `summary` is one sentence, for a skip or an error its reason."""

    check: Check
    status: Status
    summary: str
    evidence: tuple[Evidence, ...] = ()


def rule(title: str, *sources: Source, fix: str) -> Callable[[Run], Rule]:
    """Make a function that looks at one thing into a rule."""
    return lambda run: Rule(title, sources, fix, run)


def judge(problem: str, good: str, *shown: Shown | Exchange) -> Verdict:
    """Return the verdict: `problem` when there is one, else `good`."""
    pairs = tuple((item, "") if isinstance(item, Exchange) else item for item in shown)
    return Verdict(not problem, problem or good, pairs)


def levels(letters: str) -> Mapping[SpecVersion, Level]:
    """Read one letter per version, oldest first: M(UST), S(HOULD), Y (MAY), a(dvice), - (not asked for)."""
    return {version: _LETTERS[letter] for version, letter in zip(VERSIONS, letters, strict=True) if letter in _LETTERS}
