"""A study runs what it says, once, and tells what came out."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from warm_converter import WarmConverter
from warm_nas import begin_worker

from nas.ablation.study import Study
from nas.cost.flash import parameter_bytes
from nas.cost.model import cost
from nas.errors import InfeasibleError, InputError, RunFolderError
from nas.pipeline.ablate import resume_study, run_study
from nas.pipeline.reporter import Reporter
from nas.pipeline.study_plan import load_study, plan_study
from nas.plan.placement import PlanKind, Planning
from nas.space import load_space
from nas.space.lookup import list_files
from nas.tasks import get_task
from nas.training.recipe import load_recipe


def study(factors: dict[str, Any], **options: Any) -> Study:
    given = {"task": "kws", "data": "builtin", "ops": "1M", "train_epochs": 1, **options}
    return Study.model_validate({"name": "s", "seeds": 1, "options": given, "factors": factors})


@pytest.mark.slow
@pytest.mark.sweep
@pytest.mark.parametrize("name", list_files("search_spaces/studies"))
def test_the_studies_that_ship_can_be_run(name: str, tmp_path: Path) -> None:
    cells = plan_study(load_study(name), tmp_path)
    arms = {cell.arm.name for cell in cells}
    assert len(cells) == 3 * len(arms) == len({cell.name for cell in cells})
    assert all(cell.options.get("trials") or cell.options["epochs"] > 5 for cell in cells)


@pytest.mark.parametrize(
    ("factors", "options", "message"),
    [
        ({"engine": {"a": {"engine": "foo"}, "b": {}}}, {}, "no engine named 'foo'"),
        ({"x": {"a": {"speed": 1}, "b": {}}}, {}, "x=a: nas search has no option 'speed'"),
        ({"x": {"a": {"seed": 1}, "b": {}}}, {}, "x=a: nas search has no option 'seed'"),
        ({"x": {"a": {"defaults": {"MAGIC": 1}}, "b": {}}}, {}, "x=a: nas.defaults has no MAGIC"),
        ({"x": {"a": {"trials": 1}, "b": {"trials": 2}}}, {"ops": "1"}, "budget infeasible"),
    ],
)
def test_what_cannot_be_run(factors: Any, options: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises((InputError, InfeasibleError), match=message):
        plan_study(study(factors, **options), tmp_path)


def test_a_recipe_with_one_thing_changed(tmp_path: Path) -> None:
    off, on = plan_study(
        study({"augmentation": {"off": {"recipe": {"augment": {}, "mixup": 0.2}}, "on": {}}}), tmp_path
    )
    task = get_task("kws", "builtin")
    changed, usual = load_recipe(task, off.options["recipe"]), load_recipe(task)
    assert changed.with_(name=usual.name) == usual.with_(augment=type(usual.augment)(), mixup=0.2)
    assert "recipe" not in on.options


def test_equal_cost(tmp_path: Path) -> None:
    """In epochs of a network that uses the budget: of shared weights 1.4 each, of candidates what they are of it.

    Finals take a quarter of 4.75 trainings: four finalists, and networks at a half and a quarter of the budget.
    """
    asked = study(
        {"engine": {"dnas": {"engine": "dnas"}, "random": {"engine": "random", "epochs": 2}}}, train_epochs=20
    )
    dnas, random = plan_study(asked.model_copy(update={"tme": 2.0}), tmp_path)
    assert dnas.options["epochs"] == round(20 * (2 - 4.75 / 4) / 1.4)
    assert 6 <= random.options["trials"] <= 10  # two epochs each, of networks that use the budget too
    with pytest.raises(InputError, match="tme says what a search costs; leave out trials"):
        plan_study(study({"x": {"a": {"trials": 1}, "b": {}}}).model_copy(update={"tme": 1.0}), tmp_path)


def test_files_are_found_beside_a_study(tmp_path: Path) -> None:
    (tmp_path / "wide.toml").write_text(list_files("search_spaces")["kws_micronet"].read_text())
    (tmp_path / "s.toml").write_text(
        'schema = 1\nname = "s"\n[options]\ntask = "kws"\n[factors.space]\n'
        'usual = {}\nwide = { space = "wide.toml" }\nother = { space = "kws_residual" }\n'
    )
    levels = load_study(str(tmp_path / "s.toml")).factors["space"]
    assert levels["wide"] == {"space": str(tmp_path / "wide.toml")}
    assert levels["other"] == {"space": "kws_residual"}


@pytest.mark.slow
def test_a_run_that_fails_does_not_end_the_study(tmp_path: Path) -> None:
    """Neither run has data; that is told at the end."""
    arms = {"a": {"data": str(tmp_path / "none")}, "b": {"data": str(tmp_path)}}
    asked, folder, heard = study({"x": arms}), tmp_path / "study", list[str]()

    class Hearing(Reporter):
        def warn(self, text: str) -> None:
            heard.append(text)

    with pytest.raises(InputError, match=r"(?s)x=a/seed-0 and 1 more failed: .*go on with: nas ablate --resume"):
        run_study(asked, plan_study(asked, folder), folder, 1, Hearing())
    assert [text.partition(" failed")[0] for text in heard] == ["x=a, seed 0", "x=b, seed 0"]


@pytest.mark.parametrize("work", ["time.sleep, 1000", None])
def test_workers_end_with_the_process_that_asked_for_them(work: str | None, tmp_path: Path) -> None:
    """However that ends, and whether they have got their work by then or not."""
    script = (
        "from multiprocessing import get_context; from concurrent.futures import ProcessPoolExecutor; import os, time\n"
        "from nas.pipeline.cell import end_with\n"
        "if __name__ == '__main__':\n"
        "    pool = ProcessPoolExecutor(1, get_context('spawn'), end_with, (os.getpid(),), max_tasks_per_child=1)\n"
        f"    {'pool.submit(' + work + ')' if work else 'pool._spawn_process()'}\n"
        "    print(*pool._processes, flush=True); time.sleep(1000)\n"
    )
    (tmp_path / "asks.py").write_text(script)
    asking = subprocess.Popen([sys.executable, tmp_path / "asks.py"], stdout=subprocess.PIPE, text=True)
    assert asking.stdout is not None
    workers = list(map(int, asking.stdout.readline().split()))
    asking.kill()
    asking.wait()
    asking.stdout.close()
    deadline = time.monotonic() + 60
    while any(map(_runs, workers)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not [worker for worker in workers if _runs(worker)]


def _runs(process: int) -> bool:
    """A zombie does not: it waits to be reaped by a first process that may never do so, as in some containers."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.usefixtures("shared_cache")
