"""Which of the fast paths a study takes. Knows no torch, so that a study can be read without it.

Each changes how a number is computed, not which: results agree within rounding (tests hold them
together), but not in the last bit, so the switches are parameters of the jobs that they touch.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Speed:
    """``fold``: networks are attacked with their batch norms folded into the convolutions before
    them; ``channels_last``: and with the channels of a pixel beside each other in memory;
    ``compile``: and through torch's compiler, on a GPU as recorded CUDA graphs.
    """

    fold: bool = True
    channels_last: bool = False
    compile: bool = False


PLAIN = Speed(fold=False)
