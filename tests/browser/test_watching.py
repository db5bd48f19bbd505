"""What the tests of the site look for is found where it is: on a page that does everything wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.conftest import PHONE, Watched
from tests.browser.test_pages import _SERIOUS, _SIDEWAYS

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.xdist_group("browser")

WRONG = """\
<!doctype html><html><head><title>wrong</title></head><body>
<p style="width: 2000px; color: #ccc; background: #fff">Pale and wide.</p>
<img src="http://localhost:9/outside.png">
<script>console.error("complaint"); throw new Error("broken");</script>
</body></html>
"""


def test_a_page_that_does_everything_wrong_is_found_out(browser: Browser, tmp_path: Path) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe-playwright-python")
    (tmp_path / "index.html").write_text(WRONG, "utf-8")
    context = browser.new_context(viewport={"width": PHONE[0], "height": PHONE[1]})
    watched = Watched(context.new_page(), tmp_path)
    page = watched.open()
    assert page.evaluate(_SIDEWAYS) > 1000
    said = "\n".join(watched.faults)
    for part in ("error: complaint", "script: broken", "left the folder: http://localhost:9/outside.png"):
        assert part in said, part
    violations = axe.Axe().run(page, options={"preload": False}).response["violations"]
    found = {one["id"] for one in violations if one["impact"] in _SERIOUS}
    assert {"color-contrast", "image-alt", "html-has-lang"} <= found
    context.close()
