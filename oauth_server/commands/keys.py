"""`keys`: the keys that sign tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from oauth_server.commands.errors import CommandError
from oauth_server.commands.local import GetLocal
from oauth_server.commands.options import Json, Yes
from oauth_server.commands.output import json_line, moment, remark, say, table
from oauth_server.commands.terminal import confirm

if TYPE_CHECKING:
    from oauth_server.core.administration import Administration
    from oauth_server.core.keys import ListedKey
    from oauth_server.store.records import KeyUse

_USES: tuple[KeyUse, ...] = ("access", "id")
_EXAMPLES = {
    "list": """\
Examples:
  server.py keys list
  server.py keys list --json""",
    "rotate": """\
Examples:
  server.py keys rotate
  server.py keys rotate --use access --now""",
    "retire": """\
Example:
  server.py keys retire SXaWiEeXOn_24wHTVbSR617-L6pJOTPWmvogEdx3Lrw""",
}


def keys(local: GetLocal) -> App:
    """The commands about keys."""
    app = App(name="keys", help="See and change the keys that sign tokens.")

    @app.command(name="list", help_epilogue=_EXAMPLES["list"])
    async def show(*, json: Json = False) -> None:
        """List the signing keys, the newest first: published and not signing yet, signing, or only verifying.

        Nothing private is shown. The public keys are those of /.well-known/jwks.json.
        """
        async with local().administration() as admin:
            found = await admin.keys.listed()
        if json:
            for key in found:
                json_line(asdict(key))
        elif found:
            header = ("KID", "ALG", "USE", "CREATED", "STATE")
            table(header, ((k.kid, k.alg, f"{k.use} tokens", moment(k.created_at), _state(k)) for k in found))
        else:
            remark(f"No keys in {admin.location}; the first start of the server creates them.")

    @app.command(help_epilogue=_EXAMPLES["rotate"])
    async def rotate(
        *,
        use: Annotated[Literal["access", "id"] | None, Parameter(help="The tokens; both without it.")] = None,
        now: Annotated[bool, Parameter(help="Sign at once: for a compromised key.", show_default=False)] = False,
    ) -> None:
        """Let new keys succeed those that sign. They are published first, so that everybody knows them by then.

        The old ones verify what they signed until it has expired. `retire` ends one at once.
        """
        async with local().administration() as admin:
            await _rotate(admin, _USES if use is None else (use,), now)

    @app.command(help_epilogue=_EXAMPLES["retire"])
    async def retire(
        kid: Annotated[str, Parameter(help="The KID that `list` shows.", allow_leading_hyphen=True)],
        /,
        *,
        yes: Yes = False,
    ) -> None:
        """End a key at once: all tokens that it signed are refused everywhere within a second."""
        async with local().administration() as admin:
            found = next((key for key in await admin.keys.listed() if key.kid == kid), None)
            if found is not None:
                confirm(f"End the key {kid}, and all {found.use} tokens that it signed?", yes=yes)
            outcome = await admin.keys.retire(kid)
        if outcome == "unknown":
            raise CommandError(f"No key {kid} in {admin.location}; `list` shows them.")
        if outcome == "last":
            raise CommandError(f"{kid} is the only one that can sign: `keys rotate --now` makes another first.")
        say(f"{kid} is retired.")

    return app


async def _rotate(admin: Administration, uses: Sequence[KeyUse], now: bool) -> None:
    """Rotate the keys of these uses and tell it; CommandError where one waits already."""
    waits = False
    for use in uses:
        key, made = await admin.keys.rotate(use, at_once=now)
        since = "now" if now else moment(key.signs_from)
        say(f"{key.kid} {'signs' if made else 'already waits to sign'} {use} tokens from {since} on.")
        waits = waits or not made
    if waits:
        raise CommandError("A key that waits is not succeeded; --now makes one that signs at once in its place.")


def _state(key: ListedKey) -> str:
    if key.state == "published":
        return f"published, signs from {moment(key.signs_from)}"
    if key.ends_at is not None:
        return f"{key.state}, ends {moment(key.ends_at)}"
    return key.state
