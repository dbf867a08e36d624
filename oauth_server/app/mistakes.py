"""How an operator's mistake ends the process. Imports little, so that it is told before FastMCP is loaded."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from oauth_server.core.settings import SettingsError


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn an operator's mistake into one line on stderr and exit status 2, without a traceback."""
    try:
        yield
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(2) from None
    except BaseExceptionGroup as group:
        mistake = _first_mistake(group)
        if mistake is None:
            raise
        sys.stderr.write(f"{mistake}\n")
        raise SystemExit(2) from None


def _first_mistake(group: BaseExceptionGroup[BaseException]) -> SettingsError | None:
    matching = group.subgroup(SettingsError)
    while isinstance(matching, BaseExceptionGroup):
        inner = matching.exceptions[0]
        if isinstance(inner, SettingsError):
            return inner
        matching = inner if isinstance(inner, BaseExceptionGroup) else None
    return None
