#!/usr/bin/env python3
"""Post the table of a pull request's techniques as a comment.

What the run of the pull request left is data from strangers: its size is limited, its number counts only
where that pull request is at the commit that was run, its text is shown and never rendered, and none of
its code is run here.

    GITHUB_API_URL, GITHUB_REPOSITORY, GITHUB_TOKEN, RUN_ID and HEAD_SHA say where, and of which run
    scripts/ci/post_table.py                   post, or replace the comment that is there
    scripts/ci/post_table.py --preview TABLE   print the comment of a table
"""

from __future__ import annotations

import io
import json
import os
import re
import sys
import urllib.error
import urllib.request
import zipfile
import zlib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ARTIFACT = "technique-table"
MARKER = "<!-- interp_bench: techniques of this pull request -->"
AUTHOR = "github-actions[bot]"
MOST_BYTES = 1 << 20
"""Size of an artifact, and of each file in it."""
MOST_SIGNS = 60_000
"""Characters of a table in a comment, which may have 65,536 in all."""
_SECONDS = 30
_PAGES = 20


class Refused(Exception):
    """What the run left cannot be posted; the text says why."""


class Api:
    """GitHub's interface, as far as it is needed.

    Args:
        address: where it is.
        repository: ``owner/name``.
        token: allows reading runs and writing comments.
    """

    def __init__(self, address: str, repository: str, token: str) -> None:
        self._address = f"{address.rstrip('/')}/repos/{repository}"
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "application/vnd.github+json"}
        self._opener = urllib.request.build_opener(_Stay())

    def ask(self, path: str, *, method: str = "GET", body: dict[str, str] | None = None) -> Any:
        """Return what is answered, as plain values."""
        data = None if body is None else json.dumps(body).encode()
        with self._opener.open(self._request(path, method, data), timeout=_SECONDS) as answer:
            return json.load(answer)

    def download(self, path: str) -> bytes:
        """Return a file, which lies elsewhere; the token is not shown there.

        Raises:
            Refused: it is too large, or lies nowhere.
        """
        try:
            with self._opener.open(self._request(path, "GET", None), timeout=_SECONDS):
                raise Refused("the artifact is not where GitHub keeps artifacts")
        except urllib.error.HTTPError as error:
            place = error.headers.get("Location", "") if error.code == 302 else ""
        if urlsplit(place).scheme != urlsplit(self._address).scheme:
            raise Refused("the artifact cannot be downloaded")
        with self._opener.open(urllib.request.Request(place), timeout=_SECONDS) as answer:
            content: bytes = answer.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise Refused(f"the artifact has more than {MOST_BYTES:,} bytes")
        return content

    def _request(self, path: str, method: str, data: bytes | None) -> urllib.request.Request:
        return urllib.request.Request(f"{self._address}{path}", data, self._headers, method=method)


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirection, which would take the token along."""

    def redirect_request(self, *_: Any) -> None:
        return None


def unpacked(archive: bytes) -> tuple[int, str]:
    """Return number and table of an archive.

    Raises:
        Refused: it is no archive of just these two, or they are too large or of another form.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            if sorted(opened.namelist()) != ["number", "table.txt"]:
                raise Refused("the artifact holds something else than number and table.txt")
            number, table = (_member(opened, name) for name in ("number", "table.txt"))
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, OSError) as error:
        raise Refused(f"the artifact cannot be unpacked: {error}") from error
    if not re.fullmatch(rb"[1-9][0-9]{0,8}\n?", number):
        raise Refused("the number is no number of a pull request")
    return int(number), table.decode("utf-8", "replace")


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    # The size in the header may be a lie, so no more is unpacked than is allowed.
    with archive.open(name) as stream:
        content = stream.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise Refused(f"{name} has more than {MOST_BYTES:,} bytes")
    return content


def comment(table: str, commit: str) -> str:
    """Return the comment that shows a table as it is, in a block that it cannot end."""
    text = "".join(sign if sign.isprintable() or sign == "\n" else "?" for sign in table).strip("\n")
    if len(text) > MOST_SIGNS:
        text = text[:MOST_SIGNS] + "\n... cut off here"
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return (
        f"{MARKER}\nTechniques that this pull request adds or changes, in the quick tier at {commit[:12]}. "
        "The table was made by the code of the pull request: review that before you trust it.\n\n"
        f"{fence}text\n{text}\n{fence}\n"
    )


def post(api: Api, run: str, commit: str) -> str:
    """Post the table of a run, and return what was done in words.

    Raises:
        Refused: what the run left cannot be posted.
    """
    if not re.fullmatch(r"[0-9]{1,20}", run) or not re.fullmatch(r"[0-9a-f]{40}", commit):
        raise Refused("RUN_ID or HEAD_SHA is of another form")
    listed = api.ask(f"/actions/runs/{run}/artifacts?name={ARTIFACT}")["artifacts"]
    found = [artifact for artifact in listed if artifact["name"] == ARTIFACT and not artifact["expired"]]
    if not found:
        return "no technique was scored"
    if len(found) > 1 or found[0]["size_in_bytes"] > MOST_BYTES:
        raise Refused("there is more than one artifact, or it is too large")
    number, table = unpacked(api.download(f"/actions/artifacts/{int(found[0]['id'])}/zip"))
    pull = api.ask(f"/pulls/{number}")
    if pull["state"] != "open" or pull["head"]["sha"] != commit:
        raise Refused(f"pull request {number} is not open at the commit that was run")
    body = {"body": comment(table, commit)}
    mine = _earlier(api, number)
    if mine is None:
        api.ask(f"/issues/{number}/comments", method="POST", body=body)
        return f"posted to {number}"
    api.ask(f"/issues/comments/{mine}", method="PATCH", body=body)
    return f"replaced the comment of {number}"


def _earlier(api: Api, number: int) -> int | None:
    for page in range(1, _PAGES + 1):
        comments = api.ask(f"/issues/{number}/comments?per_page=100&page={page}")
        for entry in comments:
            if entry["user"]["login"] == AUTHOR and entry["body"].startswith(MARKER):
                return int(entry["id"])
        if len(comments) < 100:
            break
    return None


def main(arguments: list[str]) -> int:
    """Post or preview; return 0, 1 where it is refused, or 2 for wrong usage."""
    if len(arguments) == 2 and arguments[0] == "--preview":
        print(comment(Path(arguments[1]).read_text("utf-8"), "0" * 40), end="")
        return 0
    names = ("GITHUB_API_URL", "GITHUB_REPOSITORY", "GITHUB_TOKEN", "RUN_ID", "HEAD_SHA")
    if arguments or any(not os.environ.get(name) for name in names):
        print(__doc__, file=sys.stderr)
        return 2
    address, repository, token, run, commit = (os.environ[name] for name in names)
    try:
        print(post(Api(address, repository, token), run, commit))
    except Refused as error:
        print(f"refused: {error}", file=sys.stderr)
        return 1
    except (urllib.error.URLError, TimeoutError) as error:
        print(f"GitHub does not answer: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
