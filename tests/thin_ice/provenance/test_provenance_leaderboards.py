"""What goes to leaderboards is what was measured; the unknown is null, what differs is said."""

import copy
import json
import shutil
from dataclasses import replace

import pandas as pd
import pytest
import torch
import yaml
from tiny_study import TINY, run_job, run_study

from thin_ice import tables
from thin_ice.commands.cli import main
from thin_ice.provenance.crate.study import finished_study
from thin_ice.provenance.evidence import gather
from thin_ice.provenance.leaderboards import pruning_benchmark as benchmark
from thin_ice.provenance.leaderboards.measured import measured
from thin_ice.provenance.leaderboards.robustbench import model_info
from thin_ice.provenance.leaderboards.taxonomy import ENTRIES, LAST_STEP, WITHOUT_ENTRY
from thin_ice.study.jobs import planned_jobs
from thin_ice.study.load import study_from
from thin_ice.study.options import entry

torch.set_num_threads(1)

STUDY = TINY | {"methods": {"lwm": {}, "hydra": {}}}
RUN = "digits-digits_cnn-pgd_at"
FIELDS = [  # of a RobustBench model_info file
    *("link", "name", "authors", "additional_data", "number_forward_passes", "dataset", "venue"),
    *("architecture", "eps", "clean_acc", "reported", "autoattack_acc", "unreliable", "footnote"),
]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return run_study(study_from(STUDY), tmp_path_factory.mktemp("results") / "tiny")


@pytest.fixture(scope="module")
def networks(root):
    """By variant."""
    finished = finished_study(gather(root), planned_jobs(study_from(STUDY)))
    return {one.network.variant: one for one in measured(finished)}


@pytest.fixture
def as_published(networks):
    """A pruned network as it would be on the benchmark's ground, with facts of it changed."""

    def make(variant="hydra-0.5", dataset="cifar10", architecture="resnet18", **study):
        one = networks[variant]
        resolved = copy.deepcopy(one.study) | study
        resolved["models"]["digits_cnn"] |= {"kind": architecture, "options": {"width": 64}}
        sound = {"dataset": dataset, "collapse": {"signs": [], "empty_layers": []}}
        network = replace(one.network, numbers=one.numbers | sound)
        return replace(one, network=network, study=resolved)

    return make


def test_every_method_has_its_entry_or_the_reason_why_not():
    assert ENTRIES.keys() | WITHOUT_ENTRY.keys() == tables.METHODS.keys()
    assert not ENTRIES.keys() & WITHOUT_ENTRY.keys()


def test_every_network_that_was_evaluated_is_measured_once(networks):
    assert set(networks) == {"dense", "dense_again", "lwm-0.5", "hydra-0.5"}
    assert networks["dense"].distance_robust_percent is not None


def test_the_share_by_distance_counts_failures_as_robust_and_errors_as_not(root, networks):
    table = pd.read_parquet(root / RUN / "seed0/dense/distances/distances.parquet")
    robust = table.correct & ~(table.distance_linf <= TINY["threat"]["eps"])
    assert networks["dense"].distance_robust_percent == pytest.approx(100 * robust.mean())
    assert 0 < robust.mean() < 1


def test_facts_in_robustbenchs_form_are_those_measured(root, networks):
    for variant, one in networks.items():
        found = model_info(one)
        numbers = json.loads((root / RUN / f"seed0/{variant}/evaluation/metrics.json").read_text())
        assert list(found) == FIELDS
        assert found["clean_acc"] == f"{numbers['clean']['percent']:.2f}"
        assert found["autoattack_acc"] == f"{numbers['autoattack']['percent']:.2f}"
        assert (found["eps"], found["dataset"]) == ("0.1", "digits")
        assert found["link"] is found["authors"] is None
    assert model_info(networks["dense"])["reported"] is None
    assert model_info(networks["dense_again"])["reported"] is None
    assert "pruned by" not in model_info(networks["dense_again"])["footnote"]
    hydra = networks["hydra-0.5"]
    claimed = hydra.numbers["claimed"]["hydra_pgd50"]["accuracy"]["percent"]
    assert model_info(hydra)["reported"] == f"{claimed:.2f}"


