"""Client metadata: read strictly, and written back (RFC 7591 section 2, OpenID Connect Dynamic Registration section 2).

One parser serves dynamic registration, client configuration and client ID metadata documents.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

from oauth_server.core import scopes
from oauth_server.core.capabilities import (
    CLIENT_ASSERTION_ALGORITHMS,
    REGISTRABLE_GRANT_TYPES,
    RESPONSE_TYPES,
    capabilities,
)
from oauth_server.core.client_keys import client_keys
from oauth_server.core.errors import (
    InvalidClientMetadataError,
    InvalidRedirectUriError,
    InvalidScopeError,
)
from oauth_server.core.hosts import authority_problem
from oauth_server.core.jwt_parts import JwtError
from oauth_server.core.redirect_uris import check_registrable, is_loopback
from oauth_server.core.settings import Settings
from oauth_server.store.records import Client, ClientSource

MAX_REDIRECT_URIS = 20
MAX_TEXT = 512
_TEXT = ("client_name", "software_id", "software_version")
_URIS = ("client_uri", "logo_uri", "tos_uri", "policy_uri")
_MAX_URI = 2048


def present(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The members that say something: null and the empty string count as absent, as in forms (RFC 6749 section 3.1)."""
    return {name: value for name, value in metadata.items() if value is not None and value != ""}


def parse_client(
    settings: Settings,
    metadata: Mapping[str, Any],
    *,
    client_id: str,
    created_at: float,
    source: ClientSource,
    methods: Collection[str],
    grant_types: Collection[str],
) -> Client:
    """The client that the metadata describes, without any secret; members nobody asked for are left out.

    `methods` and `grant_types` are those this kind of client may have. Raises InvalidRedirectUriError or
    InvalidClientMetadataError.
    """
    metadata = present(metadata)
    texts = {name: _text(metadata, name) for name in _TEXT}
    extra: dict[str, Any] = {name: value for name, value in texts.items() if value and name != "client_name"}
    extra |= {name: uri for name in _URIS if (uri := _web_uri(metadata, name))}
    extra |= _contacts(metadata)
    method = _one_of(metadata, "token_endpoint_auth_method", methods, "none")
    extra |= _keys(metadata, method)
    kept = _grant_types(metadata, grant_types)
    redirect_uris = _redirect_uris(metadata) if "authorization_code" in kept else ()
    native = _application_type(metadata, redirect_uris) == "native"
    for uri in redirect_uris:
        check_registrable(uri, native=native, private_use=settings.private_use_redirect_uris)
    extra |= _post_logout(metadata, settings, native=native)
    return Client(
        client_id=client_id,
        name=texts["client_name"] or "",
        secret_hash=None,
        auth_method=method,
        redirect_uris=redirect_uris,
        grant_types=kept,
        scope=_scope(metadata, settings),
        application_type="native" if native else "web",
        source=source,
        created_at=created_at,
        metadata=extra,
    )


def registered_metadata(client: Client) -> dict[str, Any]:
    """The client metadata as it was registered, defaults filled in; without any secret."""
    document: dict[str, Any] = {
        "client_name": client.name,
        "redirect_uris": list(client.redirect_uris),
        "token_endpoint_auth_method": client.auth_method,
        "grant_types": list(client.grant_types),
        "response_types": list(RESPONSE_TYPES) if "authorization_code" in client.grant_types else [],
        "application_type": client.application_type,
        **client.metadata,
    }
    if not client.name:
        del document["client_name"]
    if client.scope:
        document["scope"] = " ".join(client.scope)
    return document


def fingerprint(client: Client) -> bytes:
    """SHA-256 over everything that was registered; in which order members and list entries came changes nothing."""
    document = registered_metadata(client) | {"scope": sorted(client.scope)}
    said = {name: sorted(set(value)) if isinstance(value, list) else value for name, value in document.items()}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).digest()


def _scope(metadata: Mapping[str, Any], settings: Settings) -> tuple[str, ...]:
    """Keep the known scopes; a registered scope is a default for authorization, never a ceiling."""
    text = metadata.get("scope")
    if text is None:
        return ()
    if not isinstance(text, str):
        raise InvalidClientMetadataError("scope must be a string of scopes separated by blanks.")
    known = capabilities(settings).scopes
    try:
        return tuple(scope for scope in scopes.parse(text) if scope in known)
    except InvalidScopeError as error:
        raise InvalidClientMetadataError(error.description) from None


