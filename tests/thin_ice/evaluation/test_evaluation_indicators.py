"""The indicators of a network on samples of its test split."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from thin_ice.attacks.protocols import PROTOCOLS
from thin_ice.attacks.threat import ThreatModel
from thin_ice.data.split import Split
from thin_ice.evaluation.flags import APGD, INDICATORS
from thin_ice.evaluation.indicators import Probe, drawn, indicator_table

THREAT = ThreatModel("Linf", 0.1)
CHOSEN = {"radmm_pgd10": PROTOCOLS["radmm_pgd10"]}


@pytest.fixture
def split():
    """Noise, labelled by whether the left half is the lighter; every fifth label is wrong."""
    images = torch.randint(256, (60, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    lighter = (images[..., :4].sum((1, 2, 3)) > images[..., 4:].sum((1, 2, 3))).long()
    lighter[::5] = 1 - lighter[::5]
    return Split(images.to(torch.uint8), lighter, torch.arange(60) * 3)


class Halves(nn.Module):
    """Compares the two halves of an image."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.3))

    def forward(self, images):
        excess = self.scale * (images[..., :4].sum((1, 2, 3)) - images[..., 4:].sum((1, 2, 3)))
        return torch.stack([-excess, excess], 1)


def table(split, **changes):
    probe = Probe(**{"samples": 40, "points": 3, "seed": 0} | changes)
    found, seconds = indicator_table(Halves(), split, THREAT, CHOSEN, probe)
    assert list(seconds) == list(dict.fromkeys(found.attack))
    return found


def test_a_row_for_every_attack_and_drawn_sample_that_the_network_has_right(split):
    found = table(split)
    expected = [i for i in drawn(split, Probe(40, 3, 0)).ids.tolist() if (i // 3) % 5]
    for name in (*CHOSEN, APGD):
        assert found[found.attack == name].sample_id.tolist() == expected
    assert len(found) == 2 * len(expected)
    assert set(found[list(INDICATORS)].dtypes) == {np.dtype(bool)}
    assert not found[list(INDICATORS)].isna().any().any()


def test_the_same_seed_gives_the_same_table_and_another_draws_others(split):
    pd.testing.assert_frame_equal(table(split), table(split))
    assert set(table(split).sample_id) != set(table(split, seed=1).sample_id)


def test_more_samples_than_there_are_mean_all_and_fewer_are_among_more(split):
    everything, some = (drawn(split, Probe(count, 1, 0)) for count in (1000, 20))
    assert everything.ids.tolist() == split.ids.tolist()
    assert len(some) == 20
    assert some.ids.tolist() == sorted(some.ids.tolist())
    assert set(some.ids.tolist()) < set(drawn(split, Probe(30, 1, 0)).ids.tolist())
    picked = torch.isin(split.ids, some.ids)
    assert torch.equal(some.images, split.images[picked])
    assert torch.equal(some.labels, split.labels[picked])


def test_a_network_that_has_nothing_right_has_a_table_without_rows(split):
    with torch.no_grad():
        wrong = 1 - Halves()(split.floats()).argmax(1)
    nothing = table(Split(split.images, wrong, split.ids))
    assert nothing.empty
    values = [*INDICATORS, "relative_change", "late_gain"]
    assert nothing.dtypes[values].equals(table(split).dtypes[values])


@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_a_linear_network_under_apgd_raises_nothing_in_either_norm(split, norm):
    threat = ThreatModel(norm, 0.1)
    found, _ = indicator_table(Halves(), split, threat, {}, Probe(60, 3, 0))
    assert not found[list(INDICATORS)].drop(columns="unstable_predictions").any().any()
