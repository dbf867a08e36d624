"""Which settings may go together, once the issuer and the address to listen on are known (RFC 8414 section 2)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import quote_plus, urlsplit

from oauth_server.core.hosts import is_loopback_host
from oauth_server.core.passwords import PasswordError, new_password, normalise_username
from oauth_server.core.settings_rules import SettingsError

if TYPE_CHECKING:  # settings.py imports this module
    from oauth_server.core.settings import Settings

# Printed in the documentation's compose block, hence known to everyone.
_SAMPLE_SECRET = "mcp_secret_key_change_in_production_2024"  # noqa: S105
SECRET_LENGTH = 32  # characters; 64 hexadecimal ones are 256 bits
_LOOPBACK_BIND = "a loopback address in MCP_HOST, or MCP_OAUTH_INSECURE_BIND=true where only trusted callers reach it"
_LOOPBACK_ISSUER = "an issuer on localhost, 127.0.0.0/8 or [::1]"


def resolve_issuer(settings: Settings, port: int) -> str:
    """Return the configured issuer, or that of a server which listens on `port` of this machine."""
    if settings.issuer is not None:
        return settings.issuer
    return "http://localhost" if port == 80 else f"http://localhost:{port}"  # noqa: PLR2004


def check_deployment(settings: Settings, issuer: str, host: str) -> list[str]:
    """Return the warnings, one sentence each, about running as `issuer` on the address `host`.

    Raises SettingsError when these settings must not run there.
    """
    check_authorization_server(settings, issuer)
    return [
        *_plain_http(settings, issuer),
        *_opened(settings, issuer, host),
        *_sample_secret(settings, issuer),
        *_weak_secret(settings),
        *_encoded_credentials(settings),
    ]


def check_authorization_server(settings: Settings, issuer: str) -> None:
    """Refuse an authorization server that is not this one."""
    if settings.authorization_server not in {None, issuer}:
        problem = f"a separate authorization server is not supported for now, and this one is {issuer}"
        raise SettingsError("MCP_OAUTH_AUTHORIZATION_SERVER", problem, "the issuer, or nothing")


def check_lifetimes(settings: Settings) -> None:
    """Refuse refresh tokens that would have to be forgotten before they expire."""
    if settings.refresh_token_max_age < settings.refresh_token_expiry:
        raise SettingsError(
            "MCP_OAUTH_REFRESH_TOKEN_MAX_AGE",
            f"{settings.refresh_token_max_age} is less than MCP_OAUTH_REFRESH_TOKEN_EXPIRY",
            f"at least MCP_OAUTH_REFRESH_TOKEN_EXPIRY, which is {settings.refresh_token_expiry}",
        )


def check_owner(settings: Settings) -> None:
    """Refuse a password that is the owner's name."""
    if settings.admin_password is None:
        return
    try:
        new_password(settings.admin_password.get_secret_value(), normalise_username(settings.admin_username))
    except PasswordError as error:
        raise SettingsError("MCP_OAUTH_ADMIN_PASSWORD", str(error).removesuffix("."), "another password") from None


def check_cimd(settings: Settings) -> None:
    """Refuse a list of admitted hosts that has none."""
    if settings.cimd == "allowlist" and not settings.cimd_hosts:
        raise SettingsError("MCP_OAUTH_CIMD_HOSTS", "is empty, and MCP_OAUTH_CIMD is allowlist", "at least one host")


def _plain_http(settings: Settings, issuer: str) -> Iterator[str]:
    """RFC 8414 section 2: the issuer is an https URL; on loopback nothing leaves the machine."""
    named = [("MCP_OAUTH_ISSUER", issuer), *(("MCP_OAUTH_RESOURCE_URI", uri) for uri in settings.resource_uri)]
    exposed = []
    for name, uri in named:
        if uri.startswith("https://"):
            continue
        if settings.require_https:
            raise SettingsError(name, f"{uri} is not https, as MCP_OAUTH_REQUIRE_HTTPS=true demands", "https:// URIs")
        if is_loopback_host(_host(uri)):
            continue
        if settings.require_https is None:
            accepted = "https:// URIs, http:// on loopback, or http:// anywhere with MCP_OAUTH_REQUIRE_HTTPS=false"
            raise SettingsError(name, f"{uri} is not https", accepted)
        exposed.append(uri)
    if exposed:
        yield (
            f"MCP_OAUTH_REQUIRE_HTTPS=false: tokens and passwords for {', '.join(dict.fromkeys(exposed))} travel "
            "unencrypted, and whoever can read the network can use them."
        )


def _opened(settings: Settings, issuer: str, host: str) -> Iterator[str]:
    """Settings that open the server without a person's consent: for this machine only."""
    opened = []
    if not settings.enabled:
        opened.append(("ENABLE_MCP_OAUTH", "is false, so that /mcp asks nobody for a token", False))
    if not settings.require_auth:
        opened.append(("MCP_OAUTH_REQUIRE_AUTH", "is false, so that callers without a token may read", True))
    if settings.auto_approve:
        opened.append(("MCP_OAUTH_AUTO_APPROVE", "is set, so that whoever opens a link is signed in", True))
    for name, what, needs_loopback_issuer in opened:
        if needs_loopback_issuer and not is_loopback_host(_host(issuer)):
            raise SettingsError(name, f"{what}, but the issuer is {issuer}", _LOOPBACK_ISSUER)
        if is_loopback_host(host):
            continue
        if not settings.insecure_bind:
            raise SettingsError(name, f"{what}, but the server would listen on {host}", _LOOPBACK_BIND)
        yield f"{name} {what}, and the server listens on {host} (MCP_OAUTH_INSECURE_BIND=true)."


def _sample_secret(settings: Settings, issuer: str) -> Iterator[str]:
    secret = settings.client_secret
    if secret is None or secret.get_secret_value() != _SAMPLE_SECRET:
        return
    host = _host(issuer)
    if not is_loopback_host(host) and ("." in host or ":" in host):
        problem = f"is the sample of the documentation, which everyone knows, and the issuer is {issuer}"
        raise SettingsError("MCP_OAUTH_CLIENT_SECRET", problem, "a secret of your own: openssl rand -hex 32")
    yield "MCP_OAUTH_CLIENT_SECRET is the sample of the documentation, which everyone knows: change it for production."


def _weak_secret(settings: Settings) -> Iterator[str]:
    """A secret that guessing could reach; the rule of the setting refuses what is shorter still."""
    secret = settings.client_secret
    if secret is not None and len(secret.get_secret_value()) < SECRET_LENGTH:
        yield (
            f"MCP_OAUTH_CLIENT_SECRET has fewer than {SECRET_LENGTH} characters, which the next release refuses: make "
            "another with openssl rand -hex 32."
        )


def _encoded_credentials(settings: Settings) -> Iterator[str]:
    """Credentials that clients must form-encode in HTTP Basic (RFC 6749 section 2.3.1), which many do not."""
    secret = settings.client_secret
    if secret is None:
        return
    for name, value in (
        ("MCP_OAUTH_CLIENT_ID", settings.client_id),
        ("MCP_OAUTH_CLIENT_SECRET", secret.get_secret_value()),
    ):
        if quote_plus(value, safe="*~") != value:
            yield (
                f"{name} has characters that a client must encode in HTTP Basic (RFC 6749 section 2.3.1), as many do "
                "not: letters, digits, -, . and _ need no encoding."
            )


def _host(uri: str) -> str:
    return urlsplit(uri).hostname or ""
