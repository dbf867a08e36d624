"""The hash chain of the audit log: how an event is bound to the one before it, and how a changed log is found.

The log has lanes, each a chain of its own, so that commits of a PostgreSQL server need not wait for one another. The
hash of a row covers that of the row before it in its lane, its place, and all that it says. `audit_heads` has the last
place and hash of each lane, so that nothing can be cut off its end; `audit_anchors` has those of the last row that
retention let go. The oldest row of a lane from which rows left has itself reached the time to be kept: its hash covers
when it happened, so nothing can be cut off the start either.
"""

import struct
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from hashlib import sha256
from operator import attrgetter
from typing import Any, Final

from sqlalchemy import Connection, Result, Row, inspect, select

from oauth_server.store.ages import CLOCK_SKEW
from oauth_server.store.marks import PLACE, START, End, Mark
from oauth_server.store.records import AuditEvent
from oauth_server.store.retention import Retention, left_by
from oauth_server.store.schema import RETENTION, audit, audit_anchors, audit_heads, audit_legacy_anchors

BATCH: Final = 1000
_TEXTS: Final = ("event", "outcome", "actor", "client_id", "address", "detail", "request_id")
_SAID: Final = attrgetter(*_TEXTS)
_HEADER: Final = struct.Struct(f">d{len(_TEXTS)}I").pack


@dataclass(frozen=True)
class Checked:
    """What reading the whole log found; times in Unix seconds, of the oldest and the newest event.

    `broken` is the first thing that is wrong, in words. `contains` says whether a noted state is still part of the log,
    but for what left it since at its time; None where none was asked for, something is broken, or the noted state
    proves nothing any more. `retention` has for how many days events are kept, 0 for ever, by the time since when.
    """

    events: int
    oldest: float | None
    newest: float | None
    mark: Mark
    broken: str | None
    contains: bool | None
    retention: tuple[tuple[float, int], ...]


def encoded(event: AuditEvent) -> bytes:
    """All that an event says, unambiguously: the time, the length of each text, the texts.

    Raises UnicodeEncodeError for text that no database can hold.
    """
    texts = [text.encode() for text in _SAID(event)]
    return _HEADER(event.at, *map(len, texts)) + b"".join(texts)


def link(before: bytes, lane: int, position: int, event: bytes) -> bytes:
    """The hash of the row at this place of its lane, after the row with the hash `before`."""
    return sha256(before + PLACE(lane, position) + event).digest()


def is_chained(connection: Connection) -> bool:
    """Whether the schema of a database, which may be an older one, has the chain."""
    return inspect(connection).has_table(audit_heads.name)


def ends(connection: Connection, table: Any) -> dict[int, End]:
    """The heads or the anchors, by lane."""
    rows = connection.execute(select(table.c.lane, table.c.position, table.c.hash).order_by(table.c.lane))
    # SQLite keeps values of any type; one of another is the end of no lane.
    return {
        lane: End(position, digest) if isinstance(position, int) and isinstance(digest, bytes) else End(-1, b"")
        for lane, position, digest in rows
    }


def check(connection: Connection, now: float, noted: Mark | None = None) -> Checked:
    """Read the whole log, oldest event first, up to the first thing that is wrong; in the caller's snapshot.

    `now` is the time in Unix seconds.
    """
    heads, anchors = ends(connection, audit_heads), ends(connection, audit_anchors)
    walk = _Walk(heads, dict(anchors), noted)
    with closing(_rows(connection)) as rows:
        broken = next((wrong for row in rows if (wrong := walk.step(row))), None) or walk.at_the_end()
    unproven = [] if broken else walk.without_proof(anchors, now)
    legacy = _legacy(connection, anchors)
    broken = broken or next((walk.left_too_soon(lane) for lane in unproven if legacy.get(lane) != anchors[lane]), None)
    contains = walk.contains(anchors, unproven) if noted is not None and broken is None else None
    mark = Mark.of([*heads.values()], tuple(anchors.get(lane, START).position for lane in heads))
    said = tuple((at, one.days) for at, one in walk.said)
    return Checked(walk.events, walk.oldest, walk.newest, mark, broken, contains, said)


def _legacy(connection: Connection, anchors: Mapping[int, End]) -> dict[int, End]:
    """Where the lanes began before the database itself made sure that what left was old enough."""
    if not inspect(connection).has_table(audit_legacy_anchors.name):
        return dict(anchors)
    table = audit_legacy_anchors
    known = {(row.lane, row.position) for row in connection.execute(select(table))}
    return {lane: anchor for lane, anchor in anchors.items() if (lane, anchor.position) in known}


def _rows(connection: Connection) -> Result[Any]:
    # Within a lane the ids are in the order of the commits: a row gets its id while its transaction holds the head.
    names = ("id", "lane", "position", "hash", "at", *_TEXTS)
    statement = select(*(audit.c[name] for name in names)).order_by(audit.c.id)
    return connection.execute(statement, execution_options={"yield_per": BATCH})


