"""The room's rules about imports: torch in one module, scikit-learn only on use, pickle nowhere."""

import ast
import subprocess
import sys
from pathlib import Path

import thin_ice.data

MODULES = sorted(Path(thin_ice.data.__file__).parent.glob("*.py"))
TESTS = sorted(Path(__file__).parent.glob("*.py"))


def imported_names(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


def test_only_split_brings_torch_and_nothing_brings_scikit_learn_before_use():
    names = [
        f"thin_ice.data.{path.stem}" for path in MODULES if path.stem not in ("__init__", "split")
    ]
    code = f"import sys, {', '.join(names)}; print(*({{'torch', 'sklearn'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_no_module_and_no_test_imports_pickle():
    forbidden = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib"}
    for path in (*MODULES, *TESTS):
        assert not forbidden & set(imported_names(path)), path
