"""The operator's settings: environment variables, files for secrets and command-line options, read once and frozen."""

import os
import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

import platformdirs
from pydantic import BeforeValidator, Field, PrivateAttr, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from oauth_server.core import settings_rules as rules
from oauth_server.core import settings_uris as uris
from oauth_server.core.settings_deployment import (
    check_authorization_server,
    check_cimd,
    check_deployment,
    check_lifetimes,
    check_owner,
    resolve_issuer,
)
from oauth_server.core.settings_rules import RefusedError, SettingsError

__all__ = [
    "ENV_NAMES",
    "Settings",
    "SettingsError",
    "check_deployment",
    "load",
    "resolve_issuer",
]

Origin = Literal["default", "environment", "file", "option"]

_PREFIX = "MCP_OAUTH_"
_FROM_FILE = frozenset(
    {
        "MCP_OAUTH_CLIENT_SECRET",
        "MCP_OAUTH_ADMIN_PASSWORD",
        "MCP_OAUTH_DATABASE_URL",
        "MCP_OAUTH_KEY_ENCRYPTION_KEY",
    }
)
_MAX_FILE = 65536
# What Kubernetes injects into every pod for a service called mcp-oauth or mcp-oauth-….
_KUBERNETES = re.compile(r".*_SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)|.*_PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?")
_KUBERNETES_URL = re.compile(r"(tcp|udp|sctp)://")

_Flag = Annotated[bool, BeforeValidator(rules.flag)]
_Line = Annotated[str, BeforeValidator(rules.line)]
_Issuer = Annotated[str | None, BeforeValidator(uris.origin)]
_Proxies = Annotated[tuple[str, ...], BeforeValidator(rules.proxies)]
_Origins = Annotated[tuple[str, ...], BeforeValidator(uris.origins)]
_Scopes = Annotated[tuple[str, ...], BeforeValidator(rules.scopes)]


def _default_database_url() -> str:
    return f"sqlite:///{(Path(platformdirs.user_data_dir('mcp-docker-server')) / 'oauth.db').as_posix()}"


def _seconds(low: int, high: int) -> BeforeValidator:
    return BeforeValidator(rules.number(low, high, " of seconds"))


