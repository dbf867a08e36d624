"""What is done again and again for as long as a process serves: a failure is told once, until it succeeds again."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from oauth_server.core.settings_rules import SettingsError
from oauth_server.store.errors import StoreUnavailableError


class ToldOnce:
    """Goes on after a failure. `sentence` says what cannot be done, with a %s for the reason."""

    def __init__(self, logger: logging.Logger, sentence: str) -> None:
        self._logger = logger
        self._sentence = sentence
        self._failing = False

    @contextmanager
    def trial(self) -> Iterator[None]:
        """Do it once more; what nobody foresaw is told with its traceback."""
        try:
            yield
        except Exception as error:
            if not self._failing:
                foreseen = isinstance(error, (StoreUnavailableError, SettingsError))
                level = logging.WARNING if foreseen else logging.ERROR
                self._logger.log(level, self._sentence, error, exc_info=None if foreseen else error)
            self._failing = True
        else:
            self._failing = False
