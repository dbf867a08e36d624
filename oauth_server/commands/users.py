"""`users`: who may sign in, and what each may be granted."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from oauth_server.commands.errors import CommandError, MistakeError
from oauth_server.commands.local import GetLocal
from oauth_server.commands.options import Json, Yes
from oauth_server.commands.output import count, json_line, moment, remark, say, table
from oauth_server.commands.terminal import confirm, new_password
from oauth_server.commands.values import given

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oauth_server.core.administration import Administration
    from oauth_server.store.records import Held, User

Name = Annotated[str, Parameter(help="The user's name.")]
Generate = Annotated[
    bool,
    Parameter(help="Make a password up, print it once, and have it changed at the next sign-in.", show_default=False),
]

_EXAMPLES = {
    "add": """\
Examples:
  server.py users add alice --scope mcp:read --email alice@example.com
  server.py users add bob --generate
  server.py users add carol < password.txt""",
    "list": """\
Examples:
  server.py users list
  server.py users list --json | jq -r 'select(.disabled) | .username'""",
    "disable": """\
Examples:
  server.py users disable alice
  server.py users disable alice --yes""",
    "enable": """\
Example:
  server.py users enable alice""",
    "unlock": """\
Example:
  server.py users unlock alice""",
    "set-password": """\
Examples:
  server.py users set-password alice
  server.py users set-password alice --generate""",
    "set-scope": """\
