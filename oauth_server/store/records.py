"""What the store hands out: frozen records, and the typed outcomes of the verbs that decide something."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

ClientSource = Literal["configured", "registered", "document"]
KeyUse = Literal["access", "id"]


@dataclass(frozen=True, slots=True)
class Client:
    """A client (RFC 7591 section 2): configured, registered, or known by its metadata document.

    `secret_hash` is None unless it authenticates by a secret; `resources` are those whose tokens it may introspect;
    `fingerprint` is set where identical registrations share it; `registration_token_hash` where it manages itself;
    `unused_until` (Unix seconds) where it ends unless it was used before.
    """

    client_id: str
    name: str
    secret_hash: bytes | None
    auth_method: str
    redirect_uris: tuple[str, ...]
    grant_types: tuple[str, ...]
    scope: tuple[str, ...]
    application_type: str
    source: ClientSource
    created_at: float
    last_used_at: float | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    resources: tuple[str, ...] = ()
    fingerprint: bytes | None = None
    registration_token_hash: bytes | None = None
    registered_from: str = ""
    unused_until: float | None = None

    @property
    def confidential(self) -> bool:
        """Whether the client authenticates at the token endpoint (RFC 6749 section 2.1)."""
        return self.auth_method != "none"

    @property
    def by_operator(self) -> bool:
        """Whether the operator added the client: in the settings, by a command, or by a tool of an administrator.

        Every other registration has a source address, an end while it is unused, or a registration access token.
        """
        alone = self.unused_until is None and not self.registered_from and self.registration_token_hash is None
        return self.source == "configured" or (self.source == "registered" and alone)


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many clients anybody may register: new ones from one source in `window` seconds, unused ones in all."""

    from_source: int
    window: float
    unused: int


@dataclass(frozen=True, slots=True)
class TooMany:
    """A registration beyond the bounds: of which of them, and when there is room again (Unix seconds).

    `kind` is that of the bucket without room, where it is one of a network around the source.
    """

    bound: Literal["from_source", "unused"]
    until: float
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where failed attempts are counted: it holds `size` of them, and one leaves each `interval` seconds.

    `kind` says by what they are counted; one that is `shared` by many people is not emptied by a success.
    """

    kind: str
    key: bytes
    size: int
    interval: float
    shared: bool = False

    @property
    def window(self) -> float:
        """Seconds in which a full one empties."""
        return self.size * self.interval


@dataclass(frozen=True, slots=True)
class Full:
    """A bucket without room for another attempt, and when there is room again (Unix seconds)."""

    bucket: Bucket
    until: float


@dataclass(frozen=True, slots=True)
class InitialAccessToken:
    """The right to register a number of clients (RFC 7591 section 3); of the token itself only the SHA-256 is kept."""

    token_hash: bytes
    created_at: float
    expires_at: float
    uses_left: int

    @property
    def token_id(self) -> str:
        """What the operator names it by: it opens nothing."""
        return self.token_hash.hex()[:16]


class User(NamedTuple):
    """A person who can sign in; `user_id` is the random `sub`, `scope` the ceiling of what may be granted."""

    user_id: str
    username: str
    password_hash: str
    scope: tuple[str, ...]
    created_at: float
    display_name: str = ""
    email: str = ""
    must_change_password: bool = False
    disabled: bool = False


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in browser, with the person it belongs to; times are Unix seconds."""

    session_hash: bytes
    user: User
    auth_time: float
    expires_at: float


@dataclass(frozen=True, slots=True)
class Code:
    """An authorization code as it is stored: only its SHA-256, and everything it is bound to.

    `document` is the digest of the client's metadata document, for a client that is known by one.
    """

    code_hash: bytes
    grant_id: str
    client_id: str
    user_id: str
    redirect_uri: str
    challenge: str
    resources: tuple[str, ...]
    scope: tuple[str, ...]
    nonce: str | None
    auth_time: float
    expires_at: float
    document: bytes | None = None
    requested: tuple[str, ...] | None = None  # None: not known, of an earlier release


class NewRefresh(NamedTuple):
    """A refresh token about to be stored: its SHA-256, and when it ends unless it is used."""

    token_hash: bytes
    idle_until: float


