"""Destinations of the operator's password and client secret: endpoints of authorization servers that they named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from oauth_server.commands.errors import MistakeError
from oauth_server.commands.terminal import confirm

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from oauth_server.commands.check_consent import Consent, Secrets
    from oauth_server.commands.check_operator import Servers

LOGIN: Final = "authorization_endpoint"
CLIENT: Final = ("token_endpoint", "revocation_endpoint", "introspection_endpoint")


def settle(found: Servers, consent: Consent, secrets: Secrets) -> Mapping[str, str]:
    """Return the origin at which each endpoint may be given a secret, by its metadata name; empty without a secret.

    An origin is named by the target's own URL or by `--issuer`. CommandError when the person denies another one,
    MistakeError when there is no terminal to ask at, or when the target names another issuer than `--issuer`.
    """
    from oauth_server.compliance import urls  # noqa: PLC0415

    carried = _carried(consent, secrets)
    named = [_named(issuer) for issuer in consent.issuer or ()]
    if named and not carried:
        raise MistakeError("--issuer: no password or client secret is given that could go there.")
    if named and found.issuer and found.issuer not in (consent.issuer or ()):
        raise MistakeError(f"--issuer: {found.target} names {found.issuer} as its authorization server.")
    places = {name: urls.ascii_origin(found.endpoints.get(name, "")) for _, names in carried for name in names}
    known = {urls.ascii_origin(found.target), *named}
    # Also an endpoint at the target's own origin is stated by the issuer, which the operator may not know.
    issuer = [found.issuer] if found.issuer else []
    for what, names in carried:
        others = [url for name in names if (url := places[name])]
        unnamed = list(dict.fromkeys(p for p in map(urls.ascii_origin, [*issuer, *others]) if p not in known))
        if unnamed:
            options = [*issuer, *(place for place in unnamed if place not in map(urls.ascii_origin, issuer))]
            confirm(
                f"{what} would go to {' and '.join(unnamed)}, which {found.target} names. Send it there?",
                yes=False,
                option=" ".join(f"--issuer {option}" for option in options),
                declined="No password or client secret was sent.",
            )
    return places


def _carried(consent: Consent, secrets: Secrets) -> Sequence[tuple[str, Sequence[str]]]:
    """What is given, as a person calls it, with the endpoints that get it."""
    found: list[tuple[str, Sequence[str]]] = []
    if consent.user is not None:
        found.append((f"The password of {consent.user}", (LOGIN,)))
    if secrets.client_secret:
        found.append((f"The secret of the client {consent.client_id}", CLIENT))
    return found


def _named(issuer: str) -> str:
    from oauth_server.compliance import urls  # noqa: PLC0415

    place = urls.ascii_origin(issuer)
    if not place:
        raise MistakeError(f"--issuer: {issuer!a} is not an absolute http or https URL.")
    return place