@dataclass
class _Walk:
    """How far each lane was followed."""

    heads: Mapping[int, End]
    at: dict[int, End]
    noted: Mark | None
    events: int = 0
    oldest: float | None = None
    newest: float | None = None
    passed: dict[int, bytes] = field(default_factory=dict)  # by lane: the hash at the noted position
    begins: dict[int, float] = field(default_factory=dict)  # by lane: when its oldest event happened
    said: list[tuple[float, Retention]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for lane in self.heads:
            self._note(lane, self.at.setdefault(lane, START))

    def step(self, row: Row[Any]) -> str | None:
        """Follow one row; what is wrong with it."""
        where = f"event {row.id} (lane {row.lane}, position {row.position})"
        if row.lane not in self.heads:
            return f"{where} is in a lane that has no head"
        before = self.at[row.lane]
        wrong = _misplaced(row, before, where) or (self._hear(row, where) if row.event == RETENTION else None)
        if wrong is not None:
            return wrong
        self.at[row.lane] = now = End(row.position, row.hash)
        self._note(row.lane, now)
        self.begins.setdefault(row.lane, row.at)
        self.events += 1
        self.oldest = row.at if self.oldest is None else min(self.oldest, row.at)
        self.newest = row.at if self.newest is None else max(self.newest, row.at)
        return None

    def at_the_end(self) -> str | None:
        """What is wrong with where the lanes end."""
        if sorted(self.at) != [*range(len(self.heads))]:
            return f"the heads of some lanes are missing: there are those of {sorted(self.heads)}"
        for lane, head in self.heads.items():
            missing = head.position - self.at[lane].position
            if missing > 0:
                return f"the newest {missing} of lane {lane} are missing, after position {self.at[lane].position}"
            if head != self.at[lane]:
                return f"the head of lane {lane} is not that of its last event, at position {self.at[lane].position}"
        return None

    def without_proof(self, anchors: Mapping[int, End], now: float) -> list[int]:
        """The lanes from which events left, and whose oldest one does not show that those were old enough."""
        newest = left_by(self.said, now) + CLOCK_SKEW  # the clock of the database may be ahead
        left = (lane for lane, anchor in anchors.items() if anchor.position > 0)
        return [lane for lane in left if lane not in self.begins or self.begins[lane] > newest]

    def left_too_soon(self, lane: int) -> str:
        """What is wrong with a lane whose start has no such proof."""
        if lane not in self.begins:
            return f"all {self.at[lane].position} of lane {lane} are missing, and one of them is always kept"
        return f"the oldest of lane {lane} are missing, up to a time at which events were still to be kept"

    def contains(self, anchors: Mapping[int, End], unproven: list[int]) -> bool | None:
        """Whether the noted state was passed, None where rows left that it rests on, or left since without proof."""
        assert self.noted is not None  # noqa: S101 - asked only then
        positions, starts = self.noted.positions, self.noted.starts
        began = {lane: anchors.get(lane, START).position for lane in range(len(positions))}
        if any(began[lane] > position for lane, position in enumerate(positions)):
            return None
        if not self.passed.keys() >= began.keys():
            return False
        if Mark.of([End(position, self.passed[lane]) for lane, position in enumerate(positions)], starts) != self.noted:
            return False
        return None if starts and any(began.get(lane, 0) > starts[lane] for lane in unproven if lane in began) else True

    def _hear(self, row: Row[Any], where: str) -> str | None:
        """Take in for how long events are kept; what is wrong with what is said."""
        heard = Retention.parse(row.detail)
        if heard is None:
            return f"{where} does not say for how long events are kept"
        if self.said and heard.before not in (None, self.said[-1][1].days):
            return f"{where} says that events were kept for {heard.before} days, and the log before it says otherwise"
        self.said.append((row.at, heard))
        return None

    def _note(self, lane: int, end: End) -> None:
        if self.noted is not None and self.noted.positions[lane : lane + 1] == (end.position,):
            self.passed[lane] = end.hash


def _misplaced(row: Row[Any], before: End, where: str) -> str | None:
    """What is wrong with a row that follows that end of its lane."""
    if not isinstance(row.position, int):
        return f"{where} does not say what was recorded"
    if row.position > before.position + 1:
        return f"{row.position - before.position - 1} before {where} are missing"
    if row.position <= before.position:
        return f"{where} stands where another one stood"
    if not _is_linked(row, before):
        return f"{where} does not say what was recorded, or something before it was changed"
    return None


def _is_linked(row: Row[Any], before: End) -> bool:
    try:
        said = encoded(row)  # type: ignore[arg-type]  # it has the fields of an event
    except (AttributeError, TypeError, struct.error):  # SQLite keeps values of any type
        return False
    return bool(row.hash == link(before.hash, row.lane, row.position, said))
