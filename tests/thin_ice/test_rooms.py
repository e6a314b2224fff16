"""DESIGN.md's plan of the house, held against every import statement of the package."""

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import thin_ice
from thin_ice.commands.cli import TOOLS

PACKAGE = Path(thin_ice.__file__).parent
WORKFLOW = PACKAGE.parent

# From the ground floor up: a room imports only from rooms before it. Provenance knows no other
# room, so it stands before the figures, whose report needs its checksums.
ROOMS = (
    "data",
    "models",
    "sparsity",
    "attacks",
    "verification",
    "objectives",
    "training",
    "pruning",
    "evaluation",
    "margins",
    "provenance",
    "figures",
    "study",
    "commands",
)
# Rooms below that a room nevertheless may not know.
STRANGERS = {
    "models": {"data"},
    "sparsity": {"data", "models"},
    "attacks": {"data", "models"},
    "verification": {"data", "models"},
    "objectives": {"data", "models"},
    "pruning": {"objectives"},
    "evaluation": {"pruning", "training", "objectives"},
    "margins": {"pruning", "training", "objectives"},
    "provenance": set(ROOMS) - {"provenance"},
}
WITHOUT_TORCH = ("figures", "provenance", "study")
GROUND = sorted(path for path in PACKAGE.glob("*.py") if path.stem not in ("__init__", "__main__"))
GROUND_WITH_TORCH = {"checkpoint", "device", "randomness"}
PICKLERS = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
PICKLING_CALLS = {"torch.load", "torch.save", "torch.jit.load", "torch.jit.save"}

TENSORS_ONLY = PACKAGE / "models/external.py"  # reads others' files, and of them tensors alone

MODULES = sorted(PACKAGE.rglob("*.py"))
IMPORTS = (ast.Import, ast.ImportFrom)


def nodes(path):
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def imported(path):
    """Dotted names that a module imports anywhere, and what it takes out of each."""
    names = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def rooms_of(names):
    return {name.split(".")[1] for name in names if name.startswith("thin_ice.")} & set(ROOMS)


def roots_of(names):
    return {name.split(".")[0] for name in names}


def dotted(path):
    parts = path.relative_to(WORKFLOW).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def name_of(path):
    return str(path.relative_to(PACKAGE))


def test_every_folder_of_the_package_is_a_room_of_the_plan():
    folders = {path.parent.relative_to(PACKAGE).parts[0] for path in PACKAGE.glob("*/*.py")}
    assert folders <= set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_from_rooms_below_it_that_it_may_know(room):
    allowed = set(ROOMS[: ROOMS.index(room) + 1]) - STRANGERS.get(room, set())
    for path in (PACKAGE / room).rglob("*.py"):
        assert rooms_of(imported(path)) <= allowed, path


@pytest.mark.parametrize("path", GROUND, ids=name_of)
def test_a_helper_on_the_ground_imports_no_room_and_most_know_no_torch(path):
    names = imported(path)
    assert not rooms_of(names)
    assert "torch" not in roots_of(names) or path.stem in GROUND_WITH_TORCH


def test_no_two_modules_import_each_other_in_a_circle():
    known = {dotted(path) for path in MODULES}
    graph = {dotted(path): imported(path) & known - {dotted(path)} for path in MODULES}
    assert len(list(TopologicalSorter(graph).static_order())) >= len(MODULES)


def test_imports_are_absolute_and_name_what_they_take():
    for path in MODULES:
        for node in nodes(path):
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, path
                assert "*" not in {alias.name for alias in node.names}, path


def test_a_rooms_own_file_says_what_it_is_and_nothing_else():
    """Importing any module runs these files, and fingerprints do not follow them."""
    for path in PACKAGE.rglob("__init__.py"):
        (statement,) = ast.parse(path.read_text(encoding="utf-8")).body
        assert ast.get_docstring(ast.Module([statement], [])), path


def test_in_the_data_room_only_split_knows_torch():
    knowing = {p.stem for p in (PACKAGE / "data").glob("*.py") if "torch" in roots_of(imported(p))}
    assert knowing == {"split"}


def test_the_library_knows_no_snakemake():
    for path in MODULES:
        assert "snakemake" not in roots_of(imported(path)), path


def modules_that_run_without_torch():
    rooms = [path for room in WITHOUT_TORCH for path in sorted((PACKAGE / room).glob("*.py"))]
    stages = [
        path
        for path in sorted((PACKAGE / "commands").glob("*.py"))
        if re.search(r"^PREPARE = None$", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    tools = [PACKAGE / "commands" / f"{name}.py" for name in ("runner", "cli", *TOOLS)]
    assert len(stages) >= 4
    return [dotted(path) for path in [*rooms, *stages, *tools]]


def test_figures_provenance_study_and_the_stages_without_networks_never_bring_torch():
    code = (
        "import importlib, sys\n"
        f"for name in {modules_that_run_without_torch()}:\n"
        "    importlib.import_module(name)\n"
        "    if 'torch' in sys.modules:\n"
        "        sys.exit(f'{name} brings torch')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_no_module_reads_or_writes_a_pickle():
    for path in WORKFLOW.rglob("*.py"):
        assert not PICKLERS & roots_of(imported(path)), path
        allowed = {"torch.load"} if path == TENSORS_ONLY else set()
        for node in nodes(path):
            if isinstance(node, ast.Attribute):
                assert ast.unparse(node) not in PICKLING_CALLS - allowed, path
                assert node.attr not in {"read_pickle", "to_pickle"}, path
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                assert ast.unparse(node.value) == "False", path


def test_whoever_reads_others_files_reads_tensors_alone():
    calls = [node for node in nodes(TENSORS_ONLY) if isinstance(node, ast.Call)]
    loads = [call for call in calls if ast.unparse(call.func) == "torch.load"]
    assert loads
    for call in loads:
        words = {word.arg: ast.unparse(word.value) for word in call.keywords}
        assert words.get("weights_only") == "True"


def test_from_torch_nobody_takes_load_or_save_by_name():
    for path in WORKFLOW.rglob("*.py"):
        assert not PICKLING_CALLS & imported(path), path


def test_no_rule_reads_or_writes_a_pickle():
    for path in [WORKFLOW.parent / "Snakefile", *WORKFLOW.rglob("*.smk")]:
        assert not re.search(r"pickle|torch\.(load|save)|joblib", path.read_text()), path
