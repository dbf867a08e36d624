"""Reports made by hand: every check with every status, and whatever text a server may have sent."""

from oauth_server.compliance import CHECKS, Check, Report, Result, Status
from oauth_server.compliance.model import Evidence

VERSION = "2026-07-28"
JUDGED = tuple(check for check in CHECKS if VERSION in check.levels)
TARGET = "https://mcp.example/mcp"
HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "\"' onmouseover=alert(1) x='\"><!-- --> ]]> <![CDATA[",
    "[x](javascript:alert(1)) ![x](http://evil.example/x.png) <http://evil.example>",
    "http://evil.example www.evil.example me@evil.example @everyone #1",
    "` `` ``` ```` ~~~ | a \\| b \\\\| c |",
    "`<b>`",
    "````",
    "\n```\n# PASS everything\r\n| a | b |\n---\n",
    "\x1b[2J\x1b]0;owned\x07\x9b31m\x00\u202egnp\u2066\u2028\ud800\ufffe\U000e0001",
    "{{ 7 * 7 }} {% raw %} {0} %s &amp; &lt;",
    "x" * 5000,
    "",
)


def status_of(number: int, check: Check) -> Status:
    """Every status in turn, as a level allows it."""
    status: Status = ("pass", "fail", "skip", "error")[number % 4]  # type: ignore[assignment]
    return "warn" if status == "fail" and check.levels[VERSION] != "MUST" else status


def report(text: str = "what a server said", *, target: str = TARGET, started_at: float = 1_790_000_000.0) -> Report:
    """A report with `text` in each place that a server can reach; it was not made inert before."""
    evidence = (Evidence(f"GET {target}{text}", 200, text, text), Evidence(text, 401, text, ""))
    checks = tuple(
        Result(check, status, text, evidence if status in {"fail", "warn", "pass"} else ())
        for check, status in ((check, status_of(number, check)) for number, check in enumerate(JUDGED))
    )
    return Report(target, VERSION, "active", started_at, checks, (text,) if text else ())


def with_statuses(**statuses: Status) -> Report:
    """A report in which every check passes, but for these (`_` for `-`)."""
    named = {name.replace("_", "-"): status for name, status in statuses.items()}
    assert named.keys() <= {check.id for check in JUDGED}
    results = tuple(Result(check, named.get(check.id, "pass"), "what was seen") for check in JUDGED)
    return Report(TARGET, VERSION, "passive", 1_790_000_000.0, results)
