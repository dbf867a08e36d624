"""`config`: the settings in force, and where each comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cyclopts import App

from oauth_server.commands.errors import MISTAKE
from oauth_server.commands.local import GetLocal
from oauth_server.commands.options import Json
from oauth_server.commands.output import json_line, remark, table

if TYPE_CHECKING:
    from oauth_server.core.settings import Settings

_EXAMPLES = """\
Examples:
  server.py config
  MCP_OAUTH_ISSUER=https://mcp.example server.py config --json | jq -r '.warnings[]'"""
_ORIGINS = {"file": "file (NAME_FILE)", "recorded": "recorded by the server"}


def config(local: GetLocal) -> App:
    """The command that shows the settings."""
    app = App(name="config", help_epilogue=_EXAMPLES)

    @app.default
    async def show(*, json: Json = False) -> int:
        """Show every setting, its value in force and where that comes from: environment, file or default.

        Secrets are only shown as set or not. What would keep the server from starting is told last, with status 2.
        """
        from oauth_server.core.deployment import deploy  # noqa: PLC0415
        from oauth_server.core.settings import SettingsError, load  # noqa: PLC0415

        settings = load()
        recorded: str | None = None
        warnings: tuple[str, ...] = ()
        problems: list[str] = []
        try:
            recorded = await local().recorded_issuer(settings)
        except SettingsError as error:
            problems.append(str(error))
        try:
            warnings = deploy(settings, settings.host, settings.port, recorded).warnings
        except SettingsError as error:
            problems.append(str(error))
        rows = _rows(settings, recorded)
        if json:
            json_line({"settings": rows, "warnings": list(warnings), "problems": problems})
        else:
            table(
                ("NAME", "VALUE", "FROM"),
                ((row["name"], _text(row["value"]), _ORIGINS.get(row["origin"], row["origin"])) for row in rows),
            )
            for line in (*(f"Warning: {warning}" for warning in warnings), *problems):
                remark(line)
        return MISTAKE if problems else 0

    return app


def _rows(settings: Settings, recorded: str | None) -> list[dict[str, Any]]:
    """The settings; an issuer that nobody set is the one under which the server last ran with this store."""
    rows = [
        {"name": name, "value": value, "origin": settings.origins[name]} for name, value in settings.shown().items()
    ]
    if settings.issuer is None and recorded is not None:
        issuer = next(row for row in rows if row["name"] == "MCP_OAUTH_ISSUER")
        issuer |= {"value": recorded, "origin": "recorded"}
    return rows


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return " ".join(value) if isinstance(value, list) else "" if value is None else str(value)
