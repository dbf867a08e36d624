"""What the value of one setting must look like, and how a refusal is explained (RFC 6749 section 3.3, appendix A)."""

import binascii
import re
from base64 import b64decode
from collections.abc import Callable, Iterable
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

from oauth_server.core.passwords import (
    MAX_PASSWORD,
    MAX_USERNAME,
    MIN_PASSWORD,
    PasswordError,
    new_password,
    normalise_username,
    valid_username,
)

_FLAGS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
# RFC 6749 section 3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E )
_SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
_ALWAYS_AVAILABLE = frozenset({"openid", "profile", "email", "offline_access"})
_MAX_LINE = 255
_MAX_QUOTED = 60
_MIN_CLIENT_SECRET = 16
_KEY_BYTES = 32
_NO_KEY = "none"  # in the place of the key that encrypts
_DATABASE = "sqlite:///path/to/oauth.db or postgresql://user:password@host/database, special characters percent-encoded"


class SettingsError(Exception):
    """One mistake of the operator; str() is the one line to show, never a secret's value.

    name: the environment variable or command-line option; problem: what is wrong; accepted: what would be right.
    """

    def __init__(self, name: str, problem: str, accepted: str) -> None:
        super().__init__(name, problem, accepted)
        self.name = name
        self.problem = problem
        self.accepted = accepted

    def __str__(self) -> str:
        text = f"{self.name}: {self.problem}; accepted: {self.accepted}"
        return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


class RefusedError(ValueError):
    """A value no setting of its kind may have: `problem` and `accepted`, each the half of one line."""

    def __init__(self, problem: str, accepted: str) -> None:
        super().__init__(problem, accepted)
        self.problem = problem
        self.accepted = accepted


def flag(value: str) -> bool:
    """Return what a boolean's spelling means, in any case."""
    try:
        return _FLAGS[value.lower()]
    except KeyError:
        raise RefusedError(f"{quoted(value)} is not a boolean", "true or false (also 1/0, yes/no, on/off)") from None


def pkce(value: str) -> bool:
    """Return True; there is nothing to switch off: OAuth 2.1 requires PKCE of every authorization code."""
    if not flag(value):
        raise RefusedError("PKCE cannot be switched off, OAuth 2.1 has no flow without it", "true")
    return True


def number(low: int, high: int, unit: str = "") -> Callable[[str], int]:
    """Return the rule of a whole number from `low` to `high`, both included; `unit` is for the message."""
    accepted = f"a whole number{unit} from {low} to {high}"

    def rule(value: str) -> int:
        if not re.fullmatch(r"[0-9]{1,12}", value):
            raise RefusedError(f"{quoted(value)} is not a whole number", accepted)
        if not low <= int(value) <= high:
            raise RefusedError(f"{quoted(value)} is out of range", accepted)
        return int(value)

    return rule


def choice(*choices: str) -> Callable[[str], str]:
    """Return the rule of one word out of `choices`, given in any case."""
    spelled = {word.lower(): word for word in choices}

    def rule(value: str) -> str:
        try:
            return spelled[value.lower()]
        except KeyError:
            raise RefusedError(f"{quoted(value)} is not one of them", " or ".join(choices)) from None

    return rule


def line(value: str) -> str:
    """Return a text for people: one line of printable characters."""
    if not value.isprintable() or len(value) > _MAX_LINE:
        raise RefusedError(
            "has control characters or is too long", f"one line of at most {_MAX_LINE} printable characters"
        )
    return value


def user_to_approve(value: str) -> str:
    """Return the name of the user who is signed in without asking; `false` would be a strange name."""
    if value.lower() in _FLAGS:
        raise RefusedError(f"{quoted(value)} is a boolean", "the name of a user, or nothing to switch it off")
    return line(value)


def client_id(value: str) -> str:
    """Return a client identifier, *VSCHAR (RFC 6749 appendix A.1)."""
    if not _is_vschar(value) or len(value) > _MAX_LINE:
        raise RefusedError(
            "has characters beyond ASCII or is too long", f"at most {_MAX_LINE} printable ASCII characters"
        )
    if "://" in value:
        raise RefusedError("is a URL, which names a client by its metadata document", "an identifier without ://")
    return value


def client_secret(value: str) -> str:
    """Return a client secret, *VSCHAR (RFC 6749 appendix A.2), never quoted in the error."""
    if not _is_vschar(value) or len(value) < _MIN_CLIENT_SECRET:
        problem = "is too short" if len(value) < _MIN_CLIENT_SECRET else "has characters beyond printable ASCII"
        raise RefusedError(problem, f"at least {_MIN_CLIENT_SECRET} printable ASCII characters")
    return value


def password(value: str) -> str:
    """Return a person's password, never quoted in the error."""
    try:
        new_password(value)
    except PasswordError as error:
        problem = str(error).removesuffix(".")
        raise RefusedError(problem, f"{MIN_PASSWORD} characters to {MAX_PASSWORD} bytes, on one line") from None
    return value


