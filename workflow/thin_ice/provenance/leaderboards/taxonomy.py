"""The entries of the adversarial-pruning benchmark's taxonomy for the methods of this library.

Source: Piras et al. 2024, "Adversarial Pruning: A Survey and Benchmark of Pruning Methods for
Adversarial Robustness" (arXiv 2409.01249), and the form of its repository
(pralab/AdversarialPruningBenchmark, taxonomy/taxonomy.json), whose keys and values are kept as
they are, blanks included. A new method gets its line here, or one in WITHOUT_ENTRY.
"""

AFTER = "A-Methods Pruning After Training"
BEFORE = "B-Methods Pruning Before Training"
DURING = "D-Methods Pruning During Training"
PGD, TRADES = "Adversarial Training (AT) PGD", "Adversarial Training (AT) TRADES"
DISTILLATION = "Knowledge Distillation (KD)"
OBJECTIVES = {
    "pgd_at": PGD,
    "trades": TRADES,
    "natural": "Natural Training (NT)",
    "self_distillation": DISTILLATION,
}
Entry = dict[str, str]
PRETRAINING, FINETUNING = "A: Pretraining ", "A: Finetuning"
BEFOREHAND, TRAINING, SPARSE_TRAINING = "B: Pruning step ", "B: Training step ", "D: Training step "
LAST_STEP = {AFTER: FINETUNING, BEFORE: TRAINING, DURING: SPARSE_TRAINING}
NO_STEP = "None"


def _after_training(
    link: str,
    key: str,
    objective: str,
    structure: str,
    locality: str,
    criterion: str,
    finetuning: str | None = None,
    steps: str = "1S",
) -> Entry:
    return {
        "link_to_paper": link,
        "ap_key": key,
        "Type of Pipeline:": AFTER,
        PRETRAINING: objective,
        FINETUNING: finetuning or objective,
        "A: OneShot (1S) vs Iterative (IT)": steps,
        "Pruning structure": structure,
        "Pruning locality": locality,
        "Pruning criterion": criterion,
    }


def _before_training(
    link: str,
    key: str,
    steps: str,
    locality: str,
    criterion: str,
    pruning: str = PGD,
    training: str = PGD,
) -> Entry:
    return {
        "link_to_paper": link,
        "ap_key": key,
        "Type of Pipeline:": BEFORE,
        BEFOREHAND: pruning,
        TRAINING: training,
        "B: OneShot (1S) vs Iterative (IT)": steps,
        "Pruning structure": "Unstructured (US)",
        "Pruning locality": locality,
        "Pruning criterion": criterion,
    }


def _during_training(link: str, key: str, structure: str, locality: str, criterion: str) -> Entry:
    return {
        "link_to_paper": link,
        "ap_key": key,
        "Type of Pipeline:": DURING,
        SPARSE_TRAINING: PGD,
        "Pruning structure": structure,
        "Pruning locality": locality,
        "Pruning criterion": criterion,
    }


