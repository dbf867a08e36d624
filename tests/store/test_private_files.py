"""The database file and other users of the computer: they read nothing, also where the files were made before."""

import logging
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from oauth_server.store import backups
from oauth_server.store.errors import StoreError
from oauth_server.store.store import Store
from tests.support.program import ROOT

FILES = ("oauth.db", "oauth.db-wal", "oauth.db-shm")
SERVER_USER, NEIGHBOUR = 54_321, 54_322  # users of this test alone
pytestmark = pytest.mark.skipif(os.name != "posix", reason="permissions are those of POSIX")
needs_root = pytest.mark.skipif(os.name == "posix" and os.geteuid() != 0, reason="only root becomes two other users")

# The interpreter may lie where only root reads: what is needed is loaded before the user is another one.
AS_USER = """
import os, sys, tempfile
from oauth_server.store.errors import StoreError
from oauth_server.store.store import Store
Store(f"sqlite:///{tempfile.mkdtemp()}/warm.db").close()
os.umask(0)
os.setgroups([])
os.setgid(int(sys.argv[1]))
os.setuid(int(sys.argv[1]))
for path in sys.argv[3:]:
    try:
        if sys.argv[2] == "serve":
            store = Store(f"sqlite:///{path}")
            print("served", *sorted(oct(os.stat(path + end).st_mode & 0o777) for end in ("", "-wal", "-shm")))
            store.close()
        else:
            open(path, "rb").read(1)
            print("read")
    except (StoreError, OSError) as error:
        print(type(error).__name__, error)
"""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def as_user(user: int, what: str, *paths: Path) -> list[str]:
    """What a program of this user says of each path."""
    command = [sys.executable, "-c", AS_USER, str(user), what, *map(str, paths)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user may enter, unlike those of pytest."""
    found = Path(tempfile.mkdtemp())
    found.chmod(0o755)
    yield found
    shutil.rmtree(found)


def owned(path: Path, user: int, permissions: int) -> Path:
    """Make a folder, or an empty file where the name has a suffix, of a user."""
    path.touch() if path.suffix else path.mkdir()
    path.chmod(permissions)
    os.chown(path, user, user)
    return path


@needs_root
@pytest.mark.requirement("attack-53")
@pytest.mark.parametrize("before", [None, 0o600, 0o640, 0o644, 0o666, 0o777])
@pytest.mark.parametrize("of_folder", [0o755, 0o775])
def test_a_neighbour_reads_nothing_of_a_database(folder: Path, before: int | None, of_folder: int) -> None:
    data = owned(folder / "data", SERVER_USER, of_folder)
    database = data / "oauth.db"
    if before is not None:
        for name in FILES:
            owned(data / name, SERVER_USER, before)
    assert as_user(SERVER_USER, "serve", database) == [
        f"served {' '.join(['0o700' if before == 0o777 else '0o600'] * 3)}"
    ]
    (database.with_name("oauth.db-wal")).touch()
    left = [path for path in data.iterdir() if path.name != "oauth.db-wal"]
    assert {line.split()[0] for line in as_user(NEIGHBOUR, "read", *left)} == {"PermissionError"}


@needs_root
@pytest.mark.requirement("attack-53")
@pytest.mark.parametrize("permissions", [0o666, 0o606, 0o660, 0o600])
def test_the_file_of_a_neighbour_is_refused(folder: Path, permissions: int) -> None:
    data = owned(folder / "data", SERVER_USER, 0o755)
    theirs = owned(data / "oauth.db", NEIGHBOUR, permissions)
    (told,) = as_user(SERVER_USER, "serve", theirs)
    expected = "belongs to another user" if permissions & 0o006 == 0o006 else "cannot be written (Permission denied)"
    assert told.startswith("StoreError ")
    assert told.endswith(expected)
    assert mode(theirs) == permissions


@needs_root
@pytest.mark.requirement("attack-53")
@pytest.mark.parametrize("end", ["-wal", "-journal"])
def test_what_a_neighbour_put_beside_the_file_is_refused(folder: Path, end: str) -> None:
    data = owned(folder / "data", SERVER_USER, 0o755)
    owned(data / "oauth.db", SERVER_USER, 0o600)
    owned(data / f"oauth.db{end}", NEIGHBOUR, 0o666)
    (told,) = as_user(SERVER_USER, "serve", data / "oauth.db")
    assert told == f"StoreError {data}/oauth.db{end} belongs to another user"


@needs_root
def test_a_symbolic_link_is_followed_where_no_neighbour_made_it(folder: Path) -> None:
    data = owned(folder / "data", SERVER_USER, 0o755)
    shared = owned(folder / "shared", 0, 0o1777)
    real = owned(data / "oauth.db", SERVER_USER, 0o644)
    links = [shared / name for name in ("ours.db", "theirs.db", "the-systems.db")]
    for link, user in zip(links, (SERVER_USER, NEIGHBOUR, 0), strict=True):
        link.symlink_to(real)
        os.chown(link, user, user, follow_symlinks=False)
    ours, theirs, the_systems = as_user(SERVER_USER, "serve", *links)
    assert theirs == f"StoreError {links[1]} is a symbolic link of another user"
    assert "StoreError" not in ours + the_systems
    assert mode(real) == 0o600


@needs_root
def test_the_operator_as_root_works_on_the_file_of_the_server_and_leaves_it_that_user_s(folder: Path) -> None:
    data = owned(folder / "data", SERVER_USER, 0o700)
    assert "served" in as_user(SERVER_USER, "serve", data / "oauth.db")[0]
    (data / "oauth.db").chmod(0o644)
    Store(f"sqlite:///{data}/oauth.db").close()
    assert (mode(data / "oauth.db"), (data / "oauth.db").stat().st_uid) == (0o600, SERVER_USER)
    assert "served" in as_user(SERVER_USER, "serve", data / "oauth.db")[0]


def test_permissions_that_are_taken_away_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    database = tmp_path / "data" / "oauth.db"
    Store(f"sqlite:///{database}").close()
    assert (mode(database), mode(database.parent)) == (0o600, 0o700)
    assert caplog.messages == []
    database.chmod(0o640)
    database.parent.chmod(0o777)
    with caplog.at_level(logging.WARNING):
        Store(f"sqlite:///{database}").close()
    assert caplog.messages == [
        f"other users could read {database}: now its owner alone may",
        f"other users could replace the files in {database.parent}: now they may not",
    ]
    assert (mode(database), mode(database.parent)) == (0o600, 0o775)


def test_permissions_that_cannot_be_taken_away_refuse_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = tmp_path / "oauth.db"
    Store(f"sqlite:///{database}").close()
    database.chmod(0o644)

    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    ways: list[Callable[..., None]] = [refused, lambda *_: None]  # a read-only file system; one without permissions
    for way in ways:
        monkeypatch.setattr(Path, "chmod", way)
        with pytest.raises(StoreError, match=f"other users may read {database}"):
            Store(f"sqlite:///{database}")


def test_a_file_that_is_no_database_keeps_its_permissions(tmp_path: Path) -> None:
    named_by_mistake = tmp_path / "hosts"
    named_by_mistake.write_text("127.0.0.1 localhost\n" * 9)
    named_by_mistake.chmod(0o644)
    with pytest.raises(StoreError, match="file is not a database"):
        Store(f"sqlite:///{named_by_mistake}")
    assert mode(named_by_mistake) == 0o644
    assert "localhost" in named_by_mistake.read_text()


def test_no_file_that_is_none_is_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "oauth.db")
    with pytest.raises(StoreError, match="is no regular file"):
        Store(f"sqlite:///{tmp_path}/oauth.db")


def test_a_backup_and_a_copy_are_their_owner_s_alone_also_in_place_of_other_files(tmp_path: Path) -> None:
    Store(f"sqlite:///{tmp_path}/oauth.db").close()
    before = os.umask(0)
    try:
        made = tmp_path / "backup.db"
        backups.backup(f"sqlite:///{tmp_path}/oauth.db", made, force=False)
        assert mode(made) == 0o600
        made.chmod(0o666)
        backups.backup(f"sqlite:///{tmp_path}/oauth.db", made, force=True)
        assert mode(made) == 0o600
        target = tmp_path / "copy.db"
        target.touch()
        target.chmod(0o666)
        backups.restore(made, f"sqlite:///{target}", lambda _: None, replace=False)
        assert mode(target) == 0o600
    finally:
        os.umask(before)
