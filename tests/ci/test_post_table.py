"""The table of a pull request is posted as data: limited, checked, shown and never rendered."""

from __future__ import annotations

import io
import json
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

COMMIT = "a" * 40
LIST = "/repos/o/r/actions/runs/5/artifacts?name=technique-table"


def archive(*, number: bytes = b"7\n", table: bytes = b"the table\n", **others: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in {"number": number, "table.txt": table, **others}.items():
            opened.writestr(name, content)
    return packed.getvalue()


@pytest.fixture
def module(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("post_table")


# ------------------------------------------------------------------------ what is unpacked


def test_number_and_table_are_unpacked(module: ModuleType) -> None:
    assert module.unpacked(archive()) == (7, "the table\n")
    assert module.unpacked(archive(table=b"\xff"))[1] == "\ufffd"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be unpacked"),
        (b"PK\x03\x04 not really", "cannot be unpacked"),
        (archive()[:-30], "cannot be unpacked"),
        (archive(more=b"x"), "something else"),
        (archive(**{"../number": b"1"}), "something else"),
        (archive(number=b"7; rm -rf"), "no number"),
        (archive(number=b"-7"), "no number"),
        (archive(number=b"07"), "no number"),
        (archive(number=b"7\n\n"), "no number"),
        (archive(number="\u0667".encode()), "no number"),
        (archive(number=b"1" * 30), "no number"),
        (archive(table=b"x" * (2 << 20)), "table.txt has more than"),
        (archive(number=b"7" * (2 << 20)), "number has more than"),
    ],
)
def test_anything_else_is_refused(module: ModuleType, content: bytes, message: str) -> None:
    with pytest.raises(module.Refused, match=message):
        module.unpacked(content)


def test_a_bomb_whose_header_lies_is_cut_short(module: ModuleType) -> None:
    bomb = archive(table=b"\0" * (64 << 20))
    assert len(bomb) < module.MOST_BYTES
    with pytest.raises(module.Refused):
        module.unpacked(bomb.replace((64 << 20).to_bytes(4, "little"), (10).to_bytes(4, "little")))


# ------------------------------------------------------------------------ what is shown


@pytest.mark.parametrize(
    "table",
    [
        "plain",
        "```\n@everyone <img src=x onerror=alert(1)> [a](javascript:b)\n```",
        "`````\n</details>\n~~~\n````````\n",
        "a\r\nb\x1b[2Jc\u202ed\u2028e\x00",
        "",
    ],
)
def test_a_table_stays_in_its_block(module: ModuleType, table: str) -> None:
    body = module.comment(table, COMMIT)
    head, fence, rest = body.partition("\n\n")[2].partition("text\n")
    assert set(head) == {"`"}
    assert fence
    inside, ended, after = rest.rpartition(f"\n{head}\n")
    assert ended
    assert after == ""
    assert head not in inside
    assert body.startswith(f"{module.MARKER}\n")
    assert not [sign for sign in body if not sign.isprintable() and sign != "\n"]


def test_a_long_table_is_cut_to_what_a_comment_holds(module: ModuleType) -> None:
    body = module.comment("x" * 200_000, COMMIT)
    assert len(body) < 65_536
    assert "cut off here" in body


def test_preview_prints_the_comment(
    module: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "table.txt").write_text("the table", "utf-8")
    assert module.main(["--preview", str(tmp_path / "table.txt")]) == 0
    assert "```text\nthe table\n```\n" in capsys.readouterr().out


# ------------------------------------------------------------------------ what is asked of GitHub


