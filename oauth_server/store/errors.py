"""What the store raises besides its outcomes."""


class StoreError(Exception):
    """The store cannot be used as configured; the message is one sentence for the operator."""


class StoreUnavailableError(Exception):
    """The database did not answer in time; the request may be repeated later."""
