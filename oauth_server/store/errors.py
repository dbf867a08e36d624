"""What the store raises besides its outcomes."""


class StoreError(Exception):
    """The store cannot be used as configured; the message is one sentence for the operator."""


class StoreUnavailableError(Exception):
    """The database did not answer in time; the request may be repeated later."""


class NotMovedError(Exception):
    """Data was not copied, and nothing has changed; the message is one sentence for the operator."""


class NotEmptyError(NotMovedError):
    """The database to be filled has rows."""


def first_line(error: Exception) -> str:
    """What the driver said, in one line."""
    cause = getattr(error, "orig", None) or error
    return (str(cause).strip() or type(cause).__name__).splitlines()[0]