def test_what_keeps_numbers_from_comparison_is_in_the_footnote(networks):
    text = model_info(networks["hydra-0.5"])["footnote"]
    for words in ("version is custom (apgd-ce, square)", "30 test samples", "no dataset of Robust"):
        assert words in text


def test_a_network_as_it_came_is_said_to_be_nothing_that_is_not_known(as_published):
    one = as_published("dense")
    assert model_info(one)["additional_data"] is False
    one.study["models"]["digits_cnn"]["checkpoint"] = {"mean": None}
    found = model_info(one)
    assert found["additional_data"] is None
    assert "as it came" in found["footnote"]


def test_a_pruned_network_from_elsewhere_has_no_training_that_the_taxonomy_knows(as_published):
    one = as_published()
    assert "as it came" not in "".join(benchmark.entries([one])["hydra"]["models"][0]["differs"])
    assert one.normalises is False
    one.study["models"]["digits_cnn"]["checkpoint"] = {"mean": [0.5]}
    (model,) = benchmark.entries([one])["hydra"]["models"]
    assert "as it came" in "".join(model["differs"])
    assert model["normalises_inside"] is True


@pytest.mark.parametrize(
    ("norm", "eps", "words"),
    [
        ("Linf", 8 / 255, None),
        ("Linf", 4 / 255, "RobustBench's eps is 8/255"),
        ("L2", 0.5, None),
        ("L2", 8 / 255, "RobustBench's eps is 0.5"),
        ("L1", 12, "RobustBench has no L1"),
    ],
)
def test_only_another_eps_than_robustbenchs_is_said(as_published, norm, eps, words):
    footnote = model_info(as_published(threat={"norm": norm, "eps": eps}))["footnote"]
    assert ("RobustBench" in footnote) == (words is not None)
    assert (words or "") in footnote


def test_an_eps_is_written_as_the_field_writes_it(as_published):
    threats = [("Linf", 8 / 255), ("Linf", 0.031), ("L2", 0.5), ("L2", 8 / 255), ("L1", 12)]
    made = [as_published(threat={"norm": norm, "eps": eps}) for norm, eps in threats]
    assert [one.eps_name for one in made] == ["8/255", "0.031", "0.5", "0.0313725", "12"]
    assert model_info(made[0])["eps"] == "8/255"


def test_what_is_measured_as_the_leaderboards_do_departs_in_nothing(as_published):
    one = as_published(autoattack={"version": "standard"})
    one.numbers["samples"] = 10_000
    assert list(one.departures()) == []
    jpeg = as_published(dataset="cifar10-jpeg", autoattack={"version": "standard"})
    assert ["JPEG" in text for text in jpeg.departures()] == [False, True]


def test_an_architecture_other_than_the_fields_says_how(as_published):
    one = as_published()
    assert model_info(one)["architecture"] == "ResNet-18"
    one.study["models"]["digits_cnn"]["options"] = {"width": 16}
    assert model_info(one)["architecture"] == "resnet18 (width 16)"


