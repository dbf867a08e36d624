"""Passwords and user names: the one rule for each, which settings, commands, forms and the hash itself go by.

Source: NIST SP 800-63B section 3.1.1.2 (length before complexity, normalisation).
"""

import unicodedata
from typing import Final

MIN_PASSWORD: Final = 12  # characters
MAX_PASSWORD: Final = 1024  # bytes of UTF-8
MAX_USERNAME: Final = 128  # characters
# Control characters, the separators of lines and paragraphs, and halves of surrogate pairs.
_NOT_TYPED: Final = frozenset(("Cc", "Zl", "Zp", "Cs"))


class PasswordError(Exception):
    """A password that is not acceptable; the message says why, and never holds the password."""


def normal_form(password: str) -> str | None:
    """The form in which a password is compared with a stored hash; None for what can be no stored password.

    The empty text is none, whatever hash the database holds.
    """
    if not 0 < len(password) <= MAX_PASSWORD:
        return None
    normal = unicodedata.normalize("NFKC", password)
    try:
        size = len(normal.encode("utf-8"))
    except UnicodeEncodeError:
        return None
    return None if "\x00" in normal or size > MAX_PASSWORD else normal


def new_password(password: str, username: str = "") -> str:
    """The normal form of a password that may be set; raises PasswordError.

    `username` is the normal form of the name of the person whose it is to be.
    """
    normal = unicodedata.normalize("NFKC", password[: MAX_PASSWORD + 1])
    if any(unicodedata.category(character) in _NOT_TYPED for character in normal):
        raise PasswordError("The password has a control character or another character that a password cannot have.")
    if len(password) > MAX_PASSWORD or len(normal.encode("utf-8")) > MAX_PASSWORD:
        raise PasswordError(f"The password is longer than {MAX_PASSWORD} bytes.")
    if len(normal) < MIN_PASSWORD:
        raise PasswordError(f"The password needs at least {MIN_PASSWORD} characters.")
    if normalise_username(normal) == username:
        raise PasswordError(DIFFERENT)
    return normal


DIFFERENT: Final = "Choose a password that differs from the user name and from the present password."


def normalise_username(username: str) -> str:
    """The form in which user names are stored and compared."""
    return unicodedata.normalize("NFKC", username).strip().casefold()


def valid_username(name: str) -> bool:
    """Whether somebody can sign in under this name, which is in normal form."""
    return 0 < len(name) <= MAX_USERNAME and name.isprintable()
