"""The rerun matrix: after each edit, exactly the jobs that can end otherwise are planned.

Expectations are written out by stage, variant and seed. Each edit is made in its own copy of a
checkout in which a small study has run, results and all.
"""

import ast
import os
import random
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from operator import methodcaller
from pathlib import Path

import pytest
import yaml
from rerun_bench import (
    AGAIN,
    DENSE,
    PRUNED,
    RUN,
    STUDY,
    Checkout,
    copied_checkout,
    copy_of,
    described,
    jobs,
)

from thin_ice.files import sha256
from thin_ice.study.jobs import planned_jobs
from thin_ice.study.load import study_from

LWM, HYDRA = ("lwm-0.5", "lwm-0.9"), ("hydra-0.5",)
ALL, NOTHING = jobs(), set()
SAVED = jobs("study")  # the resolved study
TABLES = jobs("analyse", "report")
(FMN,) = STUDY["distances"]["attacks"]
TRAINED = ALL - jobs("study", "dataset")
ATTACKED = jobs("autoattack", "evaluate", "breaking") | TABLES
MEASURED = jobs("distances", "breaking", "twins") | TABLES
JUDGED = (
    *("autoattack", "evaluate", "indicators", "distances", "sensitivity", "compact"),
    "certify",
)
FINETUNED = ("finetune", "selection")
PRUNING = jobs("prune", *FINETUNED, *JUDGED, variants=PRUNED) | TABLES
TUNING = jobs(*FINETUNED, *JUDGED, variants=PRUNED + AGAIN) | TABLES
EVERY = DENSE + PRUNED + AGAIN


def network(variants, seeds=(0, 1), run=RUN):
    """The jobs that make and attack these pruned networks, and the tables that they stand in."""
    own = jobs("prune", *FINETUNED, *JUDGED, variants=variants, seeds=seeds, run=run)
    return own | jobs("analyse", "report", run=run)


def evaluated(*variants):
    return jobs("evaluate", "breaking", variants=variants) | TABLES