def test_an_accuracy_above_what_distances_leave_is_unreliable(networks):
    one = networks["dense"]
    low = one.numbers["autoattack"]["low_percent"]
    assert model_info(replace(one, distance_robust_percent=low - 1))["unreliable"] is True
    assert model_info(replace(one, distance_robust_percent=low + 1))["unreliable"] is False
    assert model_info(replace(one, distance_robust_percent=None))["unreliable"] is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"variant": "dense"}, "it is not pruned"),
        ({"variant": "dense_again"}, "it is not pruned"),
        ({"variant": "lwm-0.5"}, "not in the benchmark's taxonomy"),
        ({"dataset": "digits"}, "its dataset is digits; the benchmark has CIFAR10 and SVHN"),
        ({"dataset": "cifar10-jpeg"}, "its dataset is cifar10-jpeg"),
        ({"architecture": "wrn"}, "its architecture is wrn"),
        ({"threat": {"norm": "L2", "eps": 0.5}}, "its threat model is L2"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_the_benchmark_has_no_place_for_is_said(as_published, changes, words):
    assert words in benchmark.why_not(as_published(**changes))


def test_a_narrower_network_is_not_the_benchmarks(as_published):
    one = as_published()
    one.study["models"]["digits_cnn"]["options"] = {"width": 16}
    assert "16 wide" in benchmark.why_not(one)


def test_an_entry_has_the_model_key_the_taxonomy_and_what_differs(as_published):
    one = as_published(threat={"norm": "Linf", "eps": 8 / 255})
    found = benchmark.entries([one])["hydra"]
    assert found["taxonomy"]["ap_key"] == "HYDRA_Sehwag2020Hydra"
    assert "A: Pretraining " in found["taxonomy"]
    (model,) = found["models"]
    assert model["model_key"] == "HYDRA_Sehwag2020Hydra_R18_CIFAR10_US_50"
    assert model["autoattack_acc"] == round(one.numbers["autoattack"]["percent"], 2)
    assert (model["eps"], model["benchmark_eps"]) == (8 / 255, 0.031)
    assert (
        model["clean_acc"] == round(one.numbers["clean"]["percent"], 2) != model["autoattack_acc"]
    )
    assert model["minimum_norm_acc"] == round(one.distance_robust_percent, 2)
    assert model["seed"] == 0
    text = "; ".join(model["differs"])
    assert "8/255" not in text.replace("(8/255)", "")
    for words in ("eps 0.0313725 (8/255)", "is 0.031", "are 90, 95, 99", "fine-tuned by pgd_at"):
        assert words in text


def test_where_the_benchmark_and_the_study_agree_no_difference_is_made_up(as_published):
    one = as_published(threat={"norm": "Linf", "eps": 0.031})
    network = replace(one.network, job=copy.deepcopy(one.network.job))
    network.job.parameters["objective"]["kind"] = "trades"
    network.job.parameters["variant"] = "hydra-0.9"
    network = replace(network, path=network.path.replace("seed0", "seed3"))
    (model,) = benchmark.entries([replace(one, network=network)])["hydra"]["models"]
    text = "; ".join(model["differs"])
    assert model["model_key"].endswith("_US_90")
    assert model["seed"] == 3
    for words in ("AutoAttack ran at eps", "sparsity", "fine-tuned"):
        assert words not in text
    assert "minimum_norm_acc is at eps 0.031, the benchmark's at 8/255" in text


def test_without_distances_in_the_norm_there_is_no_number(as_published):
    one = replace(as_published(), distance_robust_percent=None)
    (model,) = benchmark.entries([one])["hydra"]["models"]
    assert model["minimum_norm_acc"] is None
    assert any("minimum_norm_acc is null" in text for text in model["differs"])


def test_the_command_writes_a_file_a_network_and_says_why_not_more(root, tmp_path, capsys):
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(STUDY))
    words = ["leaderboards", str(root), "--study", str(tmp_path / "study.yaml"), "--to"]
    assert main([*words, str(tmp_path / "out")]) == 0
    written = sorted(p.relative_to(tmp_path / "out").as_posix() for p in tmp_path.rglob("*.json"))
    assert written == [
        f"robustbench/{RUN}-seed0-{variant}.json"
        for variant in ("dense", "dense_again", "hydra-0.5", "lwm-0.5")
    ]
    printed = capsys.readouterr().out
    assert "1 networks by hydra: its dataset is digits" in printed
    assert main([*words, str(tmp_path / "out")]) == 2
    assert "not an empty folder" in capsys.readouterr().err


def test_an_altered_study_is_not_reported(root, tmp_path, capsys):
    copied = shutil.copytree(root, tmp_path / "tiny")
    path = copied / RUN / "seed0/hydra-0.5/evaluation/metrics.json"
    path.write_text(path.read_text().replace('"samples": 30', '"samples": 31'))
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(STUDY))
    words = ["leaderboards", str(copied), "--study", str(tmp_path / "study.yaml")]
    assert main([*words, "--to", str(tmp_path / "out")]) == 2
    assert "metrics.json is altered" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_leftovers_of_another_study_keep_nothing_back_and_are_not_reported(root, tmp_path):
    copied = shutil.copytree(root, tmp_path / "tiny")
    left = shutil.copytree(copied / RUN / "seed0/hydra-0.5", copied / RUN / "seed0/hydra-0.7")
    (left / "evaluation/metrics.json").write_text("{}")
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(STUDY))
    words = ["leaderboards", str(copied), "--study", str(tmp_path / "study.yaml")]
    assert main([*words, "--to", str(tmp_path / "out")]) == 0
    assert not list((tmp_path / "out").rglob("*hydra-0.7*"))


