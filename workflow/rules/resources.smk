"""What each rule asks of a cluster: a GPU where it computes on networks, memory and minutes."""

ON_CPU = ("study", "dataset", "external", "analyse", "report")
TRAINING = ("dense", "prune", "finetune", "selection")


def resources_of(stage):
    """The resources of the rule that runs a stage."""
    return {
        "gpu": int(stage not in ON_CPU),
        "mem_mb": STUDY.resources["mem_mb"],
        "runtime": _minutes(stage),
    }


def _minutes(stage):
    if stage in ON_CPU:
        return 60
    if stage in TRAINING:
        return STUDY.resources["train_minutes"]
    # The whole test split, several times; a killed job goes on where it was.
    rounds = STUDY.resolved["breaking"]["rounds"] if stage == "breaking" else 0
    return STUDY.resources["attack_minutes"] * (1 + rounds)
