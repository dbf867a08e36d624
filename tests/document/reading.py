"""The document's code blocks, in order, and the curl that runs them."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio

DOCUMENT = Path(__file__).parents[2] / "docs" / "oauth-authentication.md"
END = "=== end of answer ==="


@dataclass(frozen=True)
class Block:
    """One fenced block, with the headings it stands under."""

    heading: str
    language: str
    text: str


def blocks() -> list[Block]:
    """Every fenced block of the document, in order."""
    found: list[Block] = []
    heading, language, lines = "", None, []
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            if language is not None:
                found.append(Block(heading, language, "\n".join(lines)))
                language = None
            else:
                language, lines = line[3:], []
        elif language is not None:
            lines.append(line)
        elif line.startswith("#"):
            heading = line.lstrip("#").strip()
    assert language is None
    return found


def block(heading: str, language: str) -> str:
    """The one block of this language under this heading."""
    (found,) = [b.text for b in blocks() if (b.heading, b.language) == (heading, language)]
    return found


def commands(text: str) -> list[str]:
    """The parts of a bash block that blank lines keep apart, each with the comments above it."""
    return re.split(r"\n\n+", text)


def substituted(text: str, values: Mapping[str, str]) -> str:
    """`text` with what the table of substitutions allows."""
    for name, value in values.items():
        pattern = rf"\b{name}\b" if name.isupper() else re.escape(name)
        text = re.sub(pattern, lambda _, value=value: value, text)
    return text


def environment(text: str) -> dict[str, str]:
    """The variables of a compose block's list, as YAML reads plain scalars: a comment starts at a blank and a #."""
    found = {}
    for line in text.splitlines():
        item = re.fullmatch(r"\s+- (\w+)=(.*?)(\s+#.*)?", line)
        if item is not None:
            found[item[1]] = item[2]
        else:
            assert re.fullmatch(r"environment:|\s*(#.*)?", line), line
    return found


@dataclass(frozen=True)
class Answer:
    """One HTTP response as curl printed it."""

    status: int
    headers: dict[str, str] = field(repr=False)
    body: str = ""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def bash(script: str, folder: Path) -> list[Answer]:
    """Run lines of the document in bash, with the curl of this machine; returns what the server answered.

    The lines stay as they are; a .curlrc makes curl print status and headers as well.
    """
    (folder / ".curlrc").write_text(f'include\nsilent\nshow-error\nnoproxy = "*"\nwrite-out = "\\n{END}\\n"\n')
    path = "/usr/local/bin:/usr/bin:/bin"
    env = {"CURL_HOME": str(folder), "HOME": str(folder), "PATH": path}
    done = await anyio.run_process(["bash", "-euo", "pipefail", "-c", script], env=env, cwd=folder)
    *answers, rest = done.stdout.decode().split(f"\n{END}\n")
    assert rest.strip() == "", rest
    return [_answer(text) for text in answers]


def _answer(text: str) -> Answer:
    head, _, body = text.partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    return Answer(int(first.split()[1]), headers, body)
