"""The program that hashes passwords: a question on each line of stdin, its answer on stdout, both JSON.

A question is `[null, PASSWORD]`, answered by a new hash, or `[HASH, PASSWORD]`, answered by whether they match. The
program ends with its stdin, or when it was asked nothing for a while. Source: RFC 9106 section 4 (Argon2id); OWASP's
first choice of parameters.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from select import select

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

NICE = 19  # beside a process that is not nice: a seventieth of a processor

# After each answer, as many times the CPU it took. Caches and memory know no priority, so a flood of guesses that keeps
# a processor busy without a pause slows everything down; who comes alone is never kept waiting.
RESTS = 1.0

IDLE = 60.0  # seconds; then its 30 MiB are given back


def argon2id() -> PasswordHasher:
    """19 MiB, two passes, one lane."""
    return PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1, type=Type.ID)


def answer(hasher: PasswordHasher, stored: str | None, password: str) -> str | bool:
    """The hash of a password, or whether the stored one is its."""
    if stored is None:
        return hasher.hash(password)
    try:
        return hasher.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False


def questions() -> Iterator[str]:
    """The lines of stdin. Whoever asks waits for the answer, so none is read ahead of `select`."""
    if sys.platform == "win32":  # where `select` knows sockets alone
        yield from sys.stdin
        return
    while select([sys.stdin], [], [], IDLE)[0] and (line := sys.stdin.readline()):
        yield line


def main() -> None:
    """Answer until stdin ends."""
    if hasattr(os, "nice"):
        os.nice(NICE)
    hasher = argon2id()
    for line in questions():
        began = time.process_time()
        stored, password = json.loads(line)
        sys.stdout.write(json.dumps(answer(hasher, stored, password)) + "\n")
        sys.stdout.flush()
        time.sleep(RESTS * (time.process_time() - began))


if __name__ == "__main__":
    main()
