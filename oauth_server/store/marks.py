"""Marks of the audit log: a state of its lanes that is noted where the database's owner cannot change it."""

import struct
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, NamedTuple

PLACE: Final = struct.Struct(">qq").pack  # a lane and a position in it
_FORM: Final = (
    "the positions in each lane where it ended and, in a second group, those where it began, with dots between them, "
    "and a digest of 43 characters, with colons between the three"
)


class End(NamedTuple):
    """A place in a lane and the hash of the row that has it."""

    position: int
    hash: bytes


START: Final = End(0, bytes(32))


class MarkError(ValueError):
    """No mark of a log; the message says what one looks like."""


@dataclass(frozen=True)
class Mark:
    """Where each lane ended and began when it was noted, and one digest over these places and the hashes of the ends.

    `starts` has the position of the last event that had left each lane; None in a mark of an earlier release, which did
    not note them.
    """

    positions: tuple[int, ...]
    digest: str
    starts: tuple[int, ...] | None = None

    def __str__(self) -> str:
        groups = [self.positions] if self.starts is None else [self.positions, self.starts]
        return ":".join([*(".".join(map(str, group)) for group in groups), self.digest])

    @classmethod
    def of(cls, ends: Sequence[End], starts: tuple[int, ...] | None) -> "Mark":
        """The mark of these ends and starts of the lanes, in the order of the lanes."""
        said = b"".join(PLACE(lane, end.position) + end.hash for lane, end in enumerate(ends))
        said += b"".join(PLACE(lane, position) for lane, position in enumerate(starts or ()))
        digest = urlsafe_b64encode(sha256(said).digest()).decode().rstrip("=")
        return cls(tuple(end.position for end in ends), digest, starts)

    @classmethod
    def parse(cls, text: str) -> "Mark":
        """Read what str() writes, of this release or an earlier one; raises MarkError."""
        *groups, digest = text.strip().split(":")
        words = [group.split(".") for group in groups]
        if len(digest) != 43 or not all(word.isascii() and word.isdigit() for group in words for word in group):  # noqa: PLR2004 - SHA-256
            raise MarkError(_FORM)
        numbers = [tuple(map(int, group)) for group in words]
        if len(numbers) not in (1, 2) or len({*map(len, numbers)}) != 1:
            raise MarkError(_FORM)
        return cls(numbers[0], digest, *numbers[1:])