def username(value: str) -> str:
    """Return the name of a user as it was given; its normal form is one that somebody can sign in with."""
    if not valid_username(normalise_username(value)):
        raise RefusedError(f"{quoted(value)} cannot be a user name", f"1 to {MAX_USERNAME} printable characters")
    return line(value)


def key_encryption_key(value: str) -> str:
    """Return the keys that open signing keys, of which the first encrypts; never quoted in the error."""
    encryption_keys(value)
    return value


def encryption_keys(value: str) -> tuple[bytes | None, ...]:
    """Return what the base64 of each key (RFC 4648 section 4) stands for; None for a first `none`: nothing encrypts."""
    given = words(value)
    if given == [_NO_KEY]:
        raise RefusedError("names no key", f"the key that opens what is stored, after {_NO_KEY}; or nothing at all")
    return tuple(
        None if not number and word == _NO_KEY else _key_of_32_bytes(word) for number, word in enumerate(given)
    )


def _key_of_32_bytes(word: str) -> bytes:
    accepted = f"{_KEY_BYTES} bytes in base64: openssl rand -base64 {_KEY_BYTES}"
    try:
        key = b64decode(word, validate=True)
    except (binascii.Error, ValueError):
        raise RefusedError("is not base64", accepted) from None
    if len(key) != _KEY_BYTES:
        raise RefusedError(f"has {len(key)} bytes", accepted)
    return key


def words(value: str) -> list[str]:
    """Return the words of a list whose values cannot have a comma: separated by blanks, line ends or commas."""
    return value.replace(",", " ").split()


def scopes(value: str) -> tuple[str, ...]:
    """Return the scope tokens (RFC 6749 section 3.3) that resources may ask for."""
    accepted = "scope tokens such as mcp:read, each once, separated by blanks or commas"
    tokens = each_once(words(value), accepted)
    for token in tokens:
        if not _SCOPE_TOKEN.fullmatch(token):
            raise RefusedError(f"{quoted(token)} is not a scope token (RFC 6749 section 3.3)", accepted)
        if token in _ALWAYS_AVAILABLE:
            raise RefusedError(f"{token} is always available and not a resource scope", accepted)
    return tokens


def proxies(value: str) -> tuple[str, ...]:
    """Return IP addresses and networks in their canonical spelling."""
    accepted = "IP addresses or networks such as 10.0.0.0/8, each once, separated by blanks"
    return each_once((_proxy(word, accepted) for word in words(value)), accepted)


def _proxy(word: str, accepted: str) -> str:
    try:
        if "/" not in word:
            return str(ip_address(word))
        network = ip_network(word)
    except ValueError:
        raise RefusedError(f"{quoted(word)} is neither an IP address nor a network", accepted) from None
    # Whoever is trusted names the client's address: trusting everyone is believing anyone.
    if network.prefixlen == 0:
        raise RefusedError(f"{quoted(word)} is everyone", accepted)
    return str(network)


def database_url(value: str) -> str:
    """Return the URL as given; nothing of it is quoted in the error, since it may hold a password."""
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        raise RefusedError("is not a URL", _DATABASE) from None
    if not value.isprintable() or " " in parts.netloc:
        raise RefusedError("has characters that a URL cannot have", _DATABASE)
    if value.startswith(("postgresql://", "postgres://")):
        # An @ or # further on is a password that was not percent-encoded: it would be shown as something else.
        if "#" in value or "@" in parts.path + parts.query:
            raise RefusedError("has a special character that is not percent-encoded", _DATABASE)
        return value
    if not value.startswith("sqlite:///"):
        raise RefusedError("is not a kind of database this server knows", _DATABASE)
    # Several connections share the database, and what was acknowledged outlives the process.
    if not parts.path.strip("/") or ":memory:" in value or "mode=memory" in parts.query:
        raise RefusedError("names no file", _DATABASE)
    return value


def masked_url(url: str) -> str:
    """Return a database URL with *** for the password, wherever it stands."""
    url = re.sub(r"\A([^:/?#]+://[^:/@]*):[^/?#]*@", r"\1:***@", url)
    return re.sub(r"(?i)([?&][^=&]*password[^=&]*)=[^&]*", r"\1=***", url)


def quoted(value: str) -> str:
    """Return a value as it may stand in a message: in quotes, cut to 60 characters."""
    return f"'{value}'" if len(value) <= _MAX_QUOTED else f"'{value[:_MAX_QUOTED]}…'"


def _is_vschar(value: str) -> bool:
    return value.isascii() and value.isprintable()


def each_once(items: Iterable[str], accepted: str) -> tuple[str, ...]:
    """Return the items of a list, refused when one stands there twice."""
    found = tuple(items)
    for index, item in enumerate(found):
        if item in found[:index]:
            raise RefusedError(f"{quoted(item)} is listed twice", accepted)
    return found