HERACLES = _after_training(
    "https://openreview.net/pdf?id=rElOlZ6SUg5",
    "Heracles_Zhao2022NonUniform",
    PGD,
    "Unstructured (US), Structured (S) channels",
    "Global Pruning (G)",
    "Least Importance Score (LIS)",
)
MAGNITUDE = "Lowest Weight Magnitude LWM"
ENTRIES: dict[str, Entry] = {  # by the method's kind
    "heracles_hydra": HERACLES,
    "heracles_radmm": HERACLES,
    "hydra": _after_training(
        "https://arxiv.org/pdf/2002.10509.pdf",
        "HYDRA_Sehwag2020Hydra",
        TRADES,
        "Unstructured (US)",
        "Local Pruning (L)",
        "Least Importance Score (LIS)",
    ),
    "radmm": _after_training(
        "https://openaccess.thecvf.com/content_ICCV_2019/papers/Ye_Adversarial_Robustness_vs._"
        "Model_Compression_or_Both_ICCV_2019_paper.pdf",
        "RADMM_Ye2019Adversarial",
        PGD,
        "Unstructured (US), Structured (S) filters",
        "Local Pruning (L)",
        "Solver Based LWM (SOLWM)",
    ),
    "pwoa": _after_training(
        "https://arxiv.org/pdf/2210.04311.pdf",
        "PwoA_Jian2022Pruning",
        TRADES,
        "Unstructured (US)",
        "Local Pruning (L)",
        "Solver Based LWM (SOLWM)",
        DISTILLATION,
    ),
    "harp": _after_training(
        "https://openreview.net/pdf?id=sAJDi9lD06L",
        "HARP_Zhao2023Holistic",
        TRADES,
        "Unstructured (US), Structured (S) channels",
        "Global Pruning (G)",
        "Least Importance Score (LIS)",
    ),
    "mad": _after_training(
        "https://arxiv.org/pdf/2204.02738.pdf",
        "MAD_Lee2022Masking",
        PGD,
        "Unstructured (US)",
        "Global Pruning (G)",
        "Least Importance Score (LIS)",
    ),
    "lwm_iterative": _after_training(
        "https://arxiv.org/pdf/1906.06110.pdf",
        "Sehwag19_Sehwag2019Towards",
        PGD,
        "Unstructured (US), Structured (S) filters",
        "Global Pruning (G)",
        "Lowest Weight Magnitude LWM",
        steps="IT",
    ),
    "li20": _before_training(
        "https://arxiv.org/pdf/2003.05733.pdf",
        "Li20_Li2020Towards",
        "1S",
        "Global Pruning (G)",
        MAGNITUDE,
        pruning="FGSM https://arxiv.org/pdf/1412.6572.pdf",
    ),
    "imp": _before_training(
        "https://arxiv.org/pdf/1912.02386.pdf",
        "Cosentino19_Cosentino2019The",
        "IT",
        "Global Pruning (G)",
        MAGNITUDE,
    ),
    "rst": _before_training(
        "https://proceedings.neurips.cc/paper_files/paper/2021/file/"
        "6ce8d8f3b038f737cefcdafcf3752452-Paper.pdf",
        "RST_Fu2021Drawing",
        "1S",
        "Local Pruning (L)",
        "Least Importance Score (LIS)",
        training=NO_STEP,
    ),
    "robust_bird": _before_training(
        "https://arxiv.org/pdf/2202.09844.pdf",
        "RobustBird_Chen2021Sparsity",
        "IT",
        "Global Pruning (G)",
        MAGNITUDE,
    ),
    "twinrep": _during_training(
        "https://ojs.aaai.org/index.php/AAAI/article/view/26027",
        "TwinRep_Li2023Learning",
        "Unstructured (US), Structured (S) channels",
        "Global Pruning (G)",
        "Sparsity Based LWM (SPALWM)",
    ),
    "bcsp": _during_training(
        "https://proceedings.mlr.press/v139/ozdenizci21a/ozdenizci21a.pdf",
        "BCSP_Özdenizc2021Training",
        "Unstructured (US)",
        "Global Pruning (G), Local Pruning (L)",
        "Bayesian Connectivity Sampling (BCS)",
    ),
    "flying_bird": _during_training(
        "https://arxiv.org/pdf/2202.09844.pdf",
        "FlyingBird_Chen2021Sparsity",
        "Unstructured (US)",
        "Global Pruning (G)",
        MAGNITUDE,
    ),
}
WITHOUT_ENTRY = {
    "lwm": "one-shot magnitude pruning is not in the benchmark's taxonomy, whose nearest entry, "
    "Sehwag19_Sehwag2019Towards, prunes iteratively",
    "flying_bird_plus": "the benchmark's taxonomy has Flying Bird alone",
    **dict.fromkeys(
        ("snip", "random_mask", "filter_norm"),
        "it is a baseline of this library, not a method of the benchmark's taxonomy",
    ),
}
