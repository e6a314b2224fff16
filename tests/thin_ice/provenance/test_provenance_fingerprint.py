"""A fingerprint changes when code that the job reaches changes, and only then."""

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import thin_ice
from thin_ice.commands.runner import STAGES
from thin_ice.provenance import fingerprint as module
from thin_ice.provenance.fingerprint import closure, fingerprint
from thin_ice.study import plan
from thin_ice.study.load import study_from

PACKAGE = Path(thin_ice.__file__).parent
LWM = ["thin_ice.commands.prune", "thin_ice.pruning.lwm"]


def forget():
    """What the process remembers of the sources: it may, since they do not change in a run."""
    for remembered in (module.imported, module._names_imported, module._files_of, plan.code):
        remembered.cache_clear()


class House:
    """A copy of the package, to be edited."""

    def __init__(self, root):
        self.root = root

    def edit(self, name, change):
        """Replace the source of a module, or of all for ``*``, by ``change(source)``."""
        paths = self.root.rglob("*.py") if name == "*" else [self.root / f"{name}.py"]
        for path in paths:
            path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")

    def fingerprint(self, modules):
        forget()
        return fingerprint(modules)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    """The package as it is, once for all tests here."""
    root = tmp_path_factory.mktemp("pristine") / "thin_ice"
    shutil.copytree(PACKAGE, root, ignore=shutil.ignore_patterns("__pycache__"))
    return House(root)


@pytest.fixture(scope="module")
def before(pristine):
    """The fingerprint of the unedited job."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "ROOT", pristine.root)
        return pristine.fingerprint(LWM)


@pytest.fixture
def house(pristine, tmp_path, monkeypatch):
    root = tmp_path / "thin_ice"
    shutil.copytree(pristine.root, root)
    monkeypatch.setattr(module, "ROOT", root)
    yield House(root)
    forget()


def reformatted(source):
    """The same code without comments, in another layout."""
    return ast.unparse(ast.parse(source))


def redocumented(source):
    """Every docstring is another text."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        if documented and ast.get_docstring(node) is not None:
            node.body[0].value.value = "Another text."
    return ast.unparse(tree)


def undocumented(source):
    tree = ast.parse(source)
    for node in ast.walk(tree):
        documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        if documented and ast.get_docstring(node) is not None and len(node.body) > 1:
            del node.body[0]
    return ast.unparse(tree)


@pytest.mark.parametrize("change", [reformatted, redocumented, undocumented])
def test_comments_docstrings_and_layout_do_not_count(house, before, change):
    house.edit("*", change)
    assert house.fingerprint(LWM) == before


def test_a_comment_and_blank_lines_do_not_count(house, before):
    for name in ("pruning/lwm", "training/schedules", "files"):
        house.edit(name, lambda source: "\n\n# A remark.\n" + source + "\n# The end.\n")
    assert house.fingerprint(LWM) == before


REACHED = ["pruning/lwm", "commands/prune", "commands/job", "training/schedules", "files"]


@pytest.mark.parametrize("name", REACHED)
def test_an_edit_in_a_module_that_the_job_reaches_counts(house, before, name):
    house.edit(name, lambda source: source + "\nANSWER = 42\n")
    assert house.fingerprint(LWM) != before


@pytest.mark.parametrize(
    ("words", "others"),
    [("(model, self.options.layers)", '(model, "all")'), ('"layer"  #', '"global"  #')],
)
def test_one_other_word_in_the_code_counts(house, before, words, others):
    assert words in (house.root / "pruning/lwm.py").read_text()
    house.edit("pruning/lwm", lambda source: source.replace(words, others))
    assert house.fingerprint(LWM) != before


@pytest.mark.parametrize(
    "name", ["pruning/hydra", "pruning/radmm", "objectives/mart", "margins/ice", "commands/dense"]
)
def test_an_edit_in_a_module_that_the_job_does_not_reach_does_not_count(house, before, name):
    house.edit(name, lambda source: source + "\nANSWER = 42\n")
    assert house.fingerprint(LWM) == before


def test_a_new_line_in_the_tables_does_not_count(house, before):
    line = '    "lwm": "thin_ice.pruning.lwm:Lwm",\n'
    new = '    "other": "thin_ice.pruning.hydra:Hydra",\n'
    house.edit("tables", lambda source: source.replace(line, line + new))
    assert new in (house.root / "tables.py").read_text()
    assert house.fingerprint(LWM) == before


def test_a_module_under_another_name_counts(house, before):
    shutil.copy(house.root / "pruning/lwm.py", house.root / "pruning/lwm_twin.py")
    twin = ["thin_ice.commands.prune", "thin_ice.pruning.lwm_twin"]
    assert house.fingerprint(twin) != before


def test_the_order_and_repetition_of_entry_points_do_not_count(house, before):
    assert house.fingerprint([*reversed(LWM), *LWM]) == before


