"""`keys`: the keys that sign tokens."""

from __future__ import annotations

from dataclasses import asdict

from cyclopts import App

from oauth_server.commands.local import GetLocal
from oauth_server.commands.options import Json
from oauth_server.commands.output import json_line, moment, remark, table

_LIST = """\
Examples:
  server.py keys list
  server.py keys list --json"""


def keys(local: GetLocal) -> App:
    """The commands about keys."""
    app = App(name="keys", help="See the keys that sign tokens.")

    @app.command(name="list", help_epilogue=_LIST)
    async def show(*, json: Json = False) -> None:
        """List the signing keys, the newest first: which one signs, and which ones only verify older tokens.

        Nothing private is shown. The public keys are those of /.well-known/jwks.json.
        """
        async with local().administration() as admin:
            found = await admin.keys()
        if json:
            for key in found:
                json_line(asdict(key))
        elif found:
            header = ("KID", "ALG", "USE", "CREATED", "STATE")
            table(header, ((k.kid, k.alg, f"{k.use} tokens", moment(k.created_at), k.state) for k in found))
        else:
            remark(f"No keys in {admin.location}; the first start of the server creates them.")

    return app
