"""Pages to HTML by templates that escape everything that they are given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from interp_bench.board import figures
from interp_bench.board.site.markup import rows_html
from interp_bench.board.site.page import Page

NAVIGATION = (
    ("index.html", "Overview"),
    ("cliffs.html", "Cliffs"),
    ("heat.html", "Heat map"),
    ("cost.html", "Cost"),
    ("claims.html", "Claims"),
    ("transfer.html", "Which cliff first"),
    ("models.html", "Models"),
    ("truth.html", "How we know"),
)


class Renderer:
    """Templates with what every page shows.

    Args:
        common: for all pages.
    """

    def __init__(self, common: Mapping[str, Any]) -> None:
        self._environment = Environment(
            loader=PackageLoader("interp_bench.board.site"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        # Sorted keys would put the fields of a chart in another order than it was written in.
        self._environment.policies["json.dumps_kwargs"] = {"sort_keys": False, "separators": (",", ":")}
        self._environment.globals |= {
            **common,
            "figures": figures,
            "rows_html": rows_html,
            "navigation": NAVIGATION,
        }

    def html(self, page: Page) -> str:
        """Return the page."""
        return self._environment.get_template(page.template).render(page=page, root=page.root, **page.context)
