"""Dynamic client registration: client metadata in, a client out (RFC 7591 sections 2 and 3).

One parser serves the HTTP endpoint and the MCP tool.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from oauth_server.core import scopes
from oauth_server.core.capabilities import CLIENT_AUTH_METHODS, GRANT_TYPES, RESPONSE_TYPES, capabilities
from oauth_server.core.clients import Clients, secret_hash
from oauth_server.core.clock import Clock, random_id, random_token
from oauth_server.core.errors import (
    AccessDeniedError,
    InvalidClientMetadataError,
    InvalidRedirectUriError,
    InvalidScopeError,
)
from oauth_server.core.redirect_uris import check_registrable, is_loopback
from oauth_server.core.settings import Settings
from oauth_server.store.records import Client

MAX_REDIRECT_URIS = 20
MAX_TEXT = 512
_TEXT = ("client_name", "software_id", "software_version")
_URIS = ("client_uri", "logo_uri", "tos_uri", "policy_uri")
_MAX_URI = 2048


class Registration:
    """Registers clients as the settings allow."""

    def __init__(self, settings: Settings, clients: Clients, clock: Clock) -> None:
        self._settings = settings
        self._clients = clients
        self._clock = clock

    @property
    def is_open(self) -> bool:
        """Whether anybody may register a client."""
        return capabilities(self._settings).registration

    async def register(self, metadata: Mapping[str, Any], *, by_administrator: bool = False) -> dict[str, Any]:
        """Register a client and return the client information response (RFC 7591 section 3.2.1).

        `client_secret`, for a confidential client, is in this answer and nowhere else ever again. Raises
        InvalidRedirectUriError, InvalidClientMetadataError or AccessDeniedError; nothing is stored then.
        """
        if not (self.is_open or by_administrator):
            raise AccessDeniedError(
                "Dynamic client registration is switched off here (MCP_OAUTH_DYNAMIC_REGISTRATION=false); "
                "ask the operator of this server for a client_id."
            )
        client, secret = self._client(metadata)
        await self._clients.register(client)
        answer: dict[str, Any] = {"client_id": client.client_id, "client_id_issued_at": int(client.created_at)}
        if secret is not None:
            answer |= {"client_secret": secret, "client_secret_expires_at": 0}
        return answer | registered_metadata(client)

    def _client(self, metadata: Mapping[str, Any]) -> tuple[Client, str | None]:
        if "software_statement" in metadata:
            raise InvalidClientMetadataError("Software statements are not supported.")
        texts = {name: _text(metadata, name) for name in _TEXT}
        extra: dict[str, Any] = {name: value for name, value in texts.items() if value and name != "client_name"}
        extra |= {name: uri for name in _URIS if (uri := _web_uri(metadata, name))}
        extra |= _contacts(metadata)
        redirect_uris = self._redirect_uris(metadata)
        native = _application_type(metadata, redirect_uris) == "native"
        for uri in redirect_uris:
            check_registrable(uri, native=native, private_use=self._settings.private_use_redirect_uris)
        extra |= self._post_logout(metadata, native=native)
        method = _one_of(metadata, "token_endpoint_auth_method", CLIENT_AUTH_METHODS, "none")
        grant_types = _grant_types(metadata)
        secret = None if method == "none" else random_token()
        client = Client(
            client_id=random_id(),
            name=texts["client_name"] or "",
            secret_hash=None if secret is None else secret_hash(secret),
            auth_method=method,
            redirect_uris=redirect_uris,
            grant_types=grant_types,
            scope=self._scope(metadata),
            application_type="native" if native else "web",
            source="registered",
            created_at=self._clock(),
            metadata=extra,
        )
        return client, secret

    def _scope(self, metadata: Mapping[str, Any]) -> tuple[str, ...]:
        """Keep the known scopes; a registered scope is a default for authorization, never a ceiling."""
        text = metadata.get("scope")
        if text is None:
            return ()
        if not isinstance(text, str):
            raise InvalidClientMetadataError("scope must be a string of scopes separated by blanks.")
        known = capabilities(self._settings).scopes
        try:
            return tuple(scope for scope in scopes.parse(text) if scope in known)
        except InvalidScopeError as error:
            raise InvalidClientMetadataError(error.description) from None

    def _redirect_uris(self, metadata: Mapping[str, Any]) -> tuple[str, ...]:
        uris = metadata.get("redirect_uris")
        if not isinstance(uris, list) or not uris:
            raise InvalidRedirectUriError("redirect_uris must be a list with at least one URI.")
        if len(uris) > MAX_REDIRECT_URIS:
            raise InvalidRedirectUriError(f"At most {MAX_REDIRECT_URIS} redirect URIs can be registered.")
        for uri in uris:
            if not isinstance(uri, str):
                raise InvalidRedirectUriError("Each redirect URI must be a string.")
        return tuple(dict.fromkeys(uris))

    def _post_logout(self, metadata: Mapping[str, Any], *, native: bool) -> dict[str, Any]:
        if metadata.get("post_logout_redirect_uris") is None:
            return {}
        name = "post_logout_redirect_uris"
        uris = metadata[name]
        if not isinstance(uris, list) or len(uris) > MAX_REDIRECT_URIS:
            raise InvalidClientMetadataError(f"{name} must be a list of at most {MAX_REDIRECT_URIS} URIs.")
        for uri in uris:
            check_registrable(uri, native=native, private_use=self._settings.private_use_redirect_uris)
        return {name: uris}


def registered_metadata(client: Client) -> dict[str, Any]:
    """The client metadata as it was registered, defaults filled in; without any secret."""
    document: dict[str, Any] = {
        "client_name": client.name,
        "redirect_uris": list(client.redirect_uris),
        "token_endpoint_auth_method": client.auth_method,
        "grant_types": list(client.grant_types),
        "response_types": list(RESPONSE_TYPES),
        "application_type": client.application_type,
        **client.metadata,
    }
    if not client.name:
        del document["client_name"]
    if client.scope:
        document["scope"] = " ".join(client.scope)
    return document


def _text(metadata: Mapping[str, Any], name: str) -> str | None:
    value = metadata.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > MAX_TEXT or not _storable(value):
        raise InvalidClientMetadataError(f"{name} must be a string of at most {MAX_TEXT} characters, without NUL.")
    return value


def _storable(value: str) -> bool:
    """Whether both engines can store the text: no NUL, no lone surrogate."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return "\x00" not in value


