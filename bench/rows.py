"""The table: which work is asked of which server, and what the issue demands of the figures."""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.measuring import Row

US, OFF, AGAIN = "this server", "without auth", "without auth, again"
ASGI, ROUTE, OWN_ROUTE = "bare ASGI", "route on FastMCP's app", "route on this app"
BARE, JWT, MEMORY, OIDC = "bare FastMCP", "FastMCP, JWT verifier", "FastMCP, in-memory provider", "oidc-provider"
COLUMNS = (US, OFF, AGAIN, ASGI, OWN_ROUTE, ROUTE, BARE, JWT, MEMORY, OIDC)
ERAS = ("2025-11-25", "2026-07-28")

_ROUTES = {ASGI: "asgi", OWN_ROUTE: "this-route", ROUTE: "fastmcp", OIDC: "oidc/metadata"}
_BESIDE = {OWN_ROUTE: "this-route:constant"}
_DOCUMENT = {US: "ours", MEMORY: "fastmcp-oauth", OIDC: "oidc/metadata"}
_TOKENS = {US: "ours", MEMORY: "fastmcp-oauth"}

# A process of oidc-provider for each work: its store keeps a thousand things, and would forget what others rest on.
ENDPOINTS = (
    Row("constant GET", "constant", (), 3000, _ROUTES),
    Row("trivial form POST", "form", (), 3000, _ROUTES),
    Row("metadata", "metadata", (), 3000, {**_DOCUMENT, **_BESIDE}),
    Row("JWKS", "jwks", (), 3000, {US: "ours", OIDC: "oidc/metadata", **_BESIDE}),
    Row("304 for If-None-Match", "not_modified", (), 3000, {US: "ours", **_BESIDE}),
    Row("401 without a token", "unauthorized", (), 3000, _TOKENS),
    Row("client_credentials", "client_credentials", (), 1000, {US: "ours", OIDC: "oidc/client"}),
    Row("refresh with rotation", "refresh", (), 1000, {**_TOKENS, OIDC: "oidc/refresh"}),
    Row("authorization code with PKCE", "code", (), 600, {**_TOKENS, US: "ours-https", OIDC: "oidc/code"}),
    Row("introspection", "introspect", (), 1000, {US: "ours", OIDC: "oidc-opaque"}),
)
GATE = tuple(
    Row(
        f"{method}, {era}",
        method.replace("/", "_"),
        (era,),
        units,
        {OFF: without, US: "ours", BARE: "fastmcp", AGAIN: without, JWT: "fastmcp-jwt"},
    )
    for method, without, units in (("tools/list", "ours-off", 160), ("tools/call", "ours-open", 400))
    for era in ERAS
)


@dataclass(frozen=True)
class Target:
    """The CPU of one column, divided by that of another one, is at most `bound`."""

    number: int
    row: str
    of: str
    by: str
    bound: float


TARGETS = (
    *(Target(1, row.name, US, by, 1.03) for row in GATE for by in (OFF, BARE)),
    Target(1, "401 without a token", US, MEMORY, 1.0),
    Target(2, "refresh with rotation", US, MEMORY, 1.0),
    Target(2, "refresh with rotation", US, OIDC, 0.5),
    Target(3, "authorization code with PKCE", US, OIDC, 0.5),
    Target(3, "authorization code with PKCE", US, MEMORY, 1.0),
    Target(4, "client_credentials", US, OIDC, 0.5),
    Target(4, "introspection", US, OIDC, 0.5),
    Target(5, "metadata", US, OWN_ROUTE, 1 / 0.9),
    Target(5, "JWKS", US, OWN_ROUTE, 1 / 0.9),
    Target(5, "304 for If-None-Match", US, OWN_ROUTE, 1 / 0.9),
)


def ratio(row: Mapping[str, Any], of: str, by: str) -> float | None:
    """The median of the ratios of each round, None where one of the two was not measured."""
    one, other = (row["columns"].get(name, {}).get("cpu_ms") for name in (of, by))
    if not one or not other:
        return None
    return float(statistics.median(a / b for a, b in zip(one, other, strict=True)))


def noise(row: Mapping[str, Any]) -> tuple[float, float] | None:
    """The median and the largest distance from 1 of the ratios of a server to itself (A/A)."""
    one, other = (row["columns"].get(name, {}).get("cpu_ms") for name in (AGAIN, OFF))
    if not one or not other:
        return None
    ratios = [a / b for a, b in zip(one, other, strict=True)]
    return statistics.median(ratios), max(abs(value - 1) for value in ratios)


# A figure by its section and name, and the most that it may be.
FIGURES = (
    (1, "a known token is checked, µs", "micro", "known token", 10.0),
    (1, "an unknown token is checked / python-jose", "micro", "cold ratio", 1.3),
    (1, "the gate, with a known token, µs", "micro", "gate", 30.0),
    (10, "the worst client assertion is refused, ms of CPU", "hostile", "worst", 2.0),
    (8, "stdio, to the first list of tools: this server / bare FastMCP", "start", "stdio ratio", 1.25),
    (8, "HTTP, to the first 200: this server / bare FastMCP", "start", "HTTP ratio", 1.25),
    (8, "--help, seconds", "start", "--help", 0.3),
    (9, "memory above bare FastMCP, MiB", "memory", "above", 60.0),
)


def judged(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each target with what was measured, None where it was not."""
    by_name = {row["name"]: row for row in found["rows"]}
    values = [
        (
            t.number,
            f"{t.row}: {t.of} / {t.by}",
            ratio(by_name[t.row], t.of, t.by) if t.row in by_name else None,
            t.bound,
        )
        for t in TARGETS
    ]
    values += [(number, what, found.get(part, {}).get(name), most) for number, what, part, name, most in FIGURES]
    for row in found.get("growth", ()):
        what = f"{row['engine']}, {row['clients']:,} clients, {row['work']}: full / empty store"
        values += [(6, f"{what}, CPU", row["cpu_ratio"], 1.2), (6, f"{what}, p99", row["p99_ratio"], 1.5)]
    for row in (row for row in found.get("workers", ()) if not row.get("control")):
        values.append((7, f"{row['engine']}, {row['work']}: two workers / one", row["ratio"], 1.1))
    return [
        {
            "target": number,
            "what": what,
            "bound": round(bound, 3),
            "measured": None if value is None else round(value, 3),
            "reached": None if value is None else value <= bound,
        }
        for number, what, value, bound in sorted(values, key=lambda one: one[0])
    ]
