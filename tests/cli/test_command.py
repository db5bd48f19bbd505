"""How commands end: statuses, one line for every mistake, never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version

import pytest

from interp_bench.cli import command, main
from interp_bench.harness.isolation import sandbox


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["modls"], "no command 'modls' (did you mean 'models'?)"),
        (["models", "--tier", "quik"], "no --tier 'quik' (did you mean 'quick'?)"),
        (["models", "--modality", "images"], "no --modality 'images' (did you mean 'image'?)"),
        (["models", "--ladder", "native-lm"], "no ladder is called 'native-lm' (did you mean 'native-ln'?)"),
        (["models", "--ladder", "zzz"], "there are native-ln, pair"),
        (["models", "--colour"], "unrecognized arguments: --colour"),
        (["techniques", "--track", "feature"], "no track is called 'feature' (did you mean 'features'?)"),
        (["tasks", "--track", "zzz"], "no track is called 'zzz'; there are "),
        (["show", "native-smal"], "no model, technique or task is called 'native-smal' (did you mean"),
        (["show"], "the following arguments are required: name"),
        (["fetch"], "the following arguments are required: MODEL"),
        (["fetch", "native-smal"], "no model 'native-smal' in models.yaml (did you mean 'native-small'?)"),
        (["export"], "there is no store .interp-bench/store.sqlite3; make one with: pytest --bench"),
        (["leaderboard"], "there are no trials (*.jsonl) in leaderboard/trials"),
        (["leaderboard", "--check"], "there are no trials (*.jsonl) in leaderboard/trials"),
    ],
)
def test_mistakes_are_one_line_and_status_four(run, arguments, message):
    ran = run(*arguments)
    assert ran.status == 4
    assert ran.out == ""
    assert message in ran.err
    assert ran.err.startswith("interp-bench: ")
    assert ran.err.count("\n") == 1


def test_malformed_models_yaml_is_one_line_with_its_number(run, tmp_path):
    path = tmp_path / "models.yaml"
    path.write_text(path.read_text("utf-8").replace("modality: lm\n", "modalty: lm\n"), "utf-8")
    ran = run("models")
    assert ran.status == 4
    assert ran.err.startswith("interp-bench: models.yaml:")
    assert "did you mean 'modality'?" in ran.err
    assert ran.err.count("\n") == 1


def test_broken_task_file_is_one_line(run, tmp_path):
    folder = tmp_path / "tasks" / "features"
    folder.mkdir(parents=True)
    (folder / "bench_broken.py").write_text(
        "import json\nraise RuntimeError('first line\\nsecond')\n", "utf-8"
    )
    ran = run("tasks")
    assert ran.status == 4
    assert "bench_broken.py" in ran.err
    assert "line 2" in ran.err
    assert ran.err.count("\n") == 1


def test_version(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"interp-bench {version('interp-bench')}\n"


def test_help_names_every_command(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    for name in ("models", "techniques", "tasks", "fetch", "export", "leaderboard", "show", "doctor"):
        assert name in text


def test_interrupt_ends_quietly(run, monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(command.doctor, "report", interrupted)
    ran = run("doctor")
    assert (ran.status, ran.out, ran.err) == (130, "", "")


def test_closed_pipe_ends_quietly(run, tmp_path):
    run("models")  # prepares the folder and the environment
    code = "import sys; from interp_bench.cli import main; sys.exit(main(['models', '--json']))"
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-c", code],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_doctor_reports_versions_and_models(run):
    ran = run("doctor")
    assert ran.status == 0
    assert f"interp-bench      {version('interp-bench')}" in ran.out
    assert "quick tier        1 of 2 models can be opened here" in ran.out
    assert "resnet-absent: " in ran.out
    assert ran.out.endswith("nothing is missing\n")


def test_doctor_says_which_walls_this_machine_offers_and_why_not_others(run, monkeypatch):
    found = [sandbox.Offer(name="files", lack="too old"), sandbox.Offer(name="network", means="seccomp")]
    monkeypatch.setattr(sandbox, "offered", lambda: tuple(found))
    [line] = [line for line in run("doctor").out.splitlines() if line.startswith("walls")]
    assert line.split(None, 1)[1] == "network (seccomp); no files: too old"


def test_doctor_says_what_is_missing(run, monkeypatch):
    monkeypatch.setattr(command.doctor, "PACKAGES", ("torch", "no-such-package"))
    ran = run("doctor")
    assert ran.status == 1
    assert "pip install no-such-package" in ran.out


def test_fetch_of_random_weights_needs_nothing(run):
    assert run("fetch", "native-small").status == 0


def test_fetch_goes_on_after_a_model_that_cannot_be_had(run):
    ran = run("fetch", "resnet-absent", "native-small")
    assert ran.status == 1
    assert ran.err.count("\n") == 1
    assert "resnet-absent" in ran.err
    assert ran.out.startswith("native-small: ")