FAKE = {
    "__init__": '"""A package."""\n',
    "start": "import os\nfrom fake.room import first\nimport fake.plain\n",
    "room/__init__": '"""A room."""\n',
    "room/first": "def late():\n    from fake.room.second import thing\n    return thing\n",
    "room/second": "from fake import start\nfrom other.fake import nothing\nthing = 1\n",
    "room/named": "NAME = 'fake.room.unseen'\n",
    "room/unseen": "",
    "plain": "TABLE = {'a': 'fake.room.unseen:Thing'}\nimport fakery\n",
}


def test_a_closure_follows_every_import_and_no_name_in_a_text(tmp_path, monkeypatch):
    for name, source in FAKE.items():
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(source)
    monkeypatch.setattr(module, "PACKAGE", "fake")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    forget()
    reached = closure(["fake.start"])
    forget()
    modules = {"start", "plain", "room", "room.first", "room.second"}
    assert reached == {"fake"} | {f"fake.{name}" for name in modules}


LOADED = """
import importlib, json, sys
found = {}
for stage in sys.argv[1:]:
    for name in [name for name in sys.modules if name.split(".")[0] == "thin_ice"]:
        del sys.modules[name]
    importlib.import_module(f"thin_ice.commands.{stage}")
    found[stage] = [
        name for name, module in sys.modules.items()
        if name.startswith("thin_ice.") and not module.__file__.endswith("__init__.py")
    ]
print(json.dumps(found))
"""


def test_the_closure_of_a_stage_holds_whatever_python_loads_for_it():
    """All modules but the rooms' own files, which hold no code (see test_rooms)."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *STAGES], capture_output=True, text=True, check=True
    )
    for stage, loaded in json.loads(done.stdout).items():
        assert set(loaded) <= closure([f"thin_ice.commands.{stage}"]), stage
        assert f"thin_ice.commands.{stage}" in loaded


STUDY = {
    "name": "mini",
    "seeds": [0],
    "threat": {"norm": "Linf", "eps": 0.1},
    "datasets": {"digits": {}},
    "models": {"digits_cnn": {}},
    "objectives": {"natural": {}, "pgd_at": {}},
    "methods": {"lwm": {}, "hydra": {}},
    "sparsities": [0.5],
}


@pytest.fixture(scope="module")
def jobs_before(pristine):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "ROOT", pristine.root)
        return jobs()


def jobs():
    """Every job of the study but the report's, by a name."""
    forget()
    study = study_from(STUDY)
    found = {"study": study.study_job(), "dataset": study.dataset_job("digits")}
    for network in study.networks():
        name = f"{network.run.split('-')[2]} {network.method}"
        found[f"autoattack {name}"] = study.autoattack_job(network, 0)
        found[f"evaluate {name}"] = study.evaluate_job(network)
        found[f"indicators {name}"] = study.indicators_job(network)
        found[f"distances {name}"] = study.distances_job(network)
        if network.variant == "dense":
            found[f"dense {name}"] = study.dense_job(network)
            found[f"rivals {name}"] = study.rivals_job(network)
            found[f"breaking {name}"] = study.breaking_job(network)
            found[f"twins {name}"] = study.twins_job(network)
            continue
        if network.pruned:
            found[f"prune {name}"] = study.prune_job(network)
            found[f"compact {name}"] = study.compact_job(network)
        found[f"finetune {name}"] = study.finetune_job(network)
        found[f"sensitivity {name}"] = study.sensitivity_job(network)
    return found


@pytest.mark.parametrize(
    ("edited", "touched"),
    [
        ("pruning/hydra", {"prune natural hydra", "prune pgd_at hydra"}),
        ("pruning/radmm", set()),
        ("data/digits", {"dataset"}),
        ("data/cifar10", set()),
        (
            "objectives/natural",
            {"dense natural dense", "finetune natural dense_again"}
            | {f"{stage} natural {m}" for stage in ("prune", "finetune") for m in ("lwm", "hydra")},
        ),
        (
            "margins/distance",
            {
                f"distances {o} {m}"
                for o in ("natural", "pgd_at")
                for m in ("dense", "dense_again", "lwm", "hydra")
            }
            | {f"twins {objective} dense" for objective in ("natural", "pgd_at")},
        ),
        ("margins/rivals", {"rivals natural dense", "rivals pgd_at dense"}),
        (
            "margins/sensitivity",
            {
                f"sensitivity {o} {m}"
                for o in ("natural", "pgd_at")
                for m in ("dense_again", "lwm", "hydra")
            },
        ),
        (
            "models/stored",
            {f"compact {o} {m}" for o in ("natural", "pgd_at") for m in ("lwm", "hydra")},
        ),
        ("margins/statistics", set()),
    ],
)
def test_an_edit_changes_exactly_the_jobs_that_run_the_code(house, jobs_before, edited, touched):
    house.edit(edited, lambda source: source + "\nANSWER = 42\n")
    after = jobs()
    assert {name for name in after if after[name] != jobs_before[name]} == touched


