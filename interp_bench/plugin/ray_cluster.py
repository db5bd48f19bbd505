"""Ray behind the one interface `Cluster`: started on this machine for the run, or joined where it runs."""

from __future__ import annotations

import importlib
import logging
import os
import signal
import socket
import tempfile
import warnings
from collections.abc import Hashable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import ray
import ray.exceptions

from interp_bench.errors import InterpBenchError
from interp_bench.harness.resources import Resources
from interp_bench.harness.threads import VARIABLES
from interp_bench.plugin.actor_mail import ActorMail
from interp_bench.plugin.arrival import Assignment, Post
from interp_bench.plugin.dispatch import Ended
from interp_bench.plugin.group_run import run_group
from interp_bench.plugin.mail import Mail, Route
from interp_bench.plugin.socket_mail import SocketMail

POLL_SECONDS = 0.5
"""How long to wait for an end of a task before looking for trials; each look costs those who compute."""

STORE_BYTES = 128 * 2**20
"""Shared memory for messages; trials are small, and what is left over is for models."""

_ATTEMPTS = 3
_LONGEST_FOLDER = 40  # Ray's sockets lie 64 characters below, and their paths end at 104 on some systems

# Ray reads these when it is imported or started. Cards are hidden from trials that ask for none.
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1"}

# Ray would put its workers behind all else on the machine. Those of `-n` are not, and do the same work.
_UNLESS_SET = {"RAY_worker_niceness": "0"}


def work(assignment: Assignment, route: Route) -> str:
    """Run a group of cells in a process of Ray's; each trial has arrived before the next begins."""
    with route.opened() as post:
        return run_group(assignment, post)


class RayCluster:
    """A cluster that is connected to, until `close`.

    Args:
        address: of a running cluster; empty to start one here.
        cpus: processors of the one that is started.
        threads: intra-op threads of each worker.

    Raises:
        InterpBenchError: there is no such cluster, or none can be started; one line.
    """

    def __init__(self, *, address: str, cpus: int, threads: int) -> None:
        self._own = not address
        self._address = address
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._environment = {name: os.environ.get(name) for name in (*_QUIET, *_UNLESS_SET)}
        os.environ.update(_UNLESS_SET | os.environ | _QUIET)
        self._handler = signal.getsignal(signal.SIGTERM)
        self._tickets: list[Any] = []
        self._ending = ExitStack()
        _announce_deaths(False)
        try:
            self._connect(cpus)
            self._mail = self._addressed()
            self._ending.callback(self._mail.close)
        except Exception as error:
            self.close()
            text = " ".join(str(error).split())
            what = (
                f"connect to the Ray cluster {address}" if address else "start a Ray cluster on this machine"
            )
            raise InterpBenchError(f"cannot {what}: {type(error).__name__}: {text}") from error
        except BaseException:
            self.close()
            raise
        # A joined cluster has an environment of its own, in which libraries of workers read their threads.
        variables = {} if self._own else {"env_vars": dict.fromkeys(VARIABLES, str(threads))}
        self._work: Any = ray.remote(max_retries=0, runtime_env=variables)(work)

    def _connect(self, cpus: int) -> None:
        settings: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
        if self._own:
            settings |= {
                "num_cpus": cpus,
                "include_dashboard": False,
                "object_store_memory": STORE_BYTES,
            }
            # A folder of its own leaves nothing behind, and hides it from others' `ray:auto`.
            self._folder = tempfile.TemporaryDirectory(prefix="ib-ray-", ignore_cleanup_errors=True)
            if len(self._folder.name) <= _LONGEST_FOLDER:
                settings["_temp_dir"] = self._folder.name
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._init(settings)

    def _init(self, settings: dict[str, Any]) -> None:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                ray.init(self._address or "local", **settings)
                return
            except ConnectionAbortedError:
                # A client server looks at the process that it starts for a client once, now and then
                # before that runs its program, and then takes it for dead (Ray 2.60, proxier.py).
                if attempt == _ATTEMPTS:
                    raise
                ray.shutdown()

    def _addressed(self) -> Mail:
        if self._folder is not None and hasattr(socket, "AF_UNIX"):
            # An actor would be a process more, that competes with those that compute.
            with suppress(OSError):
                return SocketMail(Path(self._folder.name))
        return ActorMail()

    def machines(self) -> list[Resources]:
        """Return what each machine offers in all."""
        return [
            Resources(
                cpus=node["Resources"].get("CPU", 0),
                gpus=node["Resources"].get("GPU", 0),
                memory=node["Resources"].get("memory", 0),
            )
            for node in ray.nodes()
            if node["Alive"]
        ]

    def submit(self, assignment: Assignment, needed: Resources) -> Hashable:
        """Queue an assignment, and return its ticket."""
        task = self._work.options(num_cpus=needed.cpus, num_gpus=needed.gpus, memory=int(needed.memory))
        reference = task.remote(assignment, self._mail.route)
        self._tickets.append(reference)
        ticket: Hashable = reference
        return ticket

    def poll(self) -> tuple[Sequence[Post], Sequence[Ended]]:
        """Wait a moment; return what arrived, and who has ended, all of whose posts have arrived.

        Raises:
            InterpBenchError: the cluster is gone.
        """
        try:
            done, _ = ray.wait(self._tickets, num_returns=1, timeout=POLL_SECONDS)
            posts = self._mail.take()
        except (ray.exceptions.RayError, ConnectionError) as error:
            text = " ".join(str(error).split())
            raise InterpBenchError(
                f"the Ray cluster is gone ({text}); what came back is stored, so start the run again"
            ) from error
        return posts, [self._ended(reference) for reference in done]

    def _ended(self, reference: Any) -> Ended:
        self._tickets.remove(reference)
        ticket: Hashable = reference
        try:
            return Ended(ticket=ticket, refused=ray.get(reference))
        except ray.exceptions.RayTaskError as error:
            cause = error.cause if isinstance(error.cause, BaseException) else error
            return Ended(ticket=ticket, death=" ".join(f"{type(cause).__name__}: {cause}".split()))
        except ray.exceptions.RayError as error:
            first = str(error).strip().partition("\n")[0].partition(". ")[0]
            return Ended(ticket=ticket, death=f"{type(error).__name__}: {first}")

    def close(self) -> None:
        """End what still runs, and the cluster too if it was started here."""
        if not self._own and ray.is_initialized():
            for reference in self._tickets:
                ray.cancel(reference, force=True)
        ray.shutdown()
        _announce_deaths(True)
        self._ending.close()
        if self._folder is not None:
            self._folder.cleanup()
        signal.signal(signal.SIGTERM, self._handler)
        for name, value in self._environment.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _announce_deaths(wanted: bool) -> None:
    """Let Ray print at length into the midst of pytest's output that a worker died, or not.

    The trial says it shortly. Ray has no option for this; without the switch it would only be noisy.
    """
    importlib.import_module("ray._private.worker").__dict__["_worker_logs_enabled"] = wanted
