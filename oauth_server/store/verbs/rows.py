"""Rows to records."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import RowMapping

from oauth_server.store.records import Client, Grant, User

USER_FIELDS = User._fields

Found = Mapping[str, Any] | RowMapping


def user_of(row: Found, prefix: str = "") -> User:
    """A User from the columns named `prefix` + field."""
    return User(*[row[prefix + name] for name in USER_FIELDS])


def client_of(row: Found) -> Client:
    """A Client from a row of `clients`."""
    values: dict[str, Any] = dict(row)
    values["redirect_uris"] = tuple(values["redirect_uris"])
    values["grant_types"] = tuple(values["grant_types"])
    return Client(**values)


def grant_of(row: Found) -> Grant:
    """A Grant from a row of `grants` joined with its person."""
    values: dict[str, Any] = {name: row[name] for name in Grant.__dataclass_fields__}
    return Grant(**values)
