"""`keys`: the keys that sign tokens."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from oauth_server.commands.errors import CommandError, MistakeError
from oauth_server.commands.local import GetLocal
from oauth_server.commands.options import Json, Yes
from oauth_server.commands.output import json_line, moment, remark, say, table
from oauth_server.commands.terminal import confirm, passphrase
from oauth_server.core.settings_rules import RefusedError, SettingsError

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
  server.py keys rotate --use access --now
  server.py keys rotate --use access --pem signing.pem""",
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
        pem: Annotated[Path | None, Parameter(help="A private key of your own, in place of a new one.")] = None,
    ) -> None:
        """Let new keys succeed those that sign. They are published first, so that everybody knows them by then.

        The old ones verify what they signed until it has expired. `retire` ends one at once.
        Without --use the secret behind the forms of the sign-in pages is succeeded too.

        A key of your own is a PEM file: EC on P-256 where tokens are signed with
        ES256, RSA of 2048 to 4096 bits for RS256. The passphrase of an encrypted
        one is asked for, or read from standard input. The server needs the file
        no more afterwards.
        """
        async with local().administration() as admin:
            await (_rotate(admin, use, now) if pem is None else _rotate_to(admin, pem, use, now))

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


async def _rotate(admin: Administration, only: KeyUse | None, now: bool, pem: str | None = None) -> None:
    """Rotate the keys of one use, or of all, and tell it; CommandError where one waits already."""
    waits = False
    for use in _USES if only is None else (only,):
        key, made = await admin.keys.rotate(use, at_once=now, pem=pem)
        since = "now" if now else moment(key.signs_from)
        say(f"{key.kid} {'signs' if made else 'already waits to sign'} {use} tokens from {since} on.")
        waits = waits or not made
    if only is None:
        await admin.form_secrets.open()
        secret, made = await admin.form_secrets.rotate(at_once=now)
        signs = "signs" if made else "already waits to sign"
        say(f"{secret.secret_id} {signs} forms from {moment(secret.signs_from)} on.")
        waits = waits or not made
    if waits:
        raise CommandError("A key that waits is not succeeded; --now makes one that signs at once in its place.")


async def _rotate_to(admin: Administration, file: Path, use: KeyUse | None, now: bool) -> None:
    """Let the operator's own key succeed the one of this use; MistakeError or SettingsError where it cannot."""
    from oauth_server.core.key_files import MAX_FILE, EncryptedKeyError, read_private_key  # noqa: PLC0415
    from oauth_server.store.private_files import others_may_read  # noqa: PLC0415

    if use is None:
        raise MistakeError("--pem is one key, and each use has its own: say --use access or --use id.")
    alg = admin.keys.algorithm(use)
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_FILE)
        try:
            pem = read_private_key(data, alg)
        except EncryptedKeyError:
            pem = read_private_key(data, alg, passphrase(str(file)))
        await _rotate(admin, use, now, pem)
        if others_may_read(file):
            remark(f"Warning: other users of this computer may read {file}, and sign tokens with the key in it.")
    except OSError as error:
        raise SettingsError("--pem", f"the file cannot be read ({error.strerror})", "a private key in PEM") from None
    except RefusedError as error:
        raise SettingsError("--pem", error.problem, error.accepted) from None
    days = admin.settings.key_rotation_days
    if days:
        remark(f"After {days} days the server makes the next one: MCP_OAUTH_KEY_ROTATION_DAYS=0 leaves that to you.")


def _state(key: ListedKey) -> str:
    if key.state == "published":
        return f"published, signs from {moment(key.signs_from)}"
    if key.ends_at is not None:
        return f"{key.state}, ends {moment(key.ends_at)}"
    return key.state
