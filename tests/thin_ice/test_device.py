"""A stage computes where it was told to, repeatably, and its record says how."""

import pytest
import torch

from thin_ice.device import prepare
from thin_ice.errors import ThinIceError

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.fixture(autouse=True)
def _settings_as_before():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_the_record_says_how_repeatable_the_run_is():
    facts = prepare("cpu", 1).facts
    assert facts["device"] == "cpu"
    assert facts["threads"] == 1 == torch.get_num_threads()
    settings = facts["determinism"]
    assert settings["cudnn_deterministic"]
    assert not settings["cudnn_benchmark"]
    assert not settings["cudnn_allow_tf32"]  # verdicts are in float32
    assert settings["float32_matmul_precision"] == "highest"
    assert settings["cpu_capability"] == torch.backends.cpu.get_cpu_capability()


def test_auto_takes_a_gpu_where_there_is_one():
    assert prepare("auto", 1).name == ("cuda" if torch.cuda.is_available() else "cpu")


def test_on_a_cpu_no_gpu_memory_is_recorded():
    assert prepare("cpu", 1).peak_memory() == {}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused_in_one_sentence():
    with pytest.raises(ThinIceError, match="cuda:1: torch sees no GPU; allowed here: auto, cpu"):
        prepare("cuda:1", 1)


@needs_gpu
def test_a_gpu_is_named_with_its_driver_and_its_peak_memory():
    device = prepare("cuda", 1)
    held = torch.ones(2**20, device="cuda")
    assert device.facts["device_name"] == torch.cuda.get_device_name()
    assert device.facts["driver"]
    assert device.facts["cuda"] == torch.version.cuda
    assert device.peak_memory()["peak_gpu_memory_mib"] >= held.numel() * 4 / 2**20