def with_job(one, **parameters):
    """The network with other words in the job that pruned it."""
    network = copy.deepcopy(one.network)
    for job in (network.job, *network.history):
        for name in parameters.keys() & job.parameters.keys():
            job.parameters[name] |= parameters[name]
    return replace(one, network=network)


@pytest.mark.parametrize("unit", ["filter", "channel", "column"])
def test_what_prunes_more_than_single_weights_is_structured_and_says_of_what(as_published, unit):
    one = with_job(as_published(), method={"unit": unit})
    (model,) = benchmark.entries([one])["hydra"]["models"]
    assert model["model_key"] == "HYDRA_Sehwag2020Hydra_R18_CIFAR10_S_50"
    assert model["unit"] == unit
    zero = 100 * one.numbers["sparsity"]["prunable"]
    text = "; ".join(model["differs"])
    assert f"its 50 % are of the {unit}s; of the prunable weights {zero:.2f} % are zero" in text
    assert f"pruned by hydra to sparsity 0.5 of its {unit}s" in model_info(one)["footnote"]


def test_single_weights_are_unstructured_and_nothing_is_said_of_their_share(as_published):
    one = as_published()
    (model,) = benchmark.entries([one])["hydra"]["models"]
    assert model["unit"] == "weight"
    assert "of the weights" not in "; ".join(model["differs"])
    assert "pruned by hydra to sparsity 0.5;" in model_info(one)["footnote"]


def test_extra_images_are_additional_data_where_a_stage_trained_on_them(as_published):
    one = as_published()
    assert model_info(one)["additional_data"] is False
    assert model_info(with_job(one, plan={"extra": 1.0}))["additional_data"] is True
    assert model_info(with_job(one, plan={"extra": 1.0, "epochs": 0}))["additional_data"] is False


def test_a_collapse_is_said_beside_its_numbers(as_published):
    one = as_published()
    assert "collapsed" not in model_info(one)["footnote"]
    signs = {"signs": ["at_chance", "empty_layer"], "empty_layers": ["first", "second"]}
    numbers = one.numbers | {"collapse": signs}
    found = model_info(replace(one, network=replace(one.network, numbers=numbers)))["footnote"]
    assert "the network has collapsed (at chance); no weight is left in first, second" in found


KEYS = ("link_to_paper", "ap_key", "Type of Pipeline:")
OWN_KEYS = {  # of an entry of the benchmark's taxonomy.json, by its pipeline; blanks are its own
    "A-Methods Pruning After Training": (
        *("A: Pretraining ", "A: Finetuning", "A: OneShot (1S) vs Iterative (IT)"),
    ),
    "B-Methods Pruning Before Training": (
        *("B: Pruning step ", "B: Training step ", "B: OneShot (1S) vs Iterative (IT)"),
    ),
    "D-Methods Pruning During Training": ("D: Training step ",),
}
COMMON_KEYS = ("Pruning structure", "Pruning locality", "Pruning criterion")


@pytest.mark.parametrize("kind", ENTRIES)
def test_an_entry_has_the_benchmarks_keys_in_its_order_and_its_methods_pipeline(kind):
    found = ENTRIES[kind]
    pipeline = found["Type of Pipeline:"]
    assert list(found) == [*KEYS, *OWN_KEYS[pipeline], *COMMON_KEYS]
    own = entry("methods", kind).constants["pipeline"]
    assert pipeline.endswith(f"Methods Pruning {own.title()} Training")
    assert LAST_STEP[pipeline] in found
    assert all(found.values())
    steps = [value for key, value in found.items() if "OneShot" in key]
    assert set(steps) <= {"1S", "IT"}


