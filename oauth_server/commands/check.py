"""`check`: judge a server's OAuth by its answers, as the tool mcp_oauth_check_compliance does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from oauth_server.commands.check_consent import PASSWORD, SECRET, TOKEN, Consent, Secrets, visiting
from oauth_server.commands.check_issuer import LOGIN, settle
from oauth_server.commands.check_operator import require_operator, servers_of
from oauth_server.commands.check_output import Output
from oauth_server.commands.check_progress import Bar
from oauth_server.commands.errors import NOT_DONE, CommandError, MistakeError
from oauth_server.commands.local import GetLocal

if TYPE_CHECKING:
    from oauth_server.compliance import Depth, Report, SpecVersion

_ANOTHER = Output()
_NOBODY = Consent()
_EXAMPLES = f"""\
Examples:
  server.py check
  server.py check https://mcp.example/mcp --spec 2025-11-25 --fail-on should
  server.py check https://mcp.example/mcp --format html --output report.html
  server.py check http://localhost:3000/mcp --depth adversarial --user alice
  server.py check https://mcp.example/mcp --depth active --user alice --issuer https://login.example
  server.py check https://mcp.example/mcp --depth active --browser
  {TOKEN}=… server.py check https://mcp.example/mcp --depth active
  server.py check --json > before.json
  server.py check --baseline before.json
  server.py check --explain asm-pkce-s256

Secrets are no arguments: {TOKEN}, {PASSWORD} and {SECRET}, or files.

Exit status: 0 passed; 1 something that --fail-on asks for is not kept or could \
not be judged, with --baseline only what is new; 2 a mistake in options or \
values, or the server cannot be reached."""


def check(local: GetLocal) -> App:
    """The command that audits a server."""
    app = App(name="check", help_epilogue=_EXAMPLES)

    @app.default
    async def run(
        url: Annotated[
            str | None, Parameter(help="An MCP endpoint or an issuer; omitted: this server, which must be running.")
        ] = None,
        /,
        *,
        spec: Annotated[
            Literal["2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"],
            Parameter(help="The MCP specification to judge by."),
        ] = "2026-07-28",
        depth: Annotated[
            Literal["passive", "active", "adversarial"],
            Parameter(
                help="passive reads public documents; active also walks the flow and sends requests that must be "
                "refused; adversarial also attacks."
            ),
        ] = "passive",
        output: Annotated[Output, Parameter(name="*")] = _ANOTHER,
        consent: Annotated[Consent, Parameter(name="*")] = _NOBODY,
        explain: Annotated[str | None, Parameter(help="Print one check in full, by its id, and judge nothing.")] = None,
        list_: Annotated[
            bool, Parameter(name="--list", help="List the checks of --spec and --depth.", show_default=False)
        ] = False,
    ) -> int:
        """Check a server against the MCP authorization specification; failures come first, each with its fix."""
        if explain is not None or list_:
            from oauth_server.commands import check_explain  # noqa: PLC0415

            if explain is not None:
                return check_explain.explain(explain, output)
            return check_explain.listed(spec, depth, output)
        before = output.prepare()
        secrets = consent.secrets(depth)
        target = url or await _own(local)
        await _reach(target, own=url is None)
        asking = _Asking(target, spec, depth)
        if depth != "passive":
            found = await servers_of(target, spec)
            only = require_operator(found, given=consent.operator) if url is not None else None
            places = settle(found, consent, secrets)
            secrets = consent.with_password(secrets, places.get(LOGIN, ""))
            asking = _Asking(target, spec, depth, only, places)
        report = await _audit(asking, consent, secrets)
        return NOT_DONE if output.write(report, before) else 0

    return app


@dataclass(frozen=True)
class _Asking:
    """What is judged; `only`: the URLs of the servers that may be asked, None for any; `places`: see `audit`."""

    target: str
    spec: SpecVersion
    depth: Depth
    only: list[str] | None = None
    places: Mapping[str, str] = field(default_factory=dict)


async def _audit(asking: _Asking, consent: Consent, secrets: Secrets) -> Report:
    """Run it."""
    from oauth_server.compliance import LIMITS, audit  # noqa: PLC0415
    from oauth_server.outbound import Outbound  # noqa: PLC0415

    outbound = Outbound(local=True, limits=LIMITS[asking.depth], only=asking.only)
    with Bar() as bar:
        async with visiting(consent, secrets, asking.depth, outbound, bar.tell) as found:
            return await audit(
                asking.target,
                outbound=outbound,
                spec_version=asking.spec,
                depth=asking.depth,
                access_token=secrets.access_token,
                visitor=found.visitor,
                client=found.client,
                progress=bar.progress,
                seconds=found.seconds,
                places=asking.places,
            )


async def _reach(target: str, *, own: bool) -> None:
    """Return when the server answers anything at all."""
    from oauth_server.outbound import Outbound, OutboundError  # noqa: PLC0415

    try:
        await Outbound(local=True).request("GET", target)
    except OutboundError as error:
        hint = " Start the server, or give the URL of another one." if own else ""
        raise MistakeError(f"{target} cannot be reached: {error.reason}.{hint}") from None


async def _own(local: GetLocal) -> str:
    """The endpoint of the server that keeps its store here."""
    from oauth_server.core.deployment import deploy  # noqa: PLC0415

    async with local().administration() as admin:
        if admin.issuer is None:
            raise CommandError(f"No server has served HTTP with {admin.location} yet: start it, or give a URL.")
        settings = admin.settings
        return deploy(settings, settings.host, settings.port, admin.issuer).endpoint
