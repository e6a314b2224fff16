"""Tables that are joined on the sample id must speak of the same samples."""

import numpy as np
import pandas as pd

from thin_ice.errors import ThinIceError


class DifferentSamples(ThinIceError):
    """Two tables that must speak of the same samples do not."""


def require_same_samples(first: pd.DataFrame, second: pd.DataFrame, what: str) -> None:
    """Raise `DifferentSamples` unless both tables hold the same sample ids, in any order."""
    if not np.array_equal(np.sort(first.sample_id), np.sort(second.sample_id)):
        shared = len(set(first.sample_id) & set(second.sample_id))
        raise DifferentSamples(
            f"{what} are of {len(first)} and of {len(second)} samples with {shared} in common; "
            "they must be of the same test split"
        )
