"""One way to a plan: made by the process that the user started, followed by every worker alike."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from interp_bench.harness import models
from interp_bench.harness.threads import ThreadSetting
from interp_bench.plugin.arrival import Handed
from interp_bench.plugin.plan import Plan, make_plan

if TYPE_CHECKING:
    import pytest

    from interp_bench.plugin.options import Options

_INPUT = "interp_bench"


def hand_over(workerinput: dict[str, object], handed: Handed) -> None:
    """Put the plan into what a worker is started with."""
    workerinput[_INPUT] = handed.as_input()


def handed_to(config: pytest.Config) -> Handed | None:
    """Return the plan that this process was handed; None in the process that the user started."""
    sent = getattr(config, "workerinput", {}).get(_INPUT)
    return Handed.of_input(sent) if sent else None


def set_threads(config: pytest.Config, threads: int) -> ThreadSetting:
    """Set the threads of this process until pytest is done; see `threads` in harness."""
    setting = ThreadSetting(threads)
    config.add_cleanup(setting.undo)
    return setting


def settle(config: pytest.Config, options: Options, handed: Handed | None) -> Plan:
    """Make the plan, or follow the one that was handed to this worker.

    Raises:
        InterpBenchError: anything that the user has to mend, in one line.
    """
    return make_plan(
        options,
        models.MODELS.registry(),
        places_of(config),
        run=handed.run if handed else "",
        stored=frozenset(handed.stored) if handed else None,
    )


def places_of(config: pytest.Config) -> list[Path]:
    """Return the files and folders that pytest collects from."""
    here = config.invocation_params.dir
    return list(dict.fromkeys(here / argument.partition("::")[0] for argument in config.args))
