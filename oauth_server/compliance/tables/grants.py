"""What a grant is good for, and until when: scopes, resources, refresh tokens, revocation, introspection."""

from typing import Final

from oauth_server.compliance.checks import (
    introspection,
    refresh,
    refresh_limits,
    resource_binding,
    resource_spelling,
    revocation,
    scopes,
)
from oauth_server.compliance.model import Check
from oauth_server.compliance.tables.row import AS, RS, check

SCOPES = "scopes"
RESOURCES = "resource indicators"
REFRESH = "refresh tokens"
REVOKE = "revocation"
INTROSPECT = "introspection"

# Levels: one letter for each of 2025-03-26, 2025-06-18, 2025-11-25, 2026-07-28 (see model.levels).
# fmt: off
ROWS: Final[tuple[Check, ...]] = (
    check("scope-granted-subset",        AS, SCOPES,     "SSSS", "active",  scopes.subset),
    check("scope-unregistered",          AS, SCOPES,     "aaaa", "active",  scopes.unregistered),
    check("scope-offline-access",        AS, SCOPES,     "aaaa", "active",  scopes.offline_access),
    check("scope-empty",                 AS, SCOPES,     "MMMM", "active",  scopes.empty),
    check("resource-authorize-foreign",  RS, RESOURCES,  "-MMM", "adversarial", resource_binding.foreign_token),
    check("resource-prefix",             RS, RESOURCES,  "-MMM", "adversarial", resource_binding.prefix),
    check("resource-invalid-target",     AS, RESOURCES,  "-SSS", "adversarial", resource_binding.invalid_target),
    check("resource-fragment",           AS, RESOURCES,  "-SSS", "adversarial", resource_binding.fragment),
    check("resource-relative",           AS, RESOURCES,  "-SSS", "adversarial", resource_binding.relative),
    check("resource-two-one-foreign",    AS, RESOURCES,  "-SSS", "adversarial", resource_binding.two),
    check("resource-one-token",          AS, RESOURCES,  "-SSS", "adversarial", resource_binding.one_token),
    check("resource-token-foreign",      AS, RESOURCES,  "-SSS", "adversarial", resource_binding.foreign_at_token),
    check("resource-metadata-value",     AS, RESOURCES,  "-SSS", "active",  resource_spelling.accepted),
    check("resource-upper-case",         RS, RESOURCES,  "-SSS", "active",  resource_spelling.upper_case),
    check("resource-trailing-slash",     RS, RESOURCES,  "-aaa", "active",  resource_spelling.trailing_slash),
    check("refresh-issued",              AS, REFRESH,    "aaaa", "active",  refresh.issued),
    check("refresh-works",               AS, REFRESH,    "MMMM", "active",  refresh.works),
    check("refresh-rotates",             AS, REFRESH,    "SMMM", "active",  refresh.rotates),
    check("refresh-old-ends",            AS, REFRESH,    "SMMM", "adversarial", refresh.old_ends),
    check("refresh-reuse-revokes",       AS, REFRESH,    "SMMM", "adversarial", refresh.reuse_revokes),
    check("refresh-grace",               AS, REFRESH,    "aaaa", "active",  refresh.grace),
    check("refresh-race",                AS, REFRESH,    "aaaa", "active",  refresh.race),
    check("refresh-parallel",            AS, REFRESH,    "SSSS", "adversarial", refresh.parallel),
    check("refresh-narrowing",           AS, REFRESH,    "aaaa", "active",  refresh_limits.narrowing),
    check("refresh-scope-kept",          AS, REFRESH,    "MMMM", "active",  refresh_limits.scope_kept),
    check("refresh-scope-widening",      AS, REFRESH,    "MMMM", "adversarial", refresh_limits.widening),
    check("refresh-refusal-keeps",       AS, REFRESH,    "aaaa", "adversarial", refresh_limits.refusal_keeps),
    check("refresh-foreign-resource",    AS, REFRESH,    "MMMM", "adversarial", refresh_limits.foreign_resource),
    check("refresh-other-client",        AS, REFRESH,    "MMMM", "adversarial", refresh_limits.other_client),
    check("refresh-needs-auth",          AS, REFRESH,    "MMMM", "adversarial", refresh_limits.needs_authentication),
    check("refresh-garbage",             AS, REFRESH,    "MMMM", "adversarial", refresh_limits.garbage),
    check("refresh-access-token",        AS, REFRESH,    "MMMM", "adversarial", refresh_limits.access_token),
    check("revoke-advertised",           AS, REVOKE,     "aaaa", "passive", revocation.advertised),
    check("revoke-unknown",              AS, REVOKE,     "MMMM", "active",  revocation.unknown),
    check("revoke-refresh",              AS, REVOKE,     "MMMM", "active",  revocation.refresh_token),
    check("revoke-access",               AS, REVOKE,     "SSSS", "active",  revocation.access_token),
    check("revoke-ends-grant",           AS, REVOKE,     "SSSS", "active",  revocation.ends_grant),
    check("revoke-other-client",         AS, REVOKE,     "MMMM", "adversarial", revocation.other_client),
    check("revoke-no-auth",              AS, REVOKE,     "MMMM", "adversarial", revocation.unauthenticated),
    check("revoke-get",                  AS, REVOKE,     "aaaa", "active",  revocation.get),
    check("introspect-unauthenticated",  AS, INTROSPECT, "MMMM", "adversarial", introspection.unauthenticated),
    check("introspect-garbage",          AS, INTROSPECT, "MMMM", "adversarial", introspection.garbage),
    check("introspect-bare",             AS, INTROSPECT, "SSSS", "adversarial", introspection.bare),
    check("introspect-active",           AS, INTROSPECT, "MMMM", "active",  introspection.active),
    check("introspect-revoked",          AS, INTROSPECT, "MMMM", "active",  introspection.revoked),
    check("introspect-other-client",     AS, INTROSPECT, "aaaa", "adversarial", introspection.other_client),
    check("introspect-no-store",         AS, INTROSPECT, "SSSS", "active",  introspection.no_store),
    check("introspect-get",              AS, INTROSPECT, "aaaa", "active",  introspection.get),
)
# fmt: on
