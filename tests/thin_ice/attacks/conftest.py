"""What the tests of the attacks room share."""

import pytest
import splits

from thin_ice.attacks.threat import ThreatModel
from thin_ice.checkpoint import Checkpoint
from thin_ice.models.network import Architecture
from thin_ice.objectives.pgd_at import PgdAt
from thin_ice.training.fit import fit
from thin_ice.training.hooks import Hooks
from thin_ice.training.plan import Plan
from thin_ice.training.setting import Setting

TINY = Architecture("digits_cnn", {"width": 4}, (1, 8, 8), 10, normalize=False)


@pytest.fixture
def network():
    """A small untrained network in evaluation mode."""
    return TINY.build(seed=0).eval()


@pytest.fixture(scope="session")
def digits():
    """Real digits: train, validation and test as splits."""
    return splits.digits(validation=0.1)


@pytest.fixture(scope="session")
def trained(digits, tmp_path_factory):
    """A small network trained for a few epochs against a two-step adversary, frozen."""
    model = TINY.build(seed=0)
    setting = Setting(
        train=digits["train"],
        validation=digits["validation"].head(10),
        objective=PgdAt(steps=2, rel_step=0.6),
        threat=ThreatModel("Linf", 0.1),
        plan=Plan(epochs=6, batch_size=64, select="last", validate_every=6),
        stream=(0, "attacked"),
    )
    folder = tmp_path_factory.mktemp("trained")
    fit(model, setting, Hooks(), Checkpoint(folder / "checkpoint", "attacked"))
    return model.eval().requires_grad_(False)