def test_only_versions_that_a_study_watches_are_looked_up(monkeypatch):
    asked = []
    monkeypatch.setattr(plan, "versions", lambda names: asked.append(names) or {"numpy": "1"})
    plan.installed.cache_clear()
    assert plan.installed(("thin_ice.commands.dense",), ()) == {}
    assert not asked
    assert plan.installed(("thin_ice.commands.dense",), ("numpy",)) == {"numpy": "1"}
    assert plan.installed(("thin_ice.commands.dense",), ("scipy",)) == {}
    plan.installed.cache_clear()


@pytest.fixture
def memory(tmp_path, monkeypatch):
    """Nothing is remembered yet, and what will be goes into a file of its own."""
    monkeypatch.setattr(module, "MEMORY", tmp_path / "cache" / "fingerprints.json")
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    begin_anew(monkeypatch)
    yield module.MEMORY
    begin_anew(monkeypatch)


def begin_anew(monkeypatch):
    """As in a process that has just begun."""
    monkeypatch.setattr(module._Memory, "_known", None)
    monkeypatch.setattr(module._Memory, "changed", False)
    forget()
    for remembered in (module._remembered, module._read, module._holds_code):
        remembered.cache_clear()


def test_who_comes_after_parses_nothing_and_finds_the_same(memory, monkeypatch):
    modules = ["thin_ice.commands.report"]
    found = fingerprint(modules)
    assert memory.is_file()
    assert list(memory.parent.iterdir()) == [memory]
    begin_anew(monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr(module.ast, "parse", None)
        assert fingerprint(modules) == found
    assert module.fingerprint_of(module.sources(modules)) == found


def test_sources_kept_beside_results_are_read_anew(memory, monkeypatch):
    """Whoever gives them away could have written down anything."""
    files = module.sources(["thin_ice.errors"])
    fingerprint(["thin_ice.errors"])
    said = json.loads(memory.read_text())
    said["sources"] = {key: ["0" * 64, []] for key in said["sources"]}
    memory.write_text(json.dumps(said))
    honest = module.fingerprint_of(files)
    begin_anew(monkeypatch)
    assert module.fingerprint_of(files) == honest


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"by": "another", "sources": {}}', '{"by": 1, "sources": 2}']
)
def test_what_is_no_memory_is_replaced(memory, monkeypatch, text):
    found = fingerprint(["thin_ice.errors"])
    saved = memory.read_text()
    memory.write_text(text)
    begin_anew(monkeypatch)
    assert fingerprint(["thin_ice.errors"]) == found
    assert memory.read_text() == saved


def test_a_memory_of_the_right_kind_with_wrong_entries_is_replaced(memory, monkeypatch):
    found, saved = fingerprint(["thin_ice.errors"]), memory.read_text()
    for sources in ({"a": 1}, {"a": ["b"]}, [1, 2]):
        memory.write_text(json.dumps(json.loads(saved) | {"sources": sources}))
        begin_anew(monkeypatch)
        assert fingerprint(["thin_ice.errors"]) == found


def test_where_nothing_can_be_written_fingerprints_are_made_without(memory, monkeypatch):
    memory.parent.write_text("a file where the folder should be")
    assert fingerprint(["thin_ice.errors"]) == fingerprint(["thin_ice.errors"])


def test_where_python_writes_no_compiled_code_nothing_is_remembered(memory, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    fingerprint(["thin_ice.errors"])
    assert not memory.parent.exists()


def test_what_another_way_of_reading_remembered_counts_for_nothing(memory, monkeypatch):
    found, saved = fingerprint(["thin_ice.errors"]), json.loads(memory.read_text())
    wrong = {key: ["0" * 64, []] for key in saved["sources"]}
    memory.write_text(json.dumps({"by": "another", "sources": wrong}))
    begin_anew(monkeypatch)
    assert fingerprint(["thin_ice.errors"]) == found
    assert json.loads(memory.read_text()) == saved


def test_too_much_is_forgotten(memory, monkeypatch):
    monkeypatch.setattr(module, "FORGOTTEN", 3)
    found = fingerprint(["thin_ice.commands.report"])
    assert json.loads(memory.read_text())["sources"] == {}
    assert fingerprint(["thin_ice.commands.report"]) == found


def test_a_source_is_parsed_once_however_many_jobs_reach_it(memory):
    parsed, parse = [], ast.parse
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ast, "parse", lambda source: parsed.append(source) or parse(source))
        for stage in ("dense", "prune", "evaluate"):
            fingerprint([f"thin_ice.commands.{stage}"])
    assert len(parsed) == len(set(parsed)) > 50
