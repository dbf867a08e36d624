"""`keys rotate --pem`: signing keys that the operator made, and manages."""

import json
import os
import sqlite3
from base64 import urlsafe_b64decode
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from oauth_server.core.key_files import read_private_key
from oauth_server.core.keys import PUBLISHED_BEFORE
from oauth_server.core.settings_rules import RefusedError
from tests.commands.conftest import Shell
from tests.conftest import MakeServer
from tests.support.mcp_http import ask, token_for
from tests.support.server import Running

EC, RSA = ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)
PASSPHRASE = "a passphrase"
REMARK = "After 90 days the server makes the next one: MCP_OAUTH_KEY_ROTATION_DAYS=0 leaves that to you.\n"


def pem(
    key: Any,
    form: PrivateFormat = PrivateFormat.PKCS8,
    encryption: KeySerializationEncryption | None = None,
    encoding: Encoding = Encoding.PEM,
) -> bytes:
    """A private key as people have it in a file."""
    return bytes(key.private_bytes(encoding, form, encryption or NoEncryption()))


def sealed(key: Any, form: PrivateFormat = PrivateFormat.PKCS8) -> bytes:
    return pem(key, form, BestAvailableEncryption(PASSPHRASE.encode()))


PUBLIC = EC.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
CERTIFICATE = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
P384 = ec.generate_private_key(ec.SECP384R1())
SMALL = rsa.generate_private_key(65537, 1024)  # noqa: S505 - to be refused
LOW = rsa.generate_private_key(3, 2048)


@pytest.fixture
def file(tmp_path: Path) -> Callable[[bytes], str]:
    """Writes a file, and returns its path."""

    def write(data: bytes) -> str:
        path = tmp_path / "signing.pem"
        path.touch(0o600)
        path.write_bytes(data)
        return str(path)

    return write


async def listed(shell: Shell) -> list[tuple[str, str, str]]:
    keys = [json.loads(line) for line in (await shell.says("keys", "list", "--json")).splitlines()]
    return sorted((key["use"], key["state"], key["kid"]) for key in keys)


async def test_a_key_of_the_operators_own_waits_signs_and_verifies_like_any_other(
    make_server: MakeServer, shell: Shell, file: Callable[[bytes], str]
) -> None:
    async with make_server() as server, server.client() as http:
        ended = await shell(
            "keys", "rotate", "--use", "access", "--pem", file(pem(EC, PrivateFormat.TraditionalOpenSSL))
        )
        kid = ended.out.split()[0]
        assert (ended.status, ended.err) == (0, REMARK)
        assert ended.out.startswith(f"{kid} signs access tokens from 2")
        await server.services.revoked.refresh()
        keys = {key["kid"]: key for key in (await http.get("/.well-known/jwks.json")).json()["keys"]}
        numbers = EC.public_key().public_numbers()
        assert int.from_bytes(_unb64(keys[kid]["x"])) == numbers.x
        assert int.from_bytes(_unb64(keys[kid]["y"])) == numbers.y
        assert _signer_of(await token_for(server, "mcp:read")) != kid
        server.clock.advance(PUBLISHED_BEFORE + 60)
        token = await token_for(server, "mcp:read")
        assert _signer_of(token) == kid
        assert (await ask(http, "modern", "tools/list", token=token)).status_code == 200
        assert ("access", "published", kid) in await listed(shell)  # by the clock of the command
    last = json.loads((await shell.says("audit", "--json", "--event", "key.rotated")).splitlines()[-1])
    assert last["detail"] == f"{kid} for access tokens, in 600 s, of the operator's own"


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
async def test_an_encrypted_key_is_opened_by_its_passphrase(
    server: Running, shell: Shell, file: Callable[[bytes], str], form: PrivateFormat
) -> None:
    server.clock.advance(60)  # past the clock of the commands
    env = {"MCP_OAUTH_KEY_ROTATION_DAYS": "0"}
    command = ("keys", "rotate", "--now", "--use", "id", "--pem", file(sealed(RSA, form)))
    for stdin, problem in (("wrong\n", "--pem: does not open with this passphrase"), ("", "There is no passphrase")):
        ended = await shell(*command, stdin=stdin, **env)
        assert (ended.status, ended.out, len(ended.lines)) == (2, "", 1)
        assert ended.err.startswith(problem)
    said = await shell.says(*command, stdin=f"{PASSPHRASE}\n", **env)  # no word of 90 days
    assert said.endswith(" signs id tokens from now on.\n")
    with closing(sqlite3.connect(shell.database)) as kept:
        kids = dict(kept.execute("SELECT kid, private_pem FROM signing_keys").fetchall())
    assert kids[said.split()[0]].encode() == pem(RSA)  # in the form of every other key, whatever its file was like
    await server.services.revoked.refresh()
    assert server.services.tokens.keys.sign_id.kid == said.split()[0]


