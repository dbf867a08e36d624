"""Private files: the database file of SQLite and those beside it, kept from the other users of the computer.

The file holds password hashes and, without an encryption key, the signing keys. Where other users could read it, their
permissions are taken away; where that is not possible, the file is refused.
"""

import logging
import os
import stat
from pathlib import Path
from typing import Final

from oauth_server.store.errors import StoreError

BESIDE: Final = ("-wal", "-shm", "-journal")  # files that SQLite keeps beside the database
_MAGIC: Final = b"SQLite format 3\x00"
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_POSIX: Final = os.name == "posix"
logger = logging.getLogger(__name__)


def prepare(path: Path) -> None:
    """Create the data folder (0700) and the database file (0600), or make those that exist private.

    Raises StoreError for a file that cannot be written, is no regular one, belongs to another user, or that others can
    still read.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_link(path)
        opened = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            found = os.fstat(opened)
            _check_file(path, found)
            if found.st_size and os.read(opened, len(_MAGIC)) != _MAGIC:
                return  # a file of something else, named by mistake: it is left as it is, and refused when it is read
            _make_private(path, found)
        finally:
            os.close(opened)
        _close_folder(path.resolve().parent)
    except OSError as error:
        raise StoreError(f"{path} cannot be written ({error.strerror})") from error
    for beside in (path.resolve().with_name(path.resolve().name + suffix) for suffix in BESIDE):
        _check_link(beside)
        if beside.exists():
            _check_file(beside, beside.stat())
            _make_private(beside, beside.stat())


def others_may_read(path: Path) -> bool:
    """Whether users of the computer other than its owner may read a file. Raises OSError."""
    return _POSIX and bool(path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))


def _check_link(path: Path) -> None:
    """Follow a symbolic link of ours, or of the system's, alone."""
    if path.is_symlink() and _POSIX and path.lstat().st_uid not in (os.geteuid(), 0):
        raise StoreError(f"{path} is a symbolic link of another user")


def _check_file(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise StoreError(f"{path} is no regular file")
    # The operator may run a command as root on the file of the server's user.
    if _POSIX and os.geteuid() not in (found.st_uid, 0):
        raise StoreError(f"{path} belongs to another user")


def _make_private(path: Path, found: os.stat_result) -> None:
    if not _POSIX or not found.st_mode & _OTHERS:
        return
    try:
        path.chmod(stat.S_IMODE(found.st_mode) & ~_OTHERS)
    except OSError as error:
        raise StoreError(f"other users may read {path}, and that cannot be changed ({error.strerror})") from error
    if path.stat().st_mode & _OTHERS:  # of file systems that know no permissions
        raise StoreError(f"other users may read {path}, and its file system keeps no permissions")
    logger.warning("other users could read %s: now its owner alone may", path)


def _close_folder(folder: Path) -> None:
    """Let no other user remove or replace files in a folder of ours."""
    if not _POSIX:
        return
    found = folder.stat()
    if not found.st_mode & stat.S_IWOTH or found.st_mode & stat.S_ISVTX:
        return
    if found.st_uid == os.geteuid():
        folder.chmod(stat.S_IMODE(found.st_mode) & ~stat.S_IWOTH)
        logger.warning("other users could replace the files in %s: now they may not", folder)
    else:
        logger.warning("other users may replace the files in %s: take that from them, or choose another folder", folder)
