"""The hash chain of the audit log: how an event is bound to the one before it, and how a changed log is found.

The log has lanes, each a chain of its own, so that commits of a PostgreSQL server need not wait for one another. The
hash of a row covers that of the row before it in its lane, its place, and all that it says. `audit_heads` has the last
place and hash of each lane, so that nothing can be cut off its end; `audit_anchors` has those of the last row that
retention let go.
"""

import struct
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from operator import attrgetter
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Row, inspect, select

from oauth_server.store.records import AuditEvent
from oauth_server.store.schema import audit, audit_anchors, audit_heads

BATCH: Final = 1000
_TEXTS: Final = ("event", "outcome", "actor", "client_id", "address", "detail", "request_id")
_SAID: Final = attrgetter(*_TEXTS)
_HEADER: Final = struct.Struct(f">d{len(_TEXTS)}I").pack
_PLACE: Final = struct.Struct(">qq").pack
_MARK: Final = "the positions in each lane, with dots between them, a colon, and a digest of 43 characters"


class End(NamedTuple):
    """A place in a lane and the hash of the row that has it."""

    position: int
    hash: bytes


START: Final = End(0, bytes(32))


class MarkError(ValueError):
    """No mark of a log; the message says what one looks like."""


@dataclass(frozen=True)
class Mark:
    """A state of the log that is noted elsewhere: the position in each lane, and one digest over their hashes."""

    positions: tuple[int, ...]
    digest: str

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.positions))}:{self.digest}"

    @classmethod
    def of(cls, ends: Iterable[End]) -> "Mark":
        """The mark of these ends of the lanes, in the order of the lanes."""
        lanes = tuple(ends)
        digest = sha256(b"".join(_PLACE(lane, end.position) + end.hash for lane, end in enumerate(lanes))).digest()
        return cls(tuple(end.position for end in lanes), urlsafe_b64encode(digest).decode().rstrip("="))

    @classmethod
    def parse(cls, text: str) -> "Mark":
        """Read what str() writes; raises MarkError."""
        positions, _, digest = text.strip().partition(":")
        words = positions.split(".")
        if len(digest) != 43 or not all(word.isascii() and word.isdigit() for word in words):  # noqa: PLR2004 - SHA-256
            raise MarkError(_MARK)
        return cls(tuple(map(int, words)), digest)


@dataclass(frozen=True)
class Checked:
    """What reading the whole log found; times in Unix seconds, of the oldest and the newest event.

    `broken` is the first thing that is wrong, in words. `contains` says whether a noted state is still part of the log;
    None where none was asked for, something is broken, or the noted events are so old that some left.
    """

    events: int
    oldest: float | None
    newest: float | None
    mark: Mark
    broken: str | None
    contains: bool | None


def encoded(event: AuditEvent) -> bytes:
    """All that an event says, unambiguously: the time, the length of each text, the texts.

    Raises UnicodeEncodeError for text that no database can hold.
    """
    texts = [text.encode() for text in _SAID(event)]
    return _HEADER(event.at, *map(len, texts)) + b"".join(texts)


def link(before: bytes, lane: int, position: int, event: bytes) -> bytes:
    """The hash of the row at this place of its lane, after the row with the hash `before`."""
    return sha256(before + _PLACE(lane, position) + event).digest()


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


def check(connection: Connection, noted: Mark | None = None) -> Checked:
    """Read the whole log, oldest event first, up to the first thing that is wrong; in the caller's snapshot."""
    heads, anchors = ends(connection, audit_heads), ends(connection, audit_anchors)
    walk = _Walk(heads, dict(anchors), noted)
    broken = next((wrong for row in _rows(connection) if (wrong := walk.step(row))), None) or walk.at_the_end()
    contains = walk.contains(anchors) if noted is not None and broken is None else None
    return Checked(walk.events, walk.oldest, walk.newest, Mark.of(heads.values()), broken, contains)


def _rows(connection: Connection) -> Iterator[Row[Any]]:
    # Within a lane the ids are in the order of the commits: a row gets its id while its transaction holds the head.
    names = ("id", "lane", "position", "hash", "at", *_TEXTS)
    statement = select(*(audit.c[name] for name in names)).order_by(audit.c.id)
    return iter(connection.execute(statement, execution_options={"yield_per": BATCH}))


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

    def __post_init__(self) -> None:
        for lane in self.heads:
            self._note(lane, self.at.setdefault(lane, START))

    def step(self, row: Row[Any]) -> str | None:
        """Follow one row; what is wrong with it."""
        where = f"event {row.id} (lane {row.lane}, position {row.position})"
        if row.lane not in self.heads:
            return f"{where} is in a lane that has no head"
        before = self.at[row.lane]
        if not isinstance(row.position, int):
            return f"{where} does not say what was recorded"
        if row.position > before.position + 1:
            return f"{row.position - before.position - 1} before {where} are missing"
        if row.position <= before.position:
            return f"{where} stands where another one stood"
        if not _is_linked(row, before):
            return f"{where} does not say what was recorded, or something before it was changed"
        self.at[row.lane] = now = End(row.position, row.hash)
        self._note(row.lane, now)
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

    def contains(self, anchors: Mapping[int, End]) -> bool | None:
        """Whether the noted state was passed, None where rows left that it rests on."""
        assert self.noted is not None  # noqa: S101 - asked only then
        positions = self.noted.positions
        if any(anchors.get(lane, START).position > position for lane, position in enumerate(positions)):
            return None
        if not self.passed.keys() >= {*range(len(positions))}:
            return False
        return Mark.of(End(position, self.passed[lane]) for lane, position in enumerate(positions)) == self.noted

    def _note(self, lane: int, end: End) -> None:
        if self.noted is not None and self.noted.positions[lane : lane + 1] == (end.position,):
            self.passed[lane] = end.hash


def _is_linked(row: Row[Any], before: End) -> bool:
    try:
        said = encoded(row)  # type: ignore[arg-type]  # it has the fields of an event
    except (AttributeError, TypeError, struct.error):  # SQLite keeps values of any type
        return False
    return bool(row.hash == link(before.hash, row.lane, row.position, said))
