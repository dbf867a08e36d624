"""PKCE: the vector of RFC 7636 appendix B, and what a challenge and a verifier may look like."""

import string

import hypothesis
import pytest
from hypothesis import strategies as st

from oauth_server.core.pkce import challenge_of, valid_challenge, valid_verifier

VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
UNRESERVED = string.ascii_letters + string.digits + "-._~"


@pytest.mark.requirement("AS-36")
def test_the_example_of_rfc_7636_appendix_b() -> None:
    assert challenge_of(VERIFIER) == CHALLENGE
    assert valid_verifier(VERIFIER)
    assert valid_challenge(CHALLENGE)


@pytest.mark.requirement("attack-10")
@pytest.mark.parametrize(
    ("verifier", "valid"),
    [
        ("a" * 42, False),
        ("a" * 43, True),
        ("a" * 128, True),
        ("a" * 129, False),
        ("", False),
        ("-._~" * 11, True),
        *(("a" * 43 + char, False) for char in "+/= %\n\x00ä٣"),
        ("\n" + "a" * 43, False),
    ],
)
def test_a_verifier_is_43_to_128_unreserved_characters(verifier: str, valid: bool) -> None:
    assert valid_verifier(verifier) is valid


@pytest.mark.requirement("attack-10")
@pytest.mark.parametrize(
    ("challenge", "valid"),
    [
        ("a" * 42, False),
        ("a" * 43, True),
        ("a" * 44, False),
        ("a" * 43 + "=", False),
        ("a" * 43 + "\n", False),
        ("", False),
        *(("a" * 42 + char, False) for char in ".~+/= ä٣"),
    ],
)
def test_a_challenge_is_43_base64url_characters(challenge: str, valid: bool) -> None:
    assert valid_challenge(challenge) is valid


@hypothesis.given(st.text(UNRESERVED, min_size=43, max_size=128))
def test_every_valid_verifier_makes_a_valid_challenge(verifier: str) -> None:
    assert valid_verifier(verifier)
    assert valid_challenge(challenge_of(verifier))
