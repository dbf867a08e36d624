"""The cookies of the session that begins with a login (RFC 6265)."""

from dataclasses import dataclass
from typing import Final

from oauth_server.compliance.model import Exchange, Missing, Source, Verdict, judge, rule
from oauth_server.compliance.sources import rfc
from oauth_server.compliance.survey import Survey
from oauth_server.compliance.visitor import Visit

LONGEST: Final = 200  # characters of a name that are shown
BIS: Final = Source(
    "draft-ietf-httpbis-rfc6265bis",
    "4.1.3.2",
    "https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis#section-4.1.3.2",
)


@dataclass(frozen=True, slots=True)
class Cookie:
    """A cookie as it was set; `same_site` in lower case, empty when nothing is said."""

    exchange: Exchange
    name: str
    value: str
    flags: frozenset[str]
    same_site: str

    @property
    def told(self) -> str:
        """What may be shown of it: no value."""
        flags = "; ".join(sorted(self.flags) + ([f"samesite={self.same_site}"] if self.same_site else []))
        return f"Set-Cookie: {self.name[:LONGEST]}=…; {flags}"


def _cookies(exchanges: tuple[Exchange, ...]) -> list[Cookie]:
    """Return the cookies that these answers set; deletions are none."""
    found = []
    for exchange in exchanges:
        for header in exchange.answer.headers_of("Set-Cookie"):
            pair, *attributes = header.split(";")
            name, _, value = pair.strip().partition("=")
            said = dict(part.strip().lower().partition("=")[::2] for part in attributes)
            if value.strip('"') and said.get("max-age") != "0" and "1970" not in said.get("expires", ""):
                found.append(Cookie(exchange, name, value, frozenset(said), said.get("samesite", "")))
    return found


def session_cookies(visit: Visit | None) -> list[Cookie]:
    """Return the cookies that the answer to the login set, or a redirect right after it."""
    if visit is None or visit.signed_in is None:
        return []
    after = visit.trail[visit.signed_in :]
    end = next((place for place, item in enumerate(after) if not item.answer.header("Location")), len(after))
    return _cookies(after[: end or 1])


async def _session(survey: Survey) -> list[Cookie]:
    await survey.walk.sample()
    found = session_cookies(survey.walk.signing_in)
    if not found:
        raise Missing("no login of this run was answered with a cookie")
    return found


@rule(
    "The session cookie is closed to scripts, other sites and plain http",
    rfc(6265, "8.3"),
    rfc(6265, "4.1.2.6"),
    BIS,
    fix="Set the session cookie with HttpOnly, SameSite=Lax and, on https, Secure.",
)
async def flags(survey: Survey) -> Verdict:
    """RFC 6265 section 8.3: SHOULD set Secure for every cookie of a secure channel; judged by the strictest one."""
    found = await _session(survey)
    # One of several may be meant for scripts, such as a CSRF token or a language.
    lacking = {cookie: _lacking(cookie) for cookie in found}
    best = min(found, key=lambda cookie: len(lacking[cookie]))
    problem = f"The cookie {best.name[:LONGEST]} lacks {', '.join(lacking[best])}" if lacking[best] else ""
    return judge(problem, "It is", (best.exchange, best.told))


def _lacking(cookie: Cookie) -> list[str]:
    secure = cookie.exchange.answer.url.startswith("https://")
    wanted = ["httponly", *(["secure"] if secure else [])]
    lacking = [name for name in wanted if name not in cookie.flags]
    return lacking + ([] if cookie.same_site in {"lax", "strict"} else ["samesite"])


@rule(
    "The session cookie belongs to its host alone",
    BIS,
    fix="Name the session cookie __Host-…: no subdomain and no plain http page can then set it.",
)
async def host_prefix(survey: Survey) -> Verdict:
    """Cookies of the prefix __Host- are Secure, for path /, and of no domain (RFC 6265bis section 4.1.3.2)."""
    found = await _session(survey)
    if not found[0].exchange.answer.url.startswith("https://"):
        raise Missing("the prefix is for https")
    named = [cookie for cookie in found if cookie.name.startswith("__Host-")]
    shown = (named or found)[0]
    return judge("" if named else "No cookie of the session has the prefix", "It does", (shown.exchange, shown.told))


@rule(
    "The session id changes when somebody signs in",
    rfc(6265, "8.4"),
    fix="Issue another session id at login, and end the one from before: whoever planted it would be signed in, too.",
)
async def renewed(survey: Survey) -> Verdict:
    """RFC 6265 section 8.4: session fixation."""
    await survey.walk.sample()
    visit = survey.walk.signing_in
    if visit is None or visit.signed_in is None:
        raise Missing("nobody signed in with a password during this run")
    before = _cookies(visit.trail[: visit.signed_in])
    after = _cookies(visit.trail[visit.signed_in :])
    known = {(cookie.name, cookie.value) for cookie in before}
    fresh = [cookie for cookie in after if (cookie.name, cookie.value) not in known]
    if not before and not fresh:
        raise Missing("no cookie was set before or after the login")
    problem = "" if fresh else "The browser holds the same cookies after the login as before it"
    shown = (fresh or before)[0]
    return judge(problem, "It does", (visit.trail[visit.signed_in], ""), (shown.exchange, shown.told))