def test_methods_that_share_an_entry_are_of_one_paper():
    papers = {}
    for kind, found in ENTRIES.items():
        papers.setdefault(found["ap_key"], set()).add(entry("methods", kind).constants["paper"])
    assert all(len(one) == 1 for one in papers.values())


TRADES = {"kind": "trades", "steps": 1}
# Each trained last by the published objective, or by another; nothing here has a dense network.
APART = {
    "imp": {"mask": {"epochs": 2, "cycles": 2}},
    "imp_trades": {
        **{"kind": "imp", "mask": {"epochs": 2, "cycles": 2}},
        "train_masked_objective": TRADES,
    },
    "rst": {"mask": {"epochs": 1}, "mask_objective": TRADES, "train_masked_objective": TRADES},
    "twinrep": {},
    "twinrep_trades": {"kind": "twinrep", "train_sparse_objective": TRADES},
}
KINDS = {label: own.get("kind", label) for label, own in APART.items()}


@pytest.fixture(scope="module")
def apart(tmp_path_factory):
    """By method, as on the benchmark's ground: pruned before and during training."""
    methods = {label: {"claimed": "rst_pgd7"} | own for label, own in APART.items()}
    autoattack = TINY["autoattack"] | {"attacks": ["apgd-ce"], "shard_size": 30}
    study = study_from(TINY | {"methods": methods, "autoattack": autoattack})
    stages = ("study", "dataset", "mask", "train_masked", "train_sparse", "autoattack", "evaluate")
    jobs = [one for one in planned_jobs(study) if one.stage in stages]
    jobs = [one for one in jobs if "/dense" not in one.folder]
    folder = tmp_path_factory.mktemp("apart")
    for one in jobs:
        run_job(one, folder)
    found = {}
    for one in measured(finished_study(gather(folder), jobs)):
        resolved = copy.deepcopy(one.study)
        resolved["models"]["digits_cnn"] |= {"kind": "resnet18", "options": {"width": 64}}
        network = replace(one.network, numbers=one.numbers | {"dataset": "cifar10"})
        found[one.method] = replace(one, network=network, study=resolved)
    return found


def differing(found, label):
    (model,) = benchmark.entries([found[label]])[label]["models"]
    return [text for text in model["differs"] if "the taxonomy says" in text]


def test_what_prunes_before_or_during_training_is_said_to_be_trained_by_another_objective(apart):
    said = ["it was trained by trades, the taxonomy says Adversarial Training (AT) PGD"]
    assert differing(apart, "imp_trades") == differing(apart, "twinrep_trades") == said
    assert differing(apart, "imp") == differing(apart, "twinrep") == []


def test_of_rst_no_training_is_said_to_differ_since_nothing_is_trained_under_its_mask(apart):
    assert apart["rst"].network.objective["kind"] == "trades"
    assert differing(apart, "rst") == []


def test_networks_without_a_dense_ancestor_have_their_entry_unit_and_history(apart):
    keys = {label: benchmark.model_key(one) for label, one in apart.items()}
    assert keys == {
        "imp": "Cosentino19_Cosentino2019The_R18_CIFAR10_US_50",
        "imp_trades": "Cosentino19_Cosentino2019The_R18_CIFAR10_US_50",
        "rst": "RST_Fu2021Drawing_R18_CIFAR10_US_50",
        "twinrep": "TwinRep_Li2023Learning_R18_CIFAR10_US_50",
        "twinrep_trades": "TwinRep_Li2023Learning_R18_CIFAR10_US_50",
    }
    made = {label: [job.stage for job in one.network.history] for label, one in apart.items()}
    assert made == {label: ["mask"] * (kind != "twinrep") for label, kind in KINDS.items()}
    for label, one in apart.items():
        assert one.network.job.stage == ("train_masked" if made[label] else "train_sparse")
        assert f"pruned by {KINDS[label]} to sparsity 0.5;" in model_info(one)["footnote"]
        assert benchmark.entries([one])[label]["taxonomy"] == ENTRIES[KINDS[label]]
