"""Clients as operators and their assistants see them: what an anonymous registrant wrote is marked as unverified."""

from collections.abc import Mapping
from typing import Any, Final

from oauth_server.core.client_metadata import registered_metadata
from oauth_server.core.untrusted import inert, unverified
from oauth_server.store.records import Client

_MOST_URI = 200  # characters
# Members whose values are checked against a list of this server's own.
_LISTED: Final = frozenset(
    {
        "token_endpoint_auth_method",
        "token_endpoint_auth_signing_alg",
        "grant_types",
        "response_types",
        "application_type",
        "scope",
    }
)
_URIS: Final = frozenset(
    {
        "redirect_uris",
        "post_logout_redirect_uris",
        "client_uri",
        "logo_uri",
        "tos_uri",
        "policy_uri",
        "jwks_uri",
    }
)
_KEY: Final = ("kty", "crv", "kid", "use", "alg")


def name_of(client: Client) -> str:
    """Return the client's name for a person or an assistant: the operator's own words as they are, others marked."""
    return client.name if client.by_operator else unverified(client.name)


def described(client: Client) -> dict[str, Any]:
    """Return the client for an operator: what was registered, without its secret and fit to show, and its times.

    `unverified` names the members that the registrant wrote; it is absent where the operator did. URIs are
    cut to 200 characters, other texts are marked. Keys in `jwks` are shown by what tells them apart.
    """
    metadata = registered_metadata(client)
    record: dict[str, Any] = {"client_id": client.client_id, "source": client.source}
    if client.by_operator:
        record |= metadata
    else:
        record |= {name: _shown(name, value) for name, value in metadata.items()}
        record["unverified"] = sorted(name for name, value in metadata.items() if name not in _LISTED and value)
    if client.resources:
        record["resources"] = list(client.resources)
    return {**record, "created_at": client.created_at, "last_used_at": client.last_used_at}


def _shown(name: str, value: Any) -> Any:
    if name in _LISTED:
        return value
    if isinstance(value, list):
        return [_shown(name, item) for item in value]
    if isinstance(value, Mapping):  # a JWK Set
        return {"keys": [{part: unverified(str(key[part])) for part in _KEY if part in key} for key in value["keys"]]}
    return inert(value, _MOST_URI) if name in _URIS else unverified(value)