class Settings(BaseSettings):
    """Every setting with its default; made by `load`, since building one by hand reads no environment.

    Durations are whole seconds; URIs are in normal form; `()` and None mean that nothing was configured.
    """

    model_config = SettingsConfigDict(frozen=True, validate_default=False, hide_input_in_errors=True)

    enabled: _Flag = Field(True, validation_alias="ENABLE_MCP_OAUTH")
    require_auth: _Flag = Field(True, validation_alias="MCP_OAUTH_REQUIRE_AUTH")
    auto_approve: Annotated[str, BeforeValidator(rules.user_to_approve)] = Field(
        "", validation_alias="MCP_OAUTH_AUTO_APPROVE"
    )
    insecure_bind: _Flag = Field(False, validation_alias="MCP_OAUTH_INSECURE_BIND")
    issuer: _Issuer = Field(None, validation_alias="MCP_OAUTH_ISSUER")
    authorization_server: _Issuer = Field(None, validation_alias="MCP_OAUTH_AUTHORIZATION_SERVER")
    resource_uri: Annotated[tuple[str, ...], BeforeValidator(uris.resource_uris)] = Field(
        (), validation_alias="MCP_OAUTH_RESOURCE_URI"
    )
    client_id: Annotated[str, BeforeValidator(rules.client_id)] = Field(
        "mcp-docker-server-default", validation_alias="MCP_OAUTH_CLIENT_ID"
    )
    client_secret: Annotated[SecretStr | None, BeforeValidator(rules.client_secret)] = Field(
        None, validation_alias="MCP_OAUTH_CLIENT_SECRET"
    )
    client_name: _Line = Field("MCP Docker Dev Server", validation_alias="MCP_OAUTH_CLIENT_NAME")
    client_redirect_uris: Annotated[tuple[str, ...], BeforeValidator(uris.redirect_uris)] = Field(
        ("http://localhost/callback", "http://127.0.0.1/callback", "http://[::1]/callback"),
        validation_alias="MCP_OAUTH_CLIENT_REDIRECT_URIS",
    )
    token_expiry: Annotated[int, _seconds(60, 86_400)] = Field(3600, validation_alias="MCP_OAUTH_TOKEN_EXPIRY")
    refresh_token_expiry: Annotated[int, _seconds(300, 31_536_000)] = Field(
        2_592_000, validation_alias="MCP_OAUTH_REFRESH_TOKEN_EXPIRY"
    )
    refresh_token_max_age: Annotated[int, _seconds(300, 63_072_000)] = Field(
        15_552_000, validation_alias="MCP_OAUTH_REFRESH_TOKEN_MAX_AGE"
    )
    refresh_grace: Annotated[int, _seconds(0, 300)] = Field(30, validation_alias="MCP_OAUTH_REFRESH_GRACE")
    scope: _Scopes = Field(("mcp:read", "mcp:write", "mcp:admin"), validation_alias="MCP_OAUTH_SCOPE")
    require_https: Annotated[bool | None, BeforeValidator(rules.flag)] = Field(
        None, validation_alias="MCP_OAUTH_REQUIRE_HTTPS"
    )
    dynamic_registration: _Flag = Field(True, validation_alias="MCP_OAUTH_DYNAMIC_REGISTRATION")
    enable_pkce: Annotated[bool, BeforeValidator(rules.pkce)] = Field(True, validation_alias="MCP_OAUTH_ENABLE_PKCE")
    allow_origins: _Origins = Field((), validation_alias="MCP_OAUTH_ALLOW_ORIGINS")
    trusted_proxies: _Proxies = Field((), validation_alias="MCP_OAUTH_TRUSTED_PROXIES")
    # Not in repr: the URL may hold a password.
    database_url: Annotated[str, BeforeValidator(rules.database_url)] = Field(
        default_factory=_default_database_url, validation_alias="MCP_OAUTH_DATABASE_URL", repr=False
    )
    signing_alg: Annotated[Literal["ES256", "RS256"], BeforeValidator(rules.choice("ES256", "RS256"))] = Field(
        "ES256", validation_alias="MCP_OAUTH_SIGNING_ALG"
    )
    key_rotation_days: Annotated[int, BeforeValidator(rules.number(0, 3650, " of days, 0 for never"))] = Field(
        90, validation_alias="MCP_OAUTH_KEY_ROTATION_DAYS"
    )
    audit_retention_days: Annotated[int, BeforeValidator(rules.number(0, 3650, " of days, 0 for ever"))] = Field(
        365, validation_alias="MCP_OAUTH_AUDIT_RETENTION_DAYS"
    )
    key_encryption_key: Annotated[SecretStr | None, BeforeValidator(rules.key_encryption_key)] = Field(
        None, validation_alias="MCP_OAUTH_KEY_ENCRYPTION_KEY"
    )
    admin_username: Annotated[str, BeforeValidator(rules.username)] = Field(
        "admin", validation_alias="MCP_OAUTH_ADMIN_USERNAME"
    )
    admin_password: Annotated[SecretStr | None, BeforeValidator(rules.password)] = Field(
        None, validation_alias="MCP_OAUTH_ADMIN_PASSWORD"
    )
    cimd: Annotated[Literal["open", "allowlist", "off"], BeforeValidator(rules.choice("open", "allowlist", "off"))] = (
        Field("open", validation_alias="MCP_OAUTH_CIMD")
    )
    cimd_hosts: Annotated[tuple[str, ...], BeforeValidator(uris.hosts)] = Field(
        (), validation_alias="MCP_OAUTH_CIMD_HOSTS"
    )
    check_hosts: Annotated[tuple[str, ...], BeforeValidator(uris.hosts_and_ports)] = Field(
        (), validation_alias="MCP_OAUTH_CHECK_HOSTS"
    )
    private_use_redirect_uris: Annotated[tuple[str, ...], BeforeValidator(uris.private_use_uris)] = Field(
        (), validation_alias="MCP_OAUTH_PRIVATE_USE_REDIRECT_URIS"
    )
    transport: Annotated[Literal["http", "stdio"], BeforeValidator(rules.choice("http", "stdio"))] = Field(
        "http", validation_alias="MCP_TRANSPORT"
    )
    host: Annotated[str, BeforeValidator(uris.host)] = Field("127.0.0.1", validation_alias="MCP_HOST")
    port: Annotated[int, BeforeValidator(rules.number(0, 65_535))] = Field(8000, validation_alias="MCP_PORT")
    workers: Annotated[int, BeforeValidator(rules.number(1, 256))] = Field(1, validation_alias="MCP_WORKERS")
    keep_alive: Annotated[int, _seconds(1, 3600)] = Field(180, validation_alias="MCP_KEEP_ALIVE")
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        BeforeValidator(rules.choice("debug", "info", "warning", "error")),
    ] = Field("info", validation_alias="MCP_LOG_LEVEL")
    log_format: Annotated[Literal["text", "json"], BeforeValidator(rules.choice("text", "json"))] = Field(
        "text", validation_alias="MCP_LOG_FORMAT"
    )
    metrics_host: Annotated[str, BeforeValidator(uris.host)] = Field("127.0.0.1", validation_alias="MCP_METRICS_HOST")
    metrics_port: Annotated[int | None, BeforeValidator(rules.number(1, 65_535))] = Field(
        None, validation_alias="MCP_METRICS_PORT"
    )

    _origins: Mapping[str, Origin] = PrivateAttr(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        *_: PydanticBaseSettingsSource,
        **__: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Leave out pydantic's own sources: `load` hands over what was read, and from nowhere else."""
        return (init_settings,)

    @property
    def origins(self) -> Mapping[str, Origin]:
        """By environment name: where the value of each setting came from."""
        return MappingProxyType({name: self._origins.get(name, "default") for name in ENV_NAMES.values()})

    def shown(self) -> dict[str, str | int | bool | list[str] | None]:
        """Return the values by environment name, for people: no secret, and no password inside a URL."""
        values = {name: getattr(self, attribute) for attribute, name in ENV_NAMES.items()}
        values |= {name: list(value) for name, value in values.items() if isinstance(value, tuple)}
        for attribute in ("client_secret", "admin_password", "key_encryption_key"):
            values[ENV_NAMES[attribute]] = "not set" if getattr(self, attribute) is None else "set"
        values[ENV_NAMES["database_url"]] = rules.masked_url(self.database_url)
        return values


ENV_NAMES: Mapping[str, str] = MappingProxyType(
    {attribute: str(field.validation_alias) for attribute, field in Settings.model_fields.items()}
)


class EnvironmentSource(PydanticBaseSettingsSource):
    """Reads an environment: quotes, empty values, files of secrets; notes by name where each value came from."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        super().__init__(Settings)
        self.environ = environ
        self.origins: dict[str, Origin] = {}

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[str | None, str, bool]:  # noqa: ARG002
        """Return the text given for one field (None: not set), its environment name, and that it is no JSON."""
        name = str(field.validation_alias)
        value = self._text(name)
        # For a service called mcp, Kubernetes sets MCP_PORT=tcp://10.0.0.1:8000.
        if name in {"MCP_PORT", "MCP_METRICS_PORT"} and value and _KUBERNETES_URL.match(value):
            value = None
        path = self._text(f"{name}_FILE") if name in _FROM_FILE else None
        if value is not None and path is not None:
            raise SettingsError(name, f"{name}_FILE is given as well", "one of the two")
        if path is not None:
            value = _read(f"{name}_FILE", path)
        if value is not None:
            self.origins[name] = "environment" if path is None else "file"
        return value, name, False

    def __call__(self) -> dict[str, Any]:
        """Return the text of every field that is set, by environment name."""
        found = (self.get_field_value(field, attribute) for attribute, field in Settings.model_fields.items())
        return {name: value for value, name, _ in found if value is not None}

    def _text(self, name: str) -> str | None:
        """Return a value without one pair of matching quotes; None when empty, as compose passes what is not set.

        A secret of blanks alone was meant to be one: it is refused, since without it the server would be more open.
        """
        given = self.environ.get(name, "")
        value = given.strip()
        if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
            given = value = value[1:-1]
        if value.strip():
            return value
        if given and name in _FROM_FILE:
            raise SettingsError(name, "it has blanks only", "a secret, or an empty value for none")
        return None


def _read(name: str, path: str) -> str:
    """Return the secret in a file; the path is never shown, since it may be the secret itself, given by mistake."""
    accepted = "the path of a readable text file that holds the value alone"
    try:
        with Path(path).open(encoding="utf-8") as file:
            text = file.read(_MAX_FILE + 1)
    except OSError as error:
        raise SettingsError(name, f"the file cannot be read ({error.strerror})", accepted) from None
    except ValueError:
        raise SettingsError(name, "the file is not text, or the path is none", accepted) from None
    if not text.strip() or len(text) > _MAX_FILE:
        raise SettingsError(name, "the file is too large" if text.strip() else "the file is empty", accepted)
    return text.removesuffix("\n")


def _check_names(environ: Mapping[str, str]) -> None:
    known = {*ENV_NAMES.values(), *(f"{name}_FILE" for name in _FROM_FILE)}
    # Compared without what all have in common, or everything would be close to everything.
    tails = {re.sub(r"_?MCP(_OAUTH)?_?", "", name): name for name in known}
    for name in sorted(environ):
        if not name.startswith(_PREFIX) or name in known or _KUBERNETES.fullmatch(name):
            continue
        if name.endswith("_PORT") and _KUBERNETES_URL.match(environ[name]):
            continue
        close = get_close_matches(name.removeprefix(_PREFIX), tails, n=1)
        hint = f", did you mean {tails[close[0]]}?" if close else ""
        raise SettingsError(name, f"there is no such setting{hint}", "the names in the table of settings in README.md")


def load(
    environ: Mapping[str, str] | None = None,
    *,
    transport: str | None = None,
    host: str | None = None,
    port: int | None = None,
    workers: int | None = None,
) -> Settings:
    """Return the settings of an environment (None: the process's own); an option that is given goes before it.

    Raises SettingsError for the first mistake found. Reads nothing but the files that `NAME_FILE` names.
    """
    environ = os.environ if environ is None else environ
    _check_names(environ)
    source = EnvironmentSource(environ)
    values = source()
    options = {"transport": transport, "host": host, "port": port, "workers": workers}
    given = {ENV_NAMES[option]: str(value) for option, value in options.items() if value is not None}
    origins = source.origins | dict.fromkeys(given, "option")
    try:
        settings = Settings(**values | given)
    except ValidationError as error:
        raise _explained(error, origins) from None
    settings._origins = origins  # noqa: SLF001
    check_lifetimes(settings)
    check_owner(settings)
    check_cimd(settings)
    if settings.issuer is not None:
        check_authorization_server(settings, settings.issuer)
    return settings


def _explained(error: ValidationError, origins: Mapping[str, Origin]) -> SettingsError:
    first = error.errors(include_input=False, include_url=False)[0]
    name = str(first["loc"][0])
    label = f"--{name.removeprefix('MCP_').lower()}" if origins.get(name) == "option" else name
    # Each field has a rule of ours in front, so that nothing is left for pydantic to refuse in its own words.
    refused: RefusedError = first["ctx"]["error"]
    return SettingsError(label, refused.problem, refused.accepted)