Examples:
  server.py users set-scope alice mcp:read mcp:write
  server.py users set-scope alice ""       (she can sign in, and grant nothing)""",
}


def users(local: GetLocal) -> App:
    """The commands about users."""
    commands = _Users(local)
    app = App(name="users", help="Add users, list them, and decide what each may be granted.")
    app.command(commands.add, name="add", help_epilogue=_EXAMPLES["add"])
    app.command(commands.show, name="list", help_epilogue=_EXAMPLES["list"])
    app.command(commands.disable, name="disable", help_epilogue=_EXAMPLES["disable"])
    app.command(commands.enable, name="enable", help_epilogue=_EXAMPLES["enable"])
    app.command(commands.unlock, name="unlock", help_epilogue=_EXAMPLES["unlock"])
    app.command(commands.set_password, name="set-password", help_epilogue=_EXAMPLES["set-password"])
    app.command(commands.set_scope, name="set-scope", help_epilogue=_EXAMPLES["set-scope"])
    return app


class _Users:
    def __init__(self, local: GetLocal) -> None:
        self._local = local

    async def add(
        self,
        username: Name,
        /,
        *,
        scope: Annotated[str, Parameter(help="What the user may be granted.")] = "mcp:read mcp:write",
        name: Annotated[str, Parameter(help="The name that people and clients see.", show_default=False)] = "",
        email: Annotated[str, Parameter(help="E-mail address.", show_default=False)] = "",
        generate: Generate = False,
    ) -> None:
        """Add a user. The password is asked for, or read from standard input where that is no terminal."""
        from oauth_server.core import administration as rules  # noqa: PLC0415
        from oauth_server.core.settings_rules import line  # noqa: PLC0415

        async with self._local().administration() as admin:
            stored = given("USERNAME", rules.new_username, username)
            ceiling = given("--scope", lambda text: rules.ceiling(text.split(), admin.settings.scope), scope)
            shown = given("--name", line, name) if name else ""
            address = given("--email", rules.email, email) if email else ""
            if not await admin.everybody():
                raise CommandError(f"No users in {admin.location}: start the server once, it creates the owner.")
            taken = CommandError(f"There is a user {stored} in {admin.location} already.")
            if await admin.users.by_username(stored) is not None:
                raise taken
            password = _password(stored, generate=generate)
            with _acceptable():
                added = await admin.add_user(
                    stored, password, ceiling, display_name=shown, email=address, must_change_password=generate
                )
            if not added:
                raise taken
        say(f"Added {stored}, who may be granted {_words(ceiling)}.")
        _show(password, generate=generate)

    async def show(self, *, json: Json = False) -> None:
        """List all users, by name."""
        async with self._local().administration() as admin:
            everybody = await admin.everybody()
        if json:
            for user in everybody:
                json_line(_record(user))
        elif everybody:
            header = ("NAME", "MAY BE GRANTED", "STATE", "DISPLAY NAME", "E-MAIL", "ADDED")
            table(header, (_row(user) for user in everybody))
        else:
            remark(f"No users in {admin.location}; the first start of the server creates the owner.")

    async def disable(self, username: Name, /, *, yes: Yes = False) -> None:
        """Lock a user out at once: browser sessions, grants and all tokens end for good."""
        async with self._local().administration() as admin:
            user = await _user(admin, username)
            if user.disabled:
                say(f"{user.username} is disabled already.")
                return
            held = await admin.held_by(user)
            confirm(f"Disable {user.username}, and end {_amount(held)} for good?", yes=yes)
            held = await admin.disable(user)
            left = await admin.everybody()
        say(f"{user.username} is disabled. Ended {_amount(held)}, with all tokens.")
        _warn_of_no_administrator(user, left)

    async def enable(self, username: Name, /) -> None:
        """Let a disabled user sign in again. What ended stays ended: applications have to be connected anew."""
        async with self._local().administration() as admin:
            user = await _user(admin, username)
            if user.disabled:
                await admin.enable(user)
        say(f"{user.username} can sign in again." if user.disabled else f"{user.username} is not disabled.")

    async def unlock(self, username: Name, /) -> None:
        """Forget the failed attempts to sign in as a user, who would otherwise wait for a minute in a new browser."""
        async with self._local().administration() as admin:
            user = await _user(admin, username)
            unlocked = await admin.unlock(user)
        if user.disabled:
            remark(f"{user.username} is disabled: `users enable {user.username}` lets them sign in.")
        elif unlocked:
            say(f"{user.username} can sign in at once: the failed attempts are forgotten.")
        else:
            say(f"{user.username} can sign in: nothing is counted against them.")

    async def set_password(self, username: Name, /, *, generate: Generate = False) -> None:
        """Set a user's password and end their browser sessions; applications stay connected.

        The password is asked for, or read from standard input where that is no terminal.
        """
        async with self._local().administration() as admin:
            user = await _user(admin, username)
            password = _password(user.username, generate=generate)
            with _acceptable():
                held = await admin.set_password(user, password, must_change=generate)
        say(f"{user.username} has a new password. Ended {count(held.sessions, 'browser session')}.")
        _show(password, generate=generate)
        if user.disabled:
            remark(f"{user.username} is disabled, and cannot sign in.")

    async def set_scope(
        self,
        username: Name,
        scope: Annotated[str, Parameter(help="A scope, with all that it includes.")],
        /,
        *more: Annotated[str, Parameter(help="Further scopes.")],
    ) -> None:
        """Set what a user may be granted. Access tokens that exceed it end; refreshing them brings what is left."""
        from oauth_server.core import administration as rules  # noqa: PLC0415

        async with self._local().administration() as admin:
            words = " ".join((scope, *more))
            ceiling = given("SCOPE", lambda text: rules.ceiling(text.split(), admin.settings.scope), words)
            user = await _user(admin, username)
            ended = await admin.set_scope(user, ceiling)
            left = await admin.everybody()
        say(f"{user.username} may be granted {_words(ceiling)} (was: {_words(user.scope)}).")
        if ended:
            say(f"Ended the access tokens with more than that of: {', '.join(ended)}.")
        _warn_of_no_administrator(user, left)


async def _user(admin: Administration, username: str) -> User:
    user = await admin.users.by_username(username)
    if user is None:
        raise CommandError(f"No user {username} in {admin.location}; `users list` shows them.")
    return user


def _password(username: str, *, generate: bool) -> str:
    from oauth_server.core.users import generated_password  # noqa: PLC0415

    return generated_password() if generate else new_password(username)


@contextmanager
def _acceptable() -> Iterator[None]:
    from oauth_server.core.passwords import PasswordError  # noqa: PLC0415

    try:
        yield
    except PasswordError as error:
        raise MistakeError(str(error)) from None


def _words(scope: tuple[str, ...]) -> str:
    return " ".join(scope) or "nothing"


def _amount(held: Held) -> str:
    return f"{count(held.sessions, 'browser session')} and {count(held.grants, 'grant')}"


def _show(password: str, *, generate: bool) -> None:
    if generate:
        say(f"Password: {password} (shown only now; to be changed at the next sign-in)")


def _warn_of_no_administrator(user: User, left: list[User]) -> None:
    """Say so, and refuse nothing: a stolen owner's account must be closed at once, and here it can be undone."""
    from oauth_server.core.scopes import ADMIN  # noqa: PLC0415

    if ADMIN in user.scope and not any(ADMIN in other.scope and not other.disabled for other in left):
        remark(f"No enabled user may be granted {ADMIN} now; `users set-scope NAME {ADMIN}` gives it to one.")


def _row(user: User) -> tuple[str, ...]:
    state = "disabled" if user.disabled else "new password due" if user.must_change_password else "enabled"
    return user.username, _words(user.scope), state, user.display_name, user.email, moment(user.created_at)


def _record(user: User) -> dict[str, Any]:
    return {
        "sub": user.user_id,
        "username": user.username,
        "name": user.display_name,
        "email": user.email,
        "scope": list(user.scope),
        "disabled": user.disabled,
        "must_change_password": user.must_change_password,
        "created_at": user.created_at,
    }