def _redirect_uris(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    uris = metadata.get("redirect_uris")
    if not isinstance(uris, list) or not uris:
        raise InvalidRedirectUriError("redirect_uris must be a list with at least one URI.")
    if len(uris) > MAX_REDIRECT_URIS:
        raise InvalidRedirectUriError(f"At most {MAX_REDIRECT_URIS} redirect URIs can be registered.")
    for uri in uris:
        if not isinstance(uri, str):
            raise InvalidRedirectUriError("Each redirect URI must be a string.")
    return tuple(dict.fromkeys(uris))


def _post_logout(metadata: Mapping[str, Any], settings: Settings, *, native: bool) -> dict[str, Any]:
    name = "post_logout_redirect_uris"
    uris = metadata.get(name)
    if uris is None:
        return {}
    if not isinstance(uris, list) or len(uris) > MAX_REDIRECT_URIS:
        raise InvalidClientMetadataError(f"{name} must be a list of at most {MAX_REDIRECT_URIS} URIs.")
    for uri in uris:
        check_registrable(uri, native=native, private_use=settings.private_use_redirect_uris)
    return {name: uris}


def _keys(metadata: Mapping[str, Any], method: str) -> dict[str, Any]:
    """The keys of a client that signs assertions: `jwks` or `jwks_uri`, never both (RFC 7591 section 2)."""
    if method != "private_key_jwt":
        return {}
    found = {name: metadata[name] for name in ("jwks", "jwks_uri") if name in metadata}
    if len(found) != 1:
        raise InvalidClientMetadataError("private_key_jwt needs the client's public keys: either jwks or jwks_uri.")
    if "jwks" in found:
        try:
            client_keys(found["jwks"])
            # It is handed back at registration: what is no JSON (NaN) or no text (a lone surrogate) could not be.
            json.dumps(found["jwks"], allow_nan=False, ensure_ascii=False).encode()
        except JwtError as error:
            raise InvalidClientMetadataError(f"jwks cannot be used: {error.reason}.") from None
        except (ValueError, RecursionError):
            raise InvalidClientMetadataError("jwks has a member that is not JSON.") from None
    elif not str(_web_uri(metadata, "jwks_uri")).startswith("https://"):
        raise InvalidClientMetadataError("jwks_uri must be an https URL.")
    name = "token_endpoint_auth_signing_alg"
    if name in metadata:
        found[name] = _one_of(metadata, name, CLIENT_ASSERTION_ALGORITHMS, "")
    return found


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
    if value is None:
        return None
    problem = InvalidClientMetadataError(f"{name} must be an https or http URL.")
    if not isinstance(value, str) or len(value) > _MAX_URI or not value.isprintable() or " " in value:
        raise problem
    try:
        parts = urlsplit(value)
    except ValueError:
        raise problem from None
    if parts.scheme not in ("https", "http"):
        raise problem
    wrong = authority_problem(parts)
    if wrong is not None:
        raise InvalidClientMetadataError(f"The URL in {name} {wrong}.")
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


def _one_of(metadata: Mapping[str, Any], name: str, accepted: Collection[str], default: str) -> str:
    value = metadata.get(name, default)
    if not isinstance(value, str) or value not in accepted:
        raise InvalidClientMetadataError(f"{name} must be one of {', '.join(accepted)}.")
    return value


def _grant_types(metadata: Mapping[str, Any], accepted: Collection[str]) -> tuple[str, ...]:
    """Drop what is not offered; refuse only when nothing usable is left. The code response type must remain usable."""
    wanted = metadata.get("grant_types")
    if wanted is not None and not (isinstance(wanted, list) and all(isinstance(w, str) for w in wanted)):
        raise InvalidClientMetadataError("grant_types must be a list of strings.")
    kept = tuple(grant for grant in accepted if grant in (wanted or REGISTRABLE_GRANT_TYPES))
    if wanted == [] or not {"authorization_code", "client_credentials"} & set(kept):
        others = " or client_credentials" if "client_credentials" in accepted else ""
        raise InvalidClientMetadataError(f"grant_types must contain authorization_code{others}.")
    responses = metadata.get("response_types")
    usable = responses is None or (isinstance(responses, list) and "code" in responses)
    if "authorization_code" in kept and not usable:
        raise InvalidClientMetadataError('response_types must contain "code".')
    return kept
