"""The entries of the adversarial-pruning benchmark's taxonomy for the methods of this library.

Source: Piras et al. 2024, "Adversarial Pruning: A Survey and Benchmark of Pruning Methods for
Adversarial Robustness" (arXiv 2409.01249), and the form of its repository
(pralab/AdversarialPruningBenchmark, taxonomy/taxonomy.json), whose keys and values are kept as
they are, blanks included. A new method gets its line here, or one in WITHOUT_ENTRY.
"""

AFTER = "A-Methods Pruning After Training"
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


ENTRIES: dict[str, Entry] = {  # by the method's kind
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
}
WITHOUT_ENTRY = {
    "lwm": "one-shot magnitude pruning is not in the benchmark's taxonomy, whose nearest entry, "
    "Sehwag19_Sehwag2019Towards, prunes iteratively",
    **dict.fromkeys(
        ("heracles_hydra", "heracles_radmm"),
        "its key in the benchmark's taxonomy is not known here",
    ),
    **dict.fromkeys(
        ("snip", "random_mask", "filter_norm"),
        "it is a baseline of this library, not a method of the benchmark's taxonomy",
    ),
}