def _web_uri(metadata: Mapping[str, Any], name: str) -> str | None:
    value = metadata.get(name)
    if value is None or value == "":
        return None
    problem = InvalidClientMetadataError(f"{name} must be an https or http URL.")
    if not isinstance(value, str) or len(value) > _MAX_URI or not value.isprintable() or " " in value:
        raise problem
    try:
        parts = urlsplit(value)
    except ValueError:
        raise problem from None
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise problem
    return value


def _contacts(metadata: Mapping[str, Any]) -> dict[str, Any]:
    contacts = metadata.get("contacts")
    if contacts is None:
        return {}
    if not isinstance(contacts, list) or len(contacts) > MAX_REDIRECT_URIS:
        raise InvalidClientMetadataError("contacts must be a short list of strings.")
    for contact in contacts:
        if not isinstance(contact, str) or len(contact) > MAX_TEXT or not _storable(contact):
            raise InvalidClientMetadataError("Each contact must be a short string.")
    return {"contacts": contacts}


def _application_type(metadata: Mapping[str, Any], redirect_uris: tuple[str, ...]) -> str:
    own_computer = any(is_loopback(uri) or not uri.startswith(("http:", "https:")) for uri in redirect_uris)
    return _one_of(metadata, "application_type", ("web", "native"), "native" if own_computer else "web")


def _one_of(metadata: Mapping[str, Any], name: str, accepted: tuple[str, ...], default: str) -> str:
    value = metadata.get(name, default)
    if value is None:
        return default
    if not isinstance(value, str) or value not in accepted:
        raise InvalidClientMetadataError(f"{name} must be one of {', '.join(accepted)}.")
    return value


def _grant_types(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """Drop what is not offered; refuse only when nothing is left. The code response type must remain usable."""
    wanted = metadata.get("grant_types")
    if wanted is not None and not (isinstance(wanted, list) and all(isinstance(w, str) for w in wanted)):
        raise InvalidClientMetadataError("grant_types must be a list of strings.")
    kept = tuple(grant for grant in GRANT_TYPES if wanted is None or grant in wanted)
    if "authorization_code" not in kept:
        raise InvalidClientMetadataError("grant_types must contain authorization_code.")
    responses = metadata.get("response_types")
    if responses is not None and (not isinstance(responses, list) or "code" not in responses):
        raise InvalidClientMetadataError('response_types must contain "code".')
    return kept