@pytest.mark.parametrize(
    ("use", "data", "said"),
    [
        ("access", PUBLIC, "holds a public key, and no private key; accepted: a PEM file with an EC private key"),
        ("access", CERTIFICATE, "holds a certificate, and no private key; accepted: "),
        ("access", b"", "holds no private key in PEM; accepted: "),
        ("access", pem(EC)[:100], "holds no private key in PEM; accepted: "),
        ("access", pem(EC, encoding=Encoding.DER), "holds no private key in PEM; accepted: "),
        ("access", pem(P384), "is on the curve secp384r1; accepted: an EC private key on the curve P-256"),
        ("access", pem(RSA), "is no EC key, and ES256 signs with one; accepted: "),
        ("access", pem(ed25519.Ed25519PrivateKey.generate()), "is no EC key, and ES256 signs with one; accepted: "),
        ("id", pem(EC), "is no RSA key, and RS256 signs with one; accepted: an RSA private key of 2048 to 4096 bits"),
        ("id", pem(SMALL), "has 1024 bits; accepted: "),
        ("id", pem(LOW), "has an exponent below 65537; accepted: "),
    ],
    # Not the keys, which each process makes anew.
    ids=lambda value: "file" if isinstance(value, bytes) else str(value)[:40],
)
async def test_what_cannot_sign_is_refused_in_one_line(
    shell: Shell, file: Callable[[bytes], str], use: str, data: bytes, said: str
) -> None:
    before = await listed(shell)
    ended = await shell("keys", "rotate", "--use", use, "--pem", file(data))
    assert (ended.status, ended.out, len(ended.lines)) == (2, "", 1), ended
    assert ended.err.startswith(f"--pem: {said}"), ended.err
    assert await listed(shell) == before


async def test_a_key_has_one_life_and_one_use(shell: Shell, file: Callable[[bytes], str], tmp_path: Path) -> None:
    env = {"MCP_OAUTH_SIGNING_ALG": "RS256", "MCP_OAUTH_KEY_ROTATION_DAYS": "0"}
    path = file(pem(RSA))
    kid = (await shell.says("keys", "rotate", "--now", "--use", "access", "--pem", path, **env)).split()[0]
    before = await listed(shell)
    for words in (("--use", "access"), ("--use", "id"), ("--now", "--use", "access")):
        ended = await shell("keys", "rotate", *words, "--pem", path, **env)
        known = f"--pem: holds the key {kid}, which is in the database already; accepted: another key\n"
        assert (ended.status, ended.out, ended.err) == (2, "", known)
    for words, said in (
        (("--pem", path), "--pem is one key, and each use has its own: say --use access or --use id.\n"),
        (
            ("--use", "id", "--pem", str(tmp_path / "absent")),
            "--pem: the file cannot be read (No such file or directory)",
        ),
        (("--use", "id", "--pem", str(tmp_path)), "--pem: the file cannot be read (Is a directory)"),
    ):
        ended = await shell("keys", "rotate", *words, **env)
        assert (ended.status, ended.out, len(ended.lines)) == (2, "", 1)
        assert ended.err.startswith(said)
    assert await listed(shell) == before


@pytest.mark.requirement("attack-73")
async def test_a_file_that_other_users_may_read_is_told_of(shell: Shell, file: Callable[[bytes], str]) -> None:
    path = file(pem(EC))
    os.chmod(path, 0o640)  # noqa: PTH101 - at once
    ended = await shell("keys", "rotate", "--use", "access", "--pem", path)
    assert ended.status == 0
    told = f"Warning: other users of this computer may read {path}, and sign tokens with the key in it.\n"
    assert ended.err.startswith(told)


@given(st.one_of(st.binary(max_size=400), st.integers(0, 600).map(lambda at: pem(EC)[:at] + b"A" + pem(EC)[at + 1 :])))
def test_whatever_a_file_holds_is_a_key_or_refused_and_never_quoted(data: bytes) -> None:
    for passphrase in (None, "x"):
        try:
            found = read_private_key(data, "ES256", passphrase)
        except RefusedError as error:
            said = f"{error.problem}{error.accepted}"
        else:
            said, _ = "", read_private_key(found.encode(), "ES256")
        assert not any(data[at : at + 16].decode("latin-1") in said for at in range(len(data) - 16))


def _signer_of(token: str) -> str:
    return str(json.loads(_unb64(token.split(".", maxsplit=1)[0]))["kid"])


def _unb64(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
