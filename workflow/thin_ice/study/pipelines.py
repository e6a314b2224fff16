"""When a method prunes, and which stages make its networks (the taxonomy of Piras et al. 2024).

after    dense -> prune -> finetune     of a network that was trained
before   mask -> train_masked           a mask is found for a network as initialised, then trained
during   train_sparse                   the network is sparse, or becomes so, while it is trained

The last stage leaves the network that is evaluated. Each has its own file in `workflow/rules/`.
"""

STAGES = {
    "after": ("prune", "finetune"),
    "before": ("mask", "train_masked"),
    "during": ("train_sparse",),
}
ALL = tuple(stage for stages in STAGES.values() for stage in stages)
PRUNES = ("prune", "mask", "train_sparse")  # in which the method itself acts
# Those that begin with a network as initialised, as dense training does.
FROM_SCRATCH = ("mask", "train_masked", "train_sparse")
# What such a stage has of the study's plan of dense training unless told otherwise: the budget and
# the data, not how the rate falls, which is the method's. How long a mask is looked for is, too.
SHARED = ("batch_size", "extra", "precision", "augment", "padding", "validate_every")
SHARED_BUDGET = ("epochs", *SHARED)


def acting_stage(pipeline: str) -> str:
    """The stage of a pipeline in which the method itself acts."""
    (stage,) = set(STAGES[pipeline]) & set(PRUNES)
    return stage


def shared_with_dense(stage: str, words: dict) -> dict:
    """What a stage takes over of words on dense training."""
    if stage not in FROM_SCRATCH:
        return {}
    keys = SHARED if stage == "mask" else SHARED_BUDGET
    return {key: words[key] for key in keys if key in words}