class Forge:
    """A stand-in for GitHub: answers by path, and what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {
            **listed(3),
            "/repos/o/r/pulls/7": {"state": "open", "head": {"sha": COMMIT}},
            "/repos/o/r/issues/7/comments?per_page=100&page=1": [],
        }
        self.archive = archive()
        self.asked: list[tuple[str, str, str, Any]] = []
        self.address = ""

    @property
    def written(self) -> list[tuple[str, str]]:
        return [(method, path) for method, path, _, _ in self.asked if method != "GET"]


@pytest.fixture
def forge() -> Iterator[Forge]:
    forge = Forge()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            forge.asked.append((self.command, self.path, self.headers.get("Authorization", ""), body))
            if self.path == "/repos/o/r/actions/artifacts/3/zip":
                self.send_response(302)
                self.send_header("Location", f"{forge.address}/elsewhere")
                self.end_headers()
                return
            answer = {} if self.command != "GET" else forge.answers.get(self.path)
            content = forge.archive if self.path == "/elsewhere" else json.dumps(answer).encode()
            self.send_response(404 if content == b"null" else 200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_PATCH = do_GET

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    forge.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield forge
    server.shutdown()
    server.server_close()
    thread.join()


def post(module: ModuleType, forge: Forge, run: str = "5", commit: str = COMMIT) -> str:
    said: str = module.post(module.Api(forge.address, "o/r", "token"), run, commit)
    return said


def test_the_table_is_posted_once_and_then_replaced(module: ModuleType, forge: Forge) -> None:
    assert post(module, forge) == "posted to 7"
    method, path, _, body = forge.asked[-1]
    assert (method, path) == ("POST", "/repos/o/r/issues/7/comments")
    assert body == {"body": module.comment("the table\n", COMMIT)}
    forge.answers["/repos/o/r/issues/7/comments?per_page=100&page=1"] = [
        {"id": 1, "user": {"login": "stranger"}, "body": module.MARKER},
        {"id": 2, "user": {"login": "github-actions[bot]"}, "body": "of another workflow"},
        {"id": 3, "user": {"login": "github-actions[bot]"}, "body": f"{module.MARKER}\nold"},
    ]
    assert post(module, forge) == "replaced the comment of 7"
    assert forge.written[-1] == ("PATCH", "/repos/o/r/issues/comments/3")


def test_the_token_is_shown_to_github_only(module: ModuleType, forge: Forge) -> None:
    post(module, forge)
    shown = {path: token for _, path, token, _ in forge.asked}
    assert shown["/elsewhere"] == ""
    assert {token for path, token in shown.items() if path != "/elsewhere"} == {"Bearer token"}


def listed(*ids: int, size: int = 99, expired: bool = False) -> dict[str, Any]:
    """Return the answer to a question for the artifacts of a run."""
    made = [{"id": i, "name": "technique-table", "size_in_bytes": size, "expired": expired} for i in ids]
    return {LIST: {"artifacts": made}}


@pytest.mark.parametrize(
    "change",
    [
        {"/repos/o/r/pulls/7": {"state": "open", "head": {"sha": "b" * 40}}},
        {"/repos/o/r/pulls/7": {"state": "closed", "head": {"sha": COMMIT}}},
        listed(3, size=9 << 20),
        listed(3, 4),
    ],
    ids=["another commit", "closed", "huge", "two"],
)
def test_what_does_not_fit_is_not_posted(module: ModuleType, forge: Forge, change: dict[str, Any]) -> None:
    forge.answers.update(change)
    with pytest.raises(module.Refused):
        post(module, forge)
    assert forge.written == []


def test_a_number_of_another_pull_request_is_not_posted_to(module: ModuleType, forge: Forge) -> None:
    forge.answers["/repos/o/r/pulls/8"] = {"state": "open", "head": {"sha": "c" * 40}}
    forge.archive = archive(number=b"8")
    with pytest.raises(module.Refused, match="pull request 8 is not open at the commit"):
        post(module, forge)
    assert forge.written == []


def test_a_download_that_is_larger_than_it_says_is_cut_short(module: ModuleType, forge: Forge) -> None:
    forge.archive = b"x" * (module.MOST_BYTES + 1)
    with pytest.raises(module.Refused, match="has more than"):
        post(module, forge)


def test_nothing_to_post_is_no_fault(module: ModuleType, forge: Forge) -> None:
    for answer in (listed(), listed(3, expired=True)):
        forge.answers.update(answer)
        assert post(module, forge) == "no technique was scored"


PLACES = [("5/../6", COMMIT), ("", COMMIT), ("5", "main"), ("5", "A" * 40)]


@pytest.mark.parametrize(("run", "commit"), PLACES)
def test_places_of_another_form_are_refused(module: ModuleType, forge: Forge, run: str, commit: str) -> None:
    with pytest.raises(module.Refused, match="of another form"):
        post(module, forge, run, commit)
    assert forge.asked == []


def test_the_command_ends_with_a_status(
    module: ModuleType, forge: Forge, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert module.main([]) == 2
    given = {"API_URL": forge.address, "REPOSITORY": "o/r", "TOKEN": "token"}
    for name, value in given.items():
        monkeypatch.setenv(f"GITHUB_{name}", value)
    monkeypatch.setenv("RUN_ID", "5")
    monkeypatch.setenv("HEAD_SHA", COMMIT)
    assert module.main([]) == 0
    forge.archive = b"nonsense"
    assert module.main([]) == 1
    del forge.answers[LIST]
    assert module.main([]) == 1
    said = capsys.readouterr()
    assert said.out == "posted to 7\n"
    refused, silent = said.err.splitlines()[-2:]
    assert refused.startswith("refused: ")
    assert silent.startswith("GitHub does not answer: ")
