"""The pytest plugin: ``pytest --bench`` scores techniques; without ``--bench`` it does nothing."""

from __future__ import annotations

import pytest

from interp_bench.plugin.options import add_options, project_root, refuse_stray_options

_ONLY_SHOWING = ("help", "version", "markers", "showfixtures", "show_fixtures_per_test")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the benchmark."""
    add_options(parser)


def pytest_load_initial_conftests(early_config: pytest.Config, args: list[str]) -> None:
    """Collect the folder of tasks when ``--bench`` is given and no place to collect from."""
    known = early_config.known_args_namespace
    if getattr(known, "bench", False) and not known.file_or_dir:
        from interp_bench.harness.folders import tasks_folder

        root = project_root(early_config)
        folder = tasks_folder(root)
        args.insert(0, str(folder))
        # pytest loads the conftest.py of these places and above them; the project's own is wanted too.
        known.file_or_dir = [str(folder)] if folder.is_relative_to(root) else [str(root), str(folder)]


def pytest_configure(config: pytest.Config) -> None:
    """Switch the benchmark on when it is asked for; torch is not imported otherwise."""
    if not config.getoption("bench"):
        refuse_stray_options(config)
    elif not any(getattr(config.option, name, False) for name in _ONLY_SHOWING):
        from interp_bench.plugin.session import switch_on

        switch_on(config)
