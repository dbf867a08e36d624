"""`server.py` without the second and more that importing it takes: loaded once, forked for each start.

Each line on stdin starts the program, in a process group of its own, with the arguments on that line; its process id is
printed, and "ended" when it is gone. What runs in the fork is `server.main()`, as in a cold start.
"""

import importlib
import os
import pkgutil
import sys
import threading

USED = (
    "httptools",
    "oauth_server",
    "oauth_tools",
    "psycopg",
    "psycopg_binary",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite.pysqlite",
    "uvicorn.lifespan.on",
    "uvicorn.protocols.http.httptools_impl",
    "uvloop",
    "well_known",
)
ROOMS = ("oauth_server", "oauth_tools", "well_known")


def preload() -> None:
    """Import all that the program imports until it serves."""
    for name in USED:
        importlib.import_module(name)
    for room in ROOMS:
        package = importlib.import_module(room)
        for module in pkgutil.walk_packages(package.__path__, f"{room}."):
            if ".migrations" not in module.name:
                importlib.import_module(module.name)


def main() -> None:
    """Start what is asked for, one at a time."""
    preload()
    server = importlib.import_module("server")
    assert threading.active_count() == 1
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            os.setsid()
            sys.argv = ["server.py", *line.split()]
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(2, 1)
            sys.exit(server.main())
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()
        os.waitpid(child, 0)
        sys.stdout.write("ended\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