@dataclass(frozen=True, slots=True)
class Permitted:
    """The bounds of every grant: what the server is configured for, and what counts as the same.

    `unlimited` scopes have no ceiling; `includes` is the scope hierarchy; `narrower` names, for a resource, the names
    that are part of it.
    """

    configured: frozenset[str]
    unlimited: frozenset[str]
    includes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    narrower: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def cut(self, scope: tuple[str, ...], ceiling: tuple[str, ...]) -> tuple[str, ...]:
        """`scope` without what is not configured or above the person's ceiling, in its own order."""
        allowed = self._closed(ceiling)
        return tuple(s for s in scope if s in self.unlimited or (s in self.configured and s in allowed))

    def within(self, scope: tuple[str, ...], granted: tuple[str, ...]) -> bool:
        """Whether a scope asks for nothing beyond what was granted."""
        return set(scope) <= self._closed(granted)

    def part(self, scope: tuple[str, ...], granted: tuple[str, ...]) -> tuple[str, ...]:
        """What of `scope` was granted, in its own order."""
        allowed = self._closed(granted)
        return tuple(s for s in scope if s in allowed)

    def for_resource(self, asked: str | None, granted: tuple[str, ...]) -> bool:
        """Whether the resource asked for, if any, was granted, or is part of one that was."""
        return asked is None or asked in granted or any(asked in self.narrower.get(name, ()) for name in granted)

    def _closed(self, scope: tuple[str, ...]) -> frozenset[str]:
        return frozenset(scope).union(*(self.includes.get(s, frozenset()) for s in scope))


class Issue(NamedTuple):
    """What a redeemed code or refresh token entitles to."""

    grant_id: str
    user: User
    scope: tuple[str, ...]
    resource: str
    auth_time: float
    nonce: str | None = None
    sealed_successor: bytes | None = None  # set when the grace window answered: the successor issued before


@dataclass(frozen=True, slots=True)
class LiveRefresh:
    """A refresh token that can be used: whose, for whom, and from when until when (Unix seconds)."""

    client_id: str
    user: User
    scope: tuple[str, ...]
    issued_at: float
    expires_at: float


RefusalReason = Literal[
    "unknown",
    "client",
    "redirect_uri",
    "verifier",
    "replayed",
    "expired",
    "user",
    "scope",
    "resource",
    "reused",
    "repeated",
    "revoked",
]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a code or refresh token was not honoured, and what the attempt cost: its grant, or the code.

    `username` is whose it is, for the audit log.
    """

    reason: RefusalReason
    grant_id: str = ""
    grant_revoked: bool = False
    code_ended: bool = field(default=False, compare=False)
    username: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Grant:
    """One authorization a person gave a client; all tokens of a family carry its id."""

    grant_id: str
    user_id: str
    username: str
    client_id: str
    scope: tuple[str, ...]
    resources: tuple[str, ...]
    created_at: float
    expires_at: float
    revoked_at: float | None


@dataclass(frozen=True, slots=True)
class Application:
    """A client as the person who connected it sees it: all their live grants to it together; times are Unix seconds."""

    client_id: str
    name: str
    redirect_uris: tuple[str, ...]
    source: ClientSource
    scope: tuple[str, ...]
    resources: tuple[str, ...]
    since: float
    last_used: float  # when it was last given a token
    grants: int


@dataclass(frozen=True, slots=True)
class Held:
    """What a person holds: how many live browser sessions and grants."""

    sessions: int
    grants: int


class FormSecret(NamedTuple):
    """A secret of forms and known browsers, sealed where the operator set a key for that.

    It signs from `signs_from` to `stops_at`, where its successor begins, and is accepted until `ends_at` (Unix seconds;
    None: nothing succeeds it).
    """

    secret_id: str
    secret: str
    signs_from: float
    stops_at: float | None = None
    ends_at: float | None = None


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private signing key, PKCS #8 PEM, sealed where the operator set a key for that.

    It signs from `signs_from` to `stops_at`, where its successor begins (Unix seconds; None: it has none).
    """

    kid: str
    use: KeyUse
    alg: str
    private_pem: str
    created_at: float
    signs_from: float
    stops_at: float | None = None


Kind: TypeAlias = Literal["token", "grant", "user", "client", "all", "keys"]


@dataclass(frozen=True, slots=True)
class Revocation:
    """One entry of the revocation filter: what `kind` of thing, which, and until when it matters.

    It ends the access tokens issued at or before `revoked_at`. Of what ended for good that is `expires_at`: a token may
    be signed a moment after the revocation, or be dated by the clock of another machine. `all`, of value "", is every
    access token; `keys` revokes nothing: every process reads the signing keys anew.
    """

    kind: Kind
    value: str
    revoked_at: float
    expires_at: float


Position: TypeAlias = tuple[int, str, str]
"""(epoch, kind, value): how far the revocations are known, in the order in which they are announced."""


@dataclass(frozen=True, slots=True)
class Announced:
    """Some of the revocations that were announced, as (kind, value, expires_at), and up to where they are known now.

    `more` says that there may be others to be read already.
    """

    known: Position
    entries: list[tuple[Kind, str, float]]
    more: bool


class AuditEvent(NamedTuple):
    """One security event: who did what, from where, and how it ended. Never a secret, code or token."""

    event: str
    outcome: Literal["success", "failure"]
    actor: str = ""
    client_id: str = ""
    address: str = ""
    detail: str = ""
    at: float = 0.0
    request_id: str = ""