def claimed(*variants):
    """The jobs that run these networks' claimed protocols, and the tables."""
    return jobs("evaluate", "indicators", "breaking", variants=variants) | TABLES


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A checkout in which the study has run, not to be changed."""
    checkout = copied_checkout(tmp_path_factory.mktemp("reruns") / "finished")
    checkout.run("--cores", "2")
    return checkout


@pytest.fixture
def checkout(finished, tmp_path):
    """A copy of it, to be edited."""
    return copy_of(finished, tmp_path / "checkout")


@pytest.fixture(scope="module")
def dry_runs(finished, request, tmp_path_factory):
    """The jobs planned after each edit that a test of this module is parametrized by, by test:
    some dry runs at a time.
    """
    folder = tmp_path_factory.mktemp("edited")

    def plan(number, edit=lambda checkout: None, words="", **_):
        checkout = copy_of(finished, folder / f"{number}")
        edit(checkout)
        found = checkout.plan(*words.split())
        shutil.rmtree(checkout.folder)
        return found

    here = [item for item in request.session.items if item.path == request.path]
    of_tables = [item for item in here if "planned" in item.fixturenames]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = {
            item.nodeid: pool.submit(plan, number, **item.callspec.params)
            for number, item in enumerate(of_tables)
        }
        yield runs


@pytest.fixture
def planned(dry_runs, request):
    """What is planned after the edit that the test is parametrized by."""
    return dry_runs[request.node.nodeid].result()


def after(edits):
    """Parametrize a test by (name, edit of the checkout, jobs that it is expected to rerun)."""
    return pytest.mark.parametrize(
        ("edit", "expected"), [pytest.param(edit, jobs, id=name) for name, edit, jobs in edits]
    )


def append(file):
    return methodcaller("append", file)


def confirmed(checkout, expected):
    """What is planned is expected, and is what the explanation has reasons for."""
    assert checkout.plan() == expected
    assert set(checkout.reasons()) == {folder for _, folder in expected}


def test_where_nothing_changed_nothing_runs_again(checkout):
    assert checkout.plan() == NOTHING
    done = checkout.explain()
    assert (done.returncode, done.stdout) == (0, f"all {len(ALL)} jobs are up to date\n")


STUDY_EDITS = {
    "one more seed trains its networks": (
        {"seeds": [0, 1, 2]},
        (jobs(seeds=[2]) - jobs("dataset")) | SAVED,
    ),
    "a seed less leaves only the tables": ({"seeds": [0]}, TABLES | SAVED),
    "eps is read by all but the dataset": ({"threat.eps": 0.2}, ALL - jobs("dataset")),
    "the norm is read by all but the dataset": (
        {"threat.norm": "L2", "distances.attacks": [FMN | {"norm": "L2"}]},
        ALL - jobs("dataset"),
    ),
    "the validation share makes another dataset": ({"datasets.digits.validation": 0.3}, ALL),
    "the size of the test split makes another dataset": ({"datasets.digits.limit_test": 19}, ALL),
    "the seed of the split makes another dataset": ({"datasets.digits.partition_seed": 1}, ALL),
    "an option of the reader makes another dataset": ({"datasets.digits.split_seed": 1}, ALL),
    "the width makes other networks": ({"models.digits_cnn.width": 3}, TRAINED | SAVED),
    "normalising makes other networks": ({"models.digits_cnn.normalize": True}, TRAINED | SAVED),
    "the adversary of training makes other networks": (
        {"objectives.pgd_at.steps": 2},
        TRAINED | SAVED,
    ),
    "the plan of dense training makes other networks": (
        {"training.dense.weight_decay": 0.001},
        TRAINED | SAVED,
    ),
    "two keys that swap their values are two changes": (
        {"training.dense.lr": 0.8, "training.dense.momentum": 0.05},
        TRAINED | SAVED,
    ),
    "the epochs of pruning are those of methods that train": (
        {"training.prune.epochs": 2},
        network(HYDRA) | SAVED,
    ),
    "the plan of fine-tuning leaves pruning alone": (
        {"training.finetune.lr": 0.02},
        TUNING | SAVED,
    ),
    "an option of a method prunes by that method": (
        {"methods.hydra.scores": "random"},
        network(HYDRA) | SAVED,
    ),
    "a method's own plan of fine-tuning tunes its networks": (
        {"methods.lwm.finetune": {"lr": 0.02}},
        (network(LWM) - jobs("prune")) | SAVED,
    ),
    "a method's claimed protocol evaluates its networks and the dense ones": (
        {"methods.lwm.claimed": "bcsp_pgd50"},
        claimed("dense", *LWM) | jobs("selection", variants=LWM) | SAVED,
    ),
    "one more sparsity makes its networks": (
        {"methods.lwm.sparsities": [0.5, 0.75, 0.9]},
        network(["lwm-0.75"]) | SAVED,
    ),
    "a sparsity less leaves only the tables": ({"methods.lwm.sparsities": [0.9]}, TABLES | SAVED),
    "another sparsity for all methods is made by those without their own": (
        {"sparsities": [0.99]},
        network(["hydra-0.99"]) | SAVED,
    ),
    "a method less takes its protocol from the dense networks": (
        {"methods.hydra": ...},
        claimed("dense") | SAVED,
    ),
    "a second label of a method makes its networks": (
        {"methods.lwm_global": {"kind": "lwm", "allocation": "global"}},
        network(["lwm_global-0.5"]) | SAVED,
    ),
    "a method with a protocol of its own evaluates the dense networks by it": (
        {"methods.radmm": {"layers": "all", "periods": 1}},
        network(["radmm-0.5"]) | claimed("dense") | SAVED,
    ),
    "a second objective makes a run of its own": (
        {"objectives.natural": {}},
        (jobs(run="digits-digits_cnn-natural") - jobs("dataset")),
    ),
    "a second model makes a run of its own": (
        {"models.wide": {"kind": "digits_cnn", "width": 3}},
        (jobs(run="digits-wide-pgd_at") - jobs("dataset")),
    ),
    "a second dataset makes a run of its own": (
        {"datasets.half": {"kind": "digits", "limit_train": 60, "limit_test": 20}},
        jobs(run="half-digits_cnn-pgd_at"),
    ),
    "AutoAttack's queries attack again": ({"autoattack.square_queries": 3}, ATTACKED | SAVED),
    "AutoAttack's attacks attack again": ({"autoattack.attacks": ["apgd-ce"]}, ATTACKED | SAVED),
    "AutoAttack's seed attacks again": ({"autoattack.seed": 1}, ATTACKED | SAVED),
    "AutoAttack's batches attack again": ({"autoattack.batch_size": 10}, ATTACKED | SAVED),
    "smaller shards are other shards": (
        {"autoattack.shard_size": 10},
        ATTACKED | jobs("autoattack", shards=[1]) | SAVED,
    ),
    "the dense networks are fine-tuned again or not": ({"dense_again": False}, TABLES | SAVED),
    "the steps of PGD measure the rivals again": (
        {"rivals": {"steps": 5}},
        jobs("rivals") | TABLES | SAVED,
    ),
    "selection on test is measured or not": (
        {"selection_on_test": False},
        TABLES | SAVED,
    ),
    "the steps of FMN measure distances again": (
        {"distances": {"attacks": [FMN | {"steps": 3}]}},
        MEASURED | SAVED,
    ),
    "one more attack measures distances again": (
        {
            "distances": {
                "attacks": [
                    FMN,
                    {"kind": "fab", "norm": "Linf", "steps": 2, "targets": 1},
                ]
            }
        },
        MEASURED | SAVED,
    ),
    "the rounds of the breaking radius look for it again": (
        {"breaking.rounds": 2},
        jobs("breaking") | TABLES | SAVED,
    ),
    "without rounds nobody looks for breaking radii": (
        {"breaking.rounds": 0},
        TABLES | SAVED,
    ),
    "the number of twins is the twins'": ({"twins": 3}, jobs("twins", "report") | SAVED),
    "the samples of the indicators are looked at again": (
        {"indicators": {"samples": 6, "points": 1}},
        jobs("indicators") | TABLES | SAVED,
    ),
    "another bound is looked for": (
        {"certification.bounds": ["crown_ibp"]},
        jobs("certify") | TABLES | SAVED,
    ),
    "without a certification nobody proves anything": (
        {"certification": None},
        TABLES | SAVED,
    ),
    "the bootstrap is the analysis's": ({"analysis.bootstrap": 6}, TABLES | SAVED),
    "the analysis's seed is the analysis's": ({"analysis.seed": 1}, TABLES | SAVED),
    "resources stand in the saved study alone": (
        {"resources": {"threads": 2, "mem_mb": 9000, "gflops": 5, "scratch": "$TMPDIR"}},
        SAVED,
    ),
    "torch's version counts for all that reach torch": (
        {"rerun_on_upgrade": ["seaborn", "torch"]},
        TRAINED | SAVED,
    ),
    "scikit-learn's version counts for the reader": (
        {"rerun_on_upgrade": ["scikit-learn", "seaborn"]},
        ALL,
    ),
    "a version that no longer counts was part of the job": (
        {"rerun_on_upgrade": []},
        jobs("report") | SAVED,
    ),
}


@after(
    [
        (name, methodcaller("change_study", changes), expected)
        for name, (changes, expected) in STUDY_EDITS.items()
    ]
)
def test_a_key_of_the_study_reruns_the_jobs_that_read_it(planned, edit, expected):
    assert planned == expected


def test_another_name_is_another_folder_in_which_everything_is_to_be_done(checkout):
    checkout.change_study({"name": "other"})
    assert checkout.plan(name="other") == ALL


SAME_STUDY = {
    "a fraction is its number": {"threat.eps": "1/10"},
    "a whole number is a number": {"distances": {"attacks": [FMN | {"max_stepsize": 1.0}]}},
    "a default may be said": {
        "autoattack.seed": 0,
        "objectives.pgd_at.rel_step": "1/4",
        "methods.lwm.kind": "lwm",
        "dense_again": True,
        "rivals": {"seed": 0},
        "methods.lwm.finetune": {"momentum": 0.9},
        "datasets.digits.partition_seed": 0,
    },
    "a sparsity for all may be each method's own": {"methods.hydra.sparsities": [0.5]},
    "a plan for all may be each method's own": {
        "training.prune": {},
        "methods.hydra.prune": {"epochs": 1},
    },
}


@after(
    [(name, methodcaller("change_study", changes), NOTHING) for name, changes in SAME_STUDY.items()]
)
def test_the_same_said_otherwise_reruns_nothing(planned, edit, expected):
    assert planned == expected


@pytest.mark.parametrize(
    ("key", "value"), [("analysis.bootstrap", 5.0), ("autoattack.seed", 0.0), ("seeds", [0, 1.0])]
)
def test_a_count_with_a_decimal_point_is_refused_or_the_same_count(checkout, key, value):
    checkout.change_study({key: value})
    status, printed = checkout.dry_run()
    assert f"study: {key}" in printed if status else checkout.plan() == NOTHING


def backwards(tree):
    """The same mapping with its keys, at any depth, in the opposite order."""
    if not isinstance(tree, dict):
        return tree
    return {key: backwards(tree[key]) for key in reversed(tree)}


def test_the_order_of_keys_comments_and_notation_rerun_nothing(checkout):
    text = yaml.safe_dump(backwards(STUDY), sort_keys=False)
    for old, new in (("lr: 0.05", "lr: 5.0e-2 # not more"), ("- 0.9\n", "- 0.90\n")):
        assert old in text
        text = text.replace(old, new)
    (checkout.folder / "study.yaml").write_text(f"# A comment.\n\n{text}")
    assert checkout.plan() == NOTHING


COMMANDS = {
    "study": SAVED,
    "dataset": ALL - SAVED,
    "dense": TRAINED,
    "prune": PRUNING,
    "finetune": TUNING,
    "selection": jobs("selection") | TABLES,
    "autoattack": ATTACKED,
    "evaluate": evaluated(*EVERY),
    "distances": MEASURED,
    "breaking": jobs("breaking") | TABLES,
    "twins": jobs("twins", "report"),
    "indicators": jobs("indicators") | TABLES,
    "rivals": jobs("rivals") | TABLES,
    "sensitivity": jobs("sensitivity") | TABLES,
    "compact": jobs("compact") | TABLES,
    "certify": jobs("certify") | TABLES,
    "analyse": TABLES,
    "report": jobs("report"),
}
MODULES = {
    "pruning/lwm.py": network(LWM),
    "pruning/hydra.py": network(HYDRA),
    "pruning/base.py": PRUNING,
    "pruning/finetune.py": TUNING,
    "objectives/pgd_at.py": TRAINED,
    "models/digits_cnn.py": TRAINED,
    "data/digits.py": ALL - SAVED,
    "training/fit.py": TRAINED,
    "evaluation/cascade.py": ATTACKED,
    "evaluation/metrics.py": evaluated(*EVERY) | jobs("certify"),
    "evaluation/claimed.py": jobs("selection") | evaluated(*EVERY),
    "evaluation/selection.py": jobs("selection") | TABLES,
    "evaluation/overestimate.py": TABLES,
    "evaluation/breaking.py": jobs("breaking") | TABLES,
    "commands/rows.py": jobs("breaking", "twins") | TABLES,
    "margins/distance.py": MEASURED,
    "margins/rivals.py": jobs("rivals") | TABLES,
    "margins/sensitivity.py": jobs("sensitivity") | TABLES,
    "sparsity/compact.py": jobs("compact") | TABLES,
    "models/stored.py": jobs("compact") | TABLES,
    "evaluation/size_table.py": TABLES,
    "evaluation/certified.py": jobs("certify") | TABLES,
    "evaluation/preservation.py": TABLES,
    "evaluation/mismatch.py": jobs("report"),
    "verification/margins.py": jobs("certify") | TABLES,
    "verification/smoothing.py": jobs("certify") | TABLES,
    "margins/twins.py": jobs("twins", "report"),
    "attacks/indicators.py": jobs("indicators") | TABLES,
    "attacks/claimed.py": jobs("selection") | claimed(*EVERY),
    "evaluation/flags.py": jobs("indicators") | TABLES,
    "margins/statistics.py": TABLES,
    "margins/joint.py": TABLES,
    "attacks/fmn.py": MEASURED,
    "attacks/fab.py": NOTHING,  # no attack of this study
    "evaluation/curves.py": TABLES,
    "figures/auroc.py": jobs("report"),
    "figures/report.html.j2": jobs("report"),
    "files.py": ALL,
}


@after([(name, append(f"commands/{name}.py"), expected) for name, expected in COMMANDS.items()])
def test_an_edit_in_a_command_reruns_its_jobs_and_what_follows(planned, edit, expected):
    assert planned == expected


@after([(name, append(name), expected) for name, expected in MODULES.items()])
def test_an_edit_in_a_module_reruns_the_jobs_that_reach_it_and_what_follows(
    planned, edit, expected
):
    assert planned == expected


UNREACHED = (
    "pruning/radmm.py",  # not in the study, as the next five
    "pruning/admm.py",
    "objectives/hsic.py",
    "objectives/trades.py",
    "objectives/ibp.py",
    "objectives/smoothing.py",
    "models/wrn.py",
    "data/cifar10.py",
    "models/external.py",  # no network of the study is from elsewhere
    "commands/external.py",
    "commands/leaderboards.py",
    "commands/sizes.py",
    "outside.py",
    "tables.py",  # the job names the entries that it chose
    "study/plan.py",  # plans jobs and is reached by none
    "study/resolve.py",
    "study/jobs.py",
    "commands/runner.py",
    "commands/cli.py",
    "commands/explain.py",
    "attacks/protocols.py",
    "attacks/somebody_elses.py",  # a new module that nobody imports
    "__main__.py",
)


def test_an_edit_in_a_module_that_no_job_reaches_reruns_nothing(checkout):
    for module in UNREACHED:
        (checkout.library / module).touch()
        checkout.append(module)
    assert checkout.plan() == NOTHING


RECORDING = ("audit", "code_store", "differences", "evidence", "explain", "finding", "fingerprint")
RECORDING += ("graph", "machine", "materials", "outdated", "record", "signing", "verdict")


def test_the_library_of_records_stands_still(checkout):
    for name in RECORDING:
        checkout.append(f"provenance/{name}.py")
    assert checkout.plan() == NOTHING


READ_BY_THE_REPORT = ("root", "statement", "planned")


@after([(name, append(f"provenance/{name}.py"), jobs("report")) for name in READ_BY_THE_REPORT])
def test_the_report_alone_reads_records(planned, edit, expected):
    assert planned == expected


def test_comments_docstrings_and_layout_rerun_nothing(checkout):
    for path in checkout.library.rglob("*.py"):
        tree = ast.parse(path.read_text())
        assert ast.get_docstring(tree)
        tree.body[0].value.value = "Another docstring.\n\nOf several lines."
        path.write_text(f"# A comment.\n\n\n{ast.unparse(tree)}\n# Another.\n")
    assert checkout.plan() == NOTHING


def test_a_renamed_local_variable_is_other_code(checkout):
    checkout.replace("pruning/lwm.py", "magnitudes", "sizes")
    assert checkout.plan() == network(LWM)


def test_a_new_entry_of_a_table_reruns_nothing(checkout):
    shutil.copy(checkout.library / "pruning/lwm.py", checkout.library / "pruning/twin.py")
    line = '    "lwm": "thin_ice.pruning.lwm:Lwm",\n'
    checkout.replace("tables.py", line, f'{line}    "twin": "thin_ice.pruning.twin:Lwm",\n')
    assert checkout.plan() == NOTHING


def test_an_entry_that_names_another_module_is_other_code(checkout):
    shutil.copy(checkout.library / "pruning/lwm.py", checkout.library / "pruning/twin.py")
    checkout.replace("tables.py", "thin_ice.pruning.lwm:Lwm", "thin_ice.pruning.twin:Lwm")
    assert checkout.plan() == network(LWM)


def test_a_default_that_the_study_leaves_is_part_of_it(checkout):
    checkout.replace("study/resolve.py", '    "seed": 0,', '    "seed": 1,')
    assert checkout.plan() == ATTACKED | SAVED


def test_a_published_protocol_reruns_the_evaluations_that_claim_it(checkout):
    numbers = "0.031, 0.0078, 10\n"
    checkout.replace("attacks/protocols.py", numbers, numbers.replace("10", "11"))
    assert checkout.plan() == claimed("dense", *LWM) | jobs("selection", variants=LWM)


def test_a_published_plan_is_code_of_the_method_and_part_of_the_study(checkout):
    checkout.replace("pruning/lwm.py", '"lr": 0.01', '"lr": 0.02')
    assert checkout.plan() == network(LWM) | SAVED


def test_an_import_reaches_further_modules(checkout):
    """What a module imports is its code too, the moment it is imported."""
    (checkout.library / "pruning/helper.py").write_text('"""Nothing yet."""\n')
    checkout.append("pruning/hydra.py", "\nimport thin_ice.pruning.helper\n")
    assert checkout.plan() == network(HYDRA)


# What code runs beside the modules that a job names.


def test_code_of_a_package_runs_with_its_modules(checkout):
    """``pruning/__init__.py`` is executed whenever a module of ``pruning`` is imported."""
    checkout.append("pruning/__init__.py")
    assert checkout.plan() == PRUNING | TUNING


def test_an_entry_that_names_another_class_of_its_module_is_another_job(checkout):
    def pruning():
        every = [described(words) for words in checkout.commands("--forceall")]
        return {record: job for stage, job, _, record in every if stage == "prune"}

    source = (checkout.library / "pruning/lwm.py").read_text()
    start, end = source.index("@dataclass"), source.index("class LwmPruner")
    checkout.append("pruning/lwm.py", "\n\n" + source[start:end].replace("class Lwm", "class Twin"))
    before = pruning()
    checkout.replace("tables.py", "thin_ice.pruning.lwm:Lwm", "thin_ice.pruning.lwm:Twin")
    changed = {record for record, job in pruning().items() if job != before[record]}
    assert changed == {record for record in before if "lwm" in record}


def test_what_editors_and_merges_leave_beside_a_module_is_no_code(checkout):
    for left in ("lwm.py~", "lwm.py.orig", "lwm.py.rej"):
        (checkout.library / "pruning" / left).write_text("an earlier version\n")
    assert checkout.plan() == NOTHING


# File times, copies, and Snakemake's own memory.


def age(folder: Path, moments) -> None:
    """Give every file a time of modification, in the order of their names."""
    for path in sorted(folder.rglob("*")):
        moment = next(moments)
        os.utime(path, (moment, moment), follow_symlinks=False)


def shuffled(seed):
    draw = random.Random(seed)
    while True:
        yield draw.randrange(1_000_000_000, 1_700_000_000)


@pytest.mark.parametrize("times", [iter(lambda: 1_600_000_000, None), shuffled(1), shuffled(2)])
def test_file_times_say_nothing(checkout, times):
    age(checkout.folder, times)
    assert checkout.plan() == NOTHING
    shutil.rmtree(checkout.folder / ".snakemake")  # it holds checksums that outvote times
    assert checkout.plan() == NOTHING


def test_file_times_say_nothing_even_to_who_asks_for_them(checkout):
    age(checkout.results, shuffled(3))
    shutil.rmtree(checkout.folder / ".snakemake")
    assert checkout.plan("--rerun-triggers", "mtime") == NOTHING


def test_results_copied_into_a_fresh_clone_are_up_to_date(checkout, tmp_path):
    git = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org"]
    names = ["Snakefile", "config.yaml", "study.yaml", "workflow"]
    for command in (["init", "-q"], ["add", *names], ["commit", "-q", "-m", "All"]):
        subprocess.run([*git, *command], cwd=checkout.folder, check=True, capture_output=True)
    clone = Checkout(tmp_path / "elsewhere" / "clone")
    subprocess.run([*git, "clone", "-q", checkout.folder, clone.folder], check=True)
    shutil.copytree(checkout.results, clone.results, copy_function=shutil.copyfile)
    assert clone.plan() == NOTHING
    clone.change_study({"threat.eps": 0.2})
    assert clone.plan() == ALL - jobs("dataset")


@pytest.mark.parametrize("lost", [".snakemake", ".snakemake/metadata"])
def test_without_snakemakes_memory_the_records_decide(checkout, lost):
    shutil.rmtree(checkout.folder / lost)
    assert checkout.plan() == NOTHING
    checkout.append("pruning/hydra.py")
    assert checkout.plan() == network(HYDRA)


def test_a_touch_does_not_make_outdated_results_current(checkout):
    checkout.change_study({"autoattack.seed": 1})
    checkout.run("--touch", "--cores", "1")
    assert checkout.plan() == ATTACKED | SAVED


# Files that are gone, records that say otherwise.


SEED0 = jobs(seeds=[0]) - jobs("study", "dataset")
GONE = {
    f"{RUN}/seed0/dense/model.safetensors": SEED0,
    f"{RUN}/seed0/dense/history.csv": SEED0,
    f"{RUN}/seed0/dense/provenance.json": SEED0,
    f"{RUN}/seed1/hydra-0.5/model.safetensors": network(HYDRA, [1]) - jobs("prune"),
    f"{RUN}/seed1/lwm-0.9/pruned/provenance.json": network(["lwm-0.9"], [1]),
    f"{RUN}/seed1/dense/distances/distances.parquet": (
        jobs("distances", "breaking", "twins", seeds=[1], variants=DENSE) | TABLES
    ),
    f"{RUN}/seed1/dense/evaluation": (
        jobs("evaluate", "breaking", seeds=[1], variants=DENSE) | TABLES
    ),
    f"{RUN}/seed0/dense/breaking/breaking.parquet": jobs("breaking", seeds=[0]) | TABLES,
    f"{RUN}/seed0/dense/twins/twins.safetensors": jobs("twins", seeds=[0]) | jobs("report"),
    "data/digits/dataset.safetensors": ALL - SAVED,
    "study/provenance.json": SAVED,
    "report/auroc.png": jobs("report"),
    "report/auroc.csv": jobs("report"),  # in the record, and not among the outputs of the rule
}


@after([(path, methodcaller("lose", path), expected) for path, expected in GONE.items()])
def test_what_is_gone_is_made_again_and_all_that_follows(planned, edit, expected):
    assert planned == expected


DAMAGES = {
    "cut in half": lambda text: text[: len(text) // 2],
    "empty": lambda text: "",
    "no text": lambda text: "\udcff\udcfe",
    "other data": lambda text: "[]",
    "no job": lambda text: text.replace('"sha256"', '"sha1"'),
}


def damage_record(how, checkout):
    path = checkout.record(f"{RUN}/seed0/hydra-0.5/pruned")
    path.write_bytes(how(path.read_text()).encode(errors="surrogateescape"))


@after([(name, partial(damage_record, how), network(HYDRA, [0])) for name, how in DAMAGES.items()])
def test_a_damaged_record_is_no_record(planned, edit, expected):
    assert planned == expected


def without_the_code(statement):
    statement["predicate"]["buildDefinition"]["externalParameters"]["code"].pop("sha256")


def test_a_record_that_does_not_say_which_code_was_planned_is_damaged(checkout):
    checkout.change_record(f"{RUN}/seed0/hydra-0.5/pruned", without_the_code)
    confirmed(checkout, network(HYDRA, [0]))


OTHER = 64 * "0"


def other_source(statement):
    (source,) = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    source["digest"]["sha256"] = OTHER


def other_output(statement):
    for subject in statement["subject"]:
        subject["digest"]["sha256"] = OTHER


def other_code_ran(statement):
    ran = next(b for b in statement["predicate"]["runDetails"]["byproducts"] if b["name"] == "run")
    ran["annotations"]["code"]["sha256"] = OTHER


def other_code_planned(statement):
    statement["predicate"]["buildDefinition"]["externalParameters"]["code"]["sha256"] = OTHER


def other_software(statement):
    statement["predicate"]["buildDefinition"]["externalParameters"]["software"] = {"seaborn": "0.1"}


def other_input(statement):
    for one in statement["predicate"]["buildDefinition"]["resolvedDependencies"]:
        if "model" in one["name"]:
            one["digest"]["sha256"] = OTHER


def fewer_inputs(statement):
    definition = statement["predicate"]["buildDefinition"]
    definition["resolvedDependencies"] = definition["resolvedDependencies"][:-1]


def inputs_in_another_order(statement):
    definition = statement["predicate"]["buildDefinition"]
    definition["resolvedDependencies"] = definition["resolvedDependencies"][::-1]


TUNED = f"{RUN}/seed0/hydra-0.5"
AFTER_TUNED = network(HYDRA, [0]) - jobs("prune")
RECORDED = {
    "another file behind the dataset": ("data/digits", other_source, ALL - SAVED),
    "another dense network reruns its readers, not itself": (
        f"{RUN}/seed0/dense",
        other_output,
        SEED0 - jobs("dense"),
    ),
    "code that ran": (TUNED, other_code_ran, AFTER_TUNED),
    "code that was planned": (TUNED, other_code_planned, AFTER_TUNED),
    "a version that counts": ("report", other_software, jobs("report")),
    "an input's digest": (TUNED, other_input, AFTER_TUNED),
    "an input that was not read": (f"{RUN}/analysis", fewer_inputs, TABLES),
    "the order of inputs, which is that of rows": (
        f"{RUN}/analysis",
        inputs_in_another_order,
        TABLES,
    ),
}


@pytest.mark.parametrize(("folder", "change", "expected"), RECORDED.values(), ids=RECORDED)
def test_what_a_record_says_otherwise_reruns(checkout, folder, change, expected):
    checkout.change_record(folder, change)
    confirmed(checkout, expected)


def test_the_time_and_the_machine_of_a_run_say_nothing(checkout):
    def elsewhere(statement):
        details = statement["predicate"]["runDetails"]
        details["metadata"] |= {"startedOn": "2020-01-01T00:00:00+00:00", "invocationId": "slurm:1"}
        details["builder"]["version"] |= {"torch": "1.0", "python": "3.11.0"}
        ran = next(one for one in details["byproducts"] if one["name"] == "run")
        ran["annotations"] |= {"host": "elsewhere", "device": "cuda:0", "seconds": 1e6}

    for _, folder in ALL:
        checkout.change_record(folder, elsewhere)
    assert checkout.plan() == NOTHING


# What a person asks for.


def test_a_job_that_is_made_again_the_same_leaves_the_rest_current(checkout):
    model = checkout.results / f"{RUN}/seed0/dense/model.safetensors"
    before = sha256(model), checkout.record(f"{RUN}/seed0/dense").read_text()
    checkout.run("--cores", "2", "--until", "dense", "-R", "dense")
    assert sha256(model) == before[0]
    assert checkout.record(f"{RUN}/seed0/dense").read_text() != before[1]
    assert checkout.plan() == NOTHING


def test_what_ran_again_is_current(checkout):
    checkout.append("figures/report.html.j2")
    checkout.run("--cores", "1")
    assert checkout.plan() == NOTHING
    assert checkout.explain().returncode == 0


ASKED = {
    "-R finetune": TUNING,
    "-R analyse dense": TRAINED,
    f"-R results/reruns/{TUNED}/model.safetensors": AFTER_TUNED,
    f"-R results/reruns/{TUNED}/provenance.json": AFTER_TUNED,
    "-F": ALL,
    f"-f results/reruns/{TUNED}/model.safetensors": jobs("finetune", variants=HYDRA, seeds=[0]),
    "--until analyse -R evaluate": jobs("evaluate", "breaking", "analyse"),
    "--until evaluate": NOTHING,
    f"results/reruns/{TUNED}/model.safetensors": NOTHING,
}


@pytest.mark.parametrize(("words", "expected"), ASKED.items(), ids=ASKED)
def test_what_is_asked_for_runs_again(planned, words, expected):
    assert planned == expected


def test_a_target_reruns_itself_and_what_is_outdated_before_it(checkout):
    target = f"results/reruns/{TUNED}/model.safetensors"
    checkout.append("commands/report.py")
    assert checkout.plan(target) == NOTHING
    checkout.append("commands/finetune.py")
    own = jobs("finetune", variants=HYDRA, seeds=[0])
    assert checkout.plan(target) == own
    checkout.append("objectives/pgd_at.py")
    before = jobs("dense", seeds=[0]) | jobs("prune", variants=HYDRA, seeds=[0])
    assert checkout.plan(target) == own | before


# Why: `python -m thin_ice explain`.

ABSENT = "(absent)"


def upstream(*folders):
    return [("upstream", folder, ABSENT, ABSENT) for folder in folders]


def test_the_keys_that_changed_are_named_with_old_and_new(checkout):
    checkout.change_study({"training.dense.lr": 0.8, "training.dense.momentum": 0.05})
    reasons = checkout.reasons()
    swapped = [("plan.lr", 0.05, 0.8), ("plan.momentum", 0.8, 0.05)]
    assert reasons[f"{RUN}/seed1/dense"] == [("parameter", *change) for change in swapped]
    assert [key for _, key, _, _ in reasons["study"]] == [
        f"study.training.dense.{key}" for key in ("lr", "momentum")
    ]
    pruned = f"{RUN}/seed1/hydra-0.5/pruned"
    assert reasons[pruned] == upstream(f"{RUN}/seed1/dense")
    assert set(reasons) == {folder for _, folder in TRAINED | SAVED}


def test_a_key_deep_in_a_list_is_named(checkout):
    checkout.change_study({"distances": {"attacks": [FMN | {"steps": 3}]}})
    change = ("distances.0.options.steps", 2, 3)
    assert checkout.reasons()[f"{RUN}/seed0/dense/distances"] == [("parameter", *change)]


def test_a_claimed_protocol_is_named_where_it_is_added_and_removed(checkout):
    checkout.change_study({"methods.hydra": ...})
    ((kind, key, old, new),) = checkout.reasons()[f"{RUN}/seed0/dense/evaluation"]
    assert (kind, key, new) == ("parameter", "protocols.hydra_pgd50", ABSENT)
    assert old["steps"] == 50


def test_a_new_network_is_not_made(checkout):
    checkout.change_study({"seeds": [0, 1, 2]})
    reasons = checkout.reasons()
    assert reasons[f"{RUN}/seed2/dense"] == [("not made", f"{RUN}/seed2/dense", ABSENT, ABSENT)]
    assert ("not made: " + f"{RUN}/seed2/dense") in checkout.explain().stdout


def test_a_changed_line_is_named_by_file_and_number(checkout):
    file = "pruning/lwm.py"
    _, old = checkout.line(file, "(model, self.options.layers)")
    checkout.replace(file, '"""LWM', '"""A longer docstring.\n\n\nLWM')
    checkout.replace(file, "(model, self.options.layers)", '(model, "all")')
    number, new = checkout.line(file, '(model, "all")')
    reasons = checkout.reasons()
    change = (f"thin_ice/{file}:{number}", old, new)
    assert reasons[f"{RUN}/seed0/lwm-0.9/pruned"] == [("code", *change)]
    assert set(reasons) == {folder for _, folder in network(LWM)}
    assert f"    code {change[0]}: {old} -> {new}\n" in checkout.explain().stdout


def test_lines_that_were_added_and_removed_are_named(checkout):
    file = "pruning/scores.py"
    number, old = checkout.line(file, "TINY = ")
    checkout.replace(file, f"{old}\n", "")
    checkout.replace(file, ".clamp_min(TINY)", "")
    checkout.append(file, "ADDED = 1\n")
    last = len((checkout.library / file).read_text().splitlines())
    reasons = checkout.reasons()[f"{RUN}/seed1/hydra-0.5/pruned"]
    assert ("code", f"thin_ice/{file}:{number}", old.split("  #")[0], ABSENT) in reasons
    assert ("code", f"thin_ice/{file}:{last}", ABSENT, "ADDED = 1") in reasons
    assert len(reasons) == 3


def test_a_changed_line_of_the_template_is_named(checkout):
    file = "figures/report.html.j2"
    checkout.append(file, "<!-- added -->\n")
    number, line = checkout.line(file, "<!-- added -->")
    change = (f"thin_ice/{file}:{number}", ABSENT, line)
    assert checkout.reasons() == {"report": [("code", *change)]}


def test_a_module_that_is_reached_anew_is_named(checkout):
    (checkout.library / "pruning/helper.py").write_text('"""Nothing yet."""\n')
    checkout.append("pruning/hydra.py", "\nimport thin_ice.pruning.helper\n")
    reasons = checkout.reasons()[f"{RUN}/seed0/hydra-0.5/pruned"]
    assert ("code", "thin_ice/pruning/helper.py", ABSENT, "is reached") in reasons


def test_without_the_kept_sources_fingerprints_are_named(checkout):
    shutil.rmtree(checkout.results / "code")
    checkout.append("commands/study.py")
    ((kind, what, old, new),) = checkout.reasons()["study"]
    assert (kind, what) == ("code", "fingerprint")
    assert old != new
    assert len(old) == len(new) == 64


def test_a_changed_input_is_named_with_both_digests(checkout):
    model = f"{RUN}/seed0/dense/model.safetensors"
    old = sha256(checkout.results / model)
    checkout.change_record(f"{RUN}/seed0/dense", other_output)
    reasons = checkout.reasons()
    for reader in ("lwm-0.5/pruned", "dense/distances", "dense/autoattack/shard0"):
        assert reasons[f"{RUN}/seed0/{reader}"] == [("input", model, old, OTHER)]
    assert f"input {model}: {old[:12]} -> {OTHER[:12]}\n" in checkout.explain().stdout


def test_a_changed_source_is_named_with_both_digests(checkout):
    name = "scikit-learn/digits.csv.gz"
    (source,) = planned_jobs(study_from(STUDY))[1].sources.values()
    checkout.change_record("data/digits", other_source)
    reasons = checkout.reasons()
    assert reasons["data/digits"] == [("source", name, OTHER, sha256(source))]
    assert reasons[f"{RUN}/seed0/dense"] == upstream("data/digits")


def test_another_version_is_named(checkout):
    checkout.change_record("report", other_software)
    ((kind, what, old, new),) = checkout.reasons()["report"]
    assert (kind, what, old) == ("software", "seaborn", "0.1")
    assert new[0].isdigit()


def test_a_file_that_is_gone_and_a_record_that_is_damaged_are_named(checkout):
    (checkout.results / "report/auroc.csv").unlink()
    checkout.record("study").write_text("{")
    reasons = checkout.reasons()
    assert reasons["report"] == [("gone", "report/auroc.csv", ABSENT, ABSENT)]
    ((kind, what, _, _),) = reasons["study"]
    assert kind == "damaged"
    assert "study/provenance.json" in what


# The library's graph and Snakemake's are one.

RICH = {
    "datasets.half": {"kind": "digits", "limit_test": 41},
    "models.wide": {"kind": "digits_cnn", "width": 3, "normalize": True},
    "objectives.natural": {},
    "methods.radmm": {"layers": "all", "objectives": ["natural"], "sparsities": [0.25, 0.99]},
    "methods.pwoa": {"unit": "filter", "sparsities": [0.25], "prune_objective": None},
    "rerun_on_upgrade": ["torch", "python"],
    "selection_on_test": False,
}


ELSEWHERE = {"package": "pyautoattack", "path": "examples/model_test.pt"}
EXTERNAL = {
    "models.theirs": {"kind": "resnet18", "checkpoint": ELSEWHERE},
    "models.reference": {"kind": "resnet18", "checkpoint": ELSEWHERE, "only_evaluate": True},
    "methods.pwoa": {},  # learns from them while it is fine-tuned
}
ALONE = dict.fromkeys(("objectives", "methods", "sparsities", "training"), ...)
ALONE |= {"models": {"reference": EXTERNAL["models.reference"]}}


@pytest.mark.parametrize(
    "changes",
    [{}, RICH, EXTERNAL, ALONE],
    ids=["the study", "a richer one", "networks from elsewhere", "nothing trained"],
)
def test_the_planned_jobs_are_snakemakes(tmp_path, changes):
    checkout = copied_checkout(tmp_path / "checkout")
    checkout.change_study(changes)
    study = study_from(yaml.safe_load((checkout.folder / "study.yaml").read_text()))
    below = study.folder
    expected = {
        f"{below}/{job.record}": (
            job.stage,
            job.text,
            {
                name: tuple(f"{below}/{file}" for file in files)
                for name, files in job.inputs.items()
            },
        )
        for job in planned_jobs(study)
    }
    commands = [described(words) for words in checkout.commands("--forceall")]
    assert len(commands) == len(expected)
    assert {record: (stage, job, files) for stage, job, files, record in commands} == expected


def test_a_job_is_planned_after_those_whose_files_it_reads():
    made = set()
    for job in planned_jobs(study_from(STUDY)):
        assert {str(Path(file).parent) for file in job.files} <= made
        made.add(job.folder)
    assert made == {folder for _, folder in ALL}
