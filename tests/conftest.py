"""What all tests share."""

import copy
import logging
import signal
from collections.abc import Callable

import pytest
import torch
from miniature import MINIATURE, set_key

from thin_ice import interruption
from thin_ice.attacks.threat import ThreatModel
from thin_ice.data.split import Split
from thin_ice.models.network import Architecture
from thin_ice.objectives.natural import Natural
from thin_ice.training.plan import Plan
from thin_ice.training.setting import Setting

# They take minutes, some of them waiting: begun last, one would keep the others' processor idle.
LONGEST = (
    *("test_workflow_slurm.py", "test_workflow_reruns.py"),
    *("test_workflow_dag.py", "test_workflow_resume.py"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def listening():
    """The job's handlers of signals, for the time of a test."""
    before = {number: signal.getsignal(number) for number in interruption.SIGNALS}
    interruption.listen()
    yield
    interruption.listen()  # forgets what has come
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def images():
    """Twelve random images in [0, 1]."""
    return torch.rand(12, 1, 8, 8, generator=torch.Generator().manual_seed(3))


@pytest.fixture
def labels():
    return torch.arange(12) % 10


@pytest.fixture
def build():
    """Makes a small network, the same at every call."""
    return Architecture("digits_cnn", {"width": 4}, (1, 8, 8), 10, normalize=False).build


def random_split(n, seed):
    stream = torch.Generator().manual_seed(seed)
    return Split(
        torch.randint(0, 256, (n, 1, 8, 8), generator=stream, dtype=torch.uint8),
        torch.randint(0, 10, (n,), generator=stream),
        torch.arange(n),
    )


@pytest.fixture
def setting():
    """Makes the setting of a stage on random data: any field of `Setting`, and of `Plan`."""

    def make(objective=None, train=33, validation=20, stream=(0, "test"), **plan):
        return Setting(
            train=random_split(train, seed=1),
            validation=random_split(validation, seed=2),
            objective=objective or Natural(),
            threat=ThreatModel("Linf", 8 / 255),
            plan=Plan(**{"epochs": 3, "batch_size": 16} | plan),
            stream=stream,
        )

    return make


@pytest.fixture
def miniature() -> dict:
    """A study as a person writes it; a test may change it."""
    return copy.deepcopy(MINIATURE)


@pytest.fixture
def altered(miniature: dict) -> Callable[[str, object], dict]:
    """The miniature study with one value set (or removed, by ...), e.g. ``threat.eps``."""

    def alter(key: str, value: object) -> dict:
        set_key(miniature, key, value)
        return miniature

    return alter


@pytest.fixture
def messages(caplog, monkeypatch):
    """What the library logs, whatever other tests did to its logger."""
    logger = logging.getLogger("thin_ice")
    monkeypatch.setattr(logger, "propagate", False)
    logger.addHandler(caplog.handler)
    with caplog.at_level(logging.INFO, logger="thin_ice"):
        yield lambda: [record.getMessage() for record in caplog.records]
    logger.removeHandler(caplog.handler)
