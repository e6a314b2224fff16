"""What the tests of the margins room share."""

import pytest
import torch

from thin_ice.attacks.threat import ThreatModel
from thin_ice.checkpoint import Checkpoint
from thin_ice.data.digits import Digits
from thin_ice.data.partition import partition
from thin_ice.data.split import Split
from thin_ice.models.network import Architecture
from thin_ice.objectives.pgd_at import PgdAt
from thin_ice.training.fit import fit
from thin_ice.training.hooks import Hooks
from thin_ice.training.plan import Plan
from thin_ice.training.setting import Setting


@pytest.fixture(scope="session")
def digits():
    """Real digits: train and test as splits."""
    parts = partition(Digits().read(), validation=0.1, seed=0)
    arrays = {"train": parts.train, "test": parts.test}
    return {
        name: Split(*(torch.from_numpy(a) for a in (part.images, part.labels, part.ids)))
        for name, part in arrays.items()
    }


@pytest.fixture(scope="session")
def trained(digits, tmp_path_factory):
    """A small network trained for a few epochs against one step of PGD, in evaluation mode."""
    model = Architecture("digits_cnn", {"width": 4}, (1, 8, 8), 10, normalize=False).build(seed=0)
    setting = Setting(
        train=digits["train"],
        validation=digits["test"].head(10),
        objective=PgdAt(steps=1, rel_step=1.0),
        threat=ThreatModel("Linf", 0.1),
        plan=Plan(epochs=6, batch_size=64, select="last", validate_every=6),
        stream=(0, "margins"),
    )
    checkpoint = Checkpoint(tmp_path_factory.mktemp("trained") / "checkpoint", "margins")
    fit(model, setting, Hooks(), checkpoint)
    return model.eval()
