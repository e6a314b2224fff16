"""Methods of the adversarial-pruning benchmark's taxonomy that are not here, and why.

Knows no torch. Names and pipelines as Piras et al. 2024 (arXiv 2409.01249) have them.
"""

from dataclasses import dataclass

UNKNOWN = "neither its paper nor its code was at hand"
ABSTRACT = "only its abstract was at hand, which does not have its equations"


@dataclass(frozen=True)
class LeftOut:
    """``pipeline``: when it prunes, as of the methods that are here."""

    name: str
    pipeline: str
    paper: str
    why: str


LEFT_OUT = (
    LeftOut(
        "DNR",
        "during",
        "Kundu et al., ASP-DAC 2021",
        f"{ABSTRACT}; its public code has trained networks and their evaluation, not the training",
    ),
    LeftOut("InTrain", "during", "Vemparala et al. 2021", ABSTRACT),
    LeftOut("AWT", "before", "Shi et al., AISTATS 2022", UNKNOWN),
    LeftOut("FRE", "after", "Zhuang et al., ICASSP 2023", f"{ABSTRACT}, and no code was found"),
    LeftOut("RSR", "after", "Rakin et al. 2019", UNKNOWN),
    LeftOut("BNAP", "after", "Wei et al. 2021", UNKNOWN),
    LeftOut("RFP", "after", "Lim et al. 2021", UNKNOWN),
    LeftOut("Deadwooding", "after", "Kaur et al. 2022", UNKNOWN),
    LeftOut("Luo23", "after", "Luo et al. 2023", UNKNOWN),
    LeftOut("SR-GKP", "after", "Zhong et al. 2023", UNKNOWN),
    LeftOut("FSRP", "after", "Qian et al. 2023", UNKNOWN),
)
