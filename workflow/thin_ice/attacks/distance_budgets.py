"""The budgets of distance attacks: which members look for the nearest flip in each norm, and why.

Measured on the default study's dense digits network of seed 0 (400 test samples, one core); xi is
the local optimality of `thin_ice.evaluation.optimality` against the envelope of all that were
tried. No member wins everywhere, and each finds nearest flips that no other does. In Linf:
    member                          seconds    xi
    apgd, 20 x 8 steps, 3 targets       8     .97   the best single one; aims past the runner-up
    fmn, 200 steps of up to 100         3     .93   large steps are the sign's nearest kin
    fab, 50 steps, 3 targets            3     .91   best on samples that FMN and APGD miss
    apgd, 50 x 8 steps, no target      10     .91   dearer than three targets of 20 steps, worse
    fmn, 200 steps of up to 10 or 1     3     .85, .79   left to the thorough budget
In L2 fab (.94) and fmn with steps of up to 1 (.92) come before untargeted apgd (.90) and steps of
up to 10 (.89), which the cheap budget does without. In L1 fmn with steps of up to 1 (.92) and 10
(.90) and fab (.88); in L0, which only FMN knows, steps of up to 100 (.91), 10 (.87) and 1 (.74).
Attacks that begin at the sample need its gradient. On the default study's networks of 99 % sparsity
they fail on 2 to 79 % of the samples, at any radius, and the curve at eps stood up to 12 points
above AutoAttack's, whose Square attack needs none. With starts at flips found in noise and at other
images no sample fails, and over the 16 networks the curve at eps is at most 3.9 points above; of
the two starts alone, noise left one curve 7.5 points above, beyond AutoAttack's interval. So the
cheap budget in Linf has both, and does without FMN's largest steps, which add least beside APGD.
This module knows no torch, so that a study can be checked without it.
"""

from typing import Any

Attack = dict[str, Any]  # kind, and options where they depart from the kind's own

BUDGETS: dict[str, dict[str, list[Attack]]] = {
    "cheap": {
        "Linf": [
            {"kind": "fmn", "steps": 200, "max_stepsize": 10.0, "start": "noise"},
            {"kind": "fmn", "steps": 200, "max_stepsize": 10.0, "start": "boundary"},
            {"kind": "apgd", "steps": 20, "bisections": 8, "targets": 3},
            {"kind": "fab", "steps": 50, "targets": 3},
        ],
        "L2": [
            {"kind": "fmn", "steps": 200, "max_stepsize": 1.0},
            {"kind": "fmn", "steps": 200, "max_stepsize": 1.0, "start": "noise"},
            {"kind": "fab", "steps": 30, "targets": 3},
        ],
        "L1": [
            {"kind": "fmn", "steps": 200, "max_stepsize": 1.0},
            {"kind": "fmn", "steps": 200, "max_stepsize": 1.0, "start": "noise"},
            {"kind": "fab", "steps": 30, "targets": 3},
        ],
        "L0": [
            {"kind": "fmn", "steps": 200, "max_stepsize": 10.0},
            {"kind": "fmn", "steps": 200, "max_stepsize": 100.0},
            {"kind": "fmn", "steps": 200, "max_stepsize": 10.0, "start": "noise"},
        ],
    },
    "thorough": {
        "Linf": [
            {"kind": "fmn", "steps": 1000, "max_stepsize": 1.0},
            {"kind": "fmn", "steps": 1000, "max_stepsize": 10.0},
            {"kind": "fmn", "steps": 1000, "max_stepsize": 100.0},
            {"kind": "fmn", "steps": 1000, "max_stepsize": 10.0, "start": "noise"},
            {"kind": "fmn", "steps": 1000, "max_stepsize": 10.0, "start": "boundary"},
            {"kind": "apgd", "steps": 50, "bisections": 10, "targets": 9},
            {"kind": "fab", "steps": 100, "targets": 9},
        ],
        "L2": [
            {"kind": "fmn", "steps": 1000, "max_stepsize": 1.0},
            {"kind": "fmn", "steps": 1000, "max_stepsize": 10.0},
            {"kind": "fmn", "steps": 1000, "max_stepsize": 1.0, "start": "noise"},
            {"kind": "fmn", "steps": 1000, "max_stepsize": 1.0, "start": "boundary"},
            {"kind": "apgd", "steps": 50, "bisections": 10, "targets": 9},
            {"kind": "fab", "steps": 100, "targets": 9},
        ],
        "L1": [
            {"kind": "fmn", "steps": 1000, "max_stepsize": 1.0},
            {"kind": "fmn", "steps": 1000, "max_stepsize": 10.0},
            {"kind": "fmn", "steps": 1000, "max_stepsize": 1.0, "start": "noise"},
            {"kind": "fmn", "steps": 1000, "max_stepsize": 1.0, "start": "boundary"},
            {"kind": "fab", "steps": 100, "targets": 9},
        ],
        "L0": [
            {"kind": "fmn", "steps": 1000, "max_stepsize": 1.0},
            {"kind": "fmn", "steps": 1000, "max_stepsize": 10.0},
            {"kind": "fmn", "steps": 1000, "max_stepsize": 100.0},
            {"kind": "fmn", "steps": 1000, "max_stepsize": 10.0, "start": "noise"},
            {"kind": "fmn", "steps": 1000, "max_stepsize": 10.0, "start": "boundary"},
        ],
    },
}


def column(attack: Attack) -> str:
    """What a resolved attack is called in tables: ``fmn_linf_max_stepsize_10_steps_200``."""
    options = (
        f"{name}_{value if isinstance(value, str) else format(value, 'g')}"
        for name, value in sorted(attack["options"].items())
    )
    return "_".join([attack["kind"], attack["norm"].lower(), *options])