def test_a_study_that_believes_an_estimate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warm_converter: WarmConverter
) -> None:
    """Its networks do not fit, which is a result; runs that are finished are not run again."""
    monkeypatch.setattr("nas.pipeline.ablate.end_with", partial(begin_worker, *warm_converter.command()[2:]))
    graph = load_space("kws_micronet").smallest().graph
    exact, believed = (cost(graph, Planning(kind)).sram_bytes for kind in (PlanKind.GREEDY, PlanKind.ESTIMATE))
    asked = study(
        {"temperature": {"usual": {}, "cold": {"defaults": {"HOT_GUMBEL": 0.3}}}},
        plan="estimate",
        flash_model="parameters",
        engine="random",
        trials=1,
        epochs=1,
        qat=False,
        sram=(exact + believed) // 2,
        start=["kws_micronet:smallest"],
    )
    folder = tmp_path / "study"
    result = run_study(asked, plan_study(asked, folder), folder, 1, Reporter())
    with (folder / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    typed = pytest.importorskip("pyarrow.parquet").read_table(folder / "results.parquet").to_pylist()
    assert [{name: "" if value is None else str(value) for name, value in row.items()} for row in typed] == rows
    assert [row["fits"] for row in typed] == [False, False]
    assert [row["temperature"] for row in rows] == ["usual", "cold"]
    assert {row["fits"] for row in rows} == {"False"}
    assert int(rows[0]["sram_bytes"]) == exact
    assert int(rows[0]["predicted_sram_bytes"]) == believed
    predicted = json.loads(next(folder.glob("runs/*/seed-0/winner/validation.json")).read_text())["predicted"]
    assert predicted["flash_bytes"] == parameter_bytes(graph) < int(rows[0]["flash_bytes"])
    assert "| 0 of 1 |" in result.text
    assert "SYNTHETIC" in result.text
    assert 'srcdoc="&lt;!doctype html&gt;' in result._repr_html_()
    assert (folder / "study.svg").read_text().startswith("<?xml")
    told = json.loads((folder / "summary.json").read_text(), parse_constant=pytest.fail)  # NaN is no JSON
    assert told["runs"] == 2
    assert told["effects"][0]["p"] is None

    again, cells = resume_study(folder)
    assert again == asked
    monkeypatch.setattr("nas.pipeline.cell.BUSY", "never")
    assert run_study(again, cells, folder, 2, Reporter()).rows == result.rows
    with pytest.raises(RunFolderError, match="holds another study"):
        run_study(asked.model_copy(update={"seeds": 2}), cells, folder, 1, Reporter())
