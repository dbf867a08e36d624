"""What a command asks of the person at the terminal: a confirmation, a password."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from getpass import getpass

from oauth_server.commands.errors import CommandError, MistakeError
from oauth_server.commands.output import plain

_MAX_LINE = 8192  # bytes; core has the rule for the length of a password


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C end a question at once: asyncio would only cancel a task that is not waiting for it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def confirm(question: str, *, yes: bool, option: str = "--yes", declined: str = "Nothing was changed.") -> None:
    """Return when the person agrees, or `yes`, which `option` sets, says that they did; CommandError otherwise."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise MistakeError(f"{question} Nobody can be asked here: say {option}.")
    with _interruptible():
        sys.stderr.write(plain(f"{question} [y/N] "))
        sys.stderr.flush()
        answer = sys.stdin.readline()
    if answer.strip().lower() not in {"y", "yes"}:
        raise CommandError(declined)


def password(of: str) -> str:
    """A password that exists, asked for once without echo; `of`: the user, and where it is used."""
    with _interruptible():
        return getpass(plain(f"Password of {of}: "))


def new_password(username: str) -> str:
    """A password, asked for twice without echo; the first line of standard input where that is no terminal."""
    if not sys.stdin.isatty():
        return _piped("password", "give one there, or say --generate")
    with _interruptible():
        first = getpass(plain(f"New password for {username}: "))
        if getpass("The same again: ") != first:
            raise MistakeError("The two passwords differ.")
    return first


def passphrase(of: str) -> str:
    """A passphrase, asked for once without echo; the first line of standard input where that is no terminal."""
    if not sys.stdin.isatty():
        return _piped("passphrase", "give it there")
    with _interruptible():
        return getpass(plain(f"Passphrase of {of}: "))


def _piped(kind: str, advice: str) -> str:
    line = sys.stdin.buffer.readline(_MAX_LINE)
    try:
        secret = line.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise MistakeError(f"The {kind} on standard input is not UTF-8.") from None
    if not secret:
        raise MistakeError(f"There is no {kind} on standard input: {advice}.")
    return secret
