"""The device that a stage computes on, and the settings that decide whether it does so repeatably.

Part of the code of every stage that runs networks: an edit here reruns them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from thin_ice.errors import ThinIceError

DRIVER = Path("/proc/driver/nvidia/version")


@dataclass(frozen=True)
class Device:
    """Where a stage computes: torch's name for it, and what a record says of it."""

    name: str
    facts: dict[str, Any]

    def peak_memory(self) -> dict[str, float]:
        """For the record: the most that tensors held on a GPU so far; nothing for a CPU."""
        if not self.name.startswith("cuda"):
            return {}
        most = torch.cuda.max_memory_allocated(self.name)
        return {"peak_gpu_memory_mib": round(most / 2**20, 1)}


def prepare(device: str, threads: int) -> Device:
    """Settle the device, threads and determinism.

    Args:
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        threads: of torch on the CPU. The last bits of a result depend on them.

    Raises:
        ThinIceError: a GPU is asked for and torch sees none.
    """
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = False  # float32 means float32: verdicts depend on it
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ThinIceError(f"--device {device}: torch sees no GPU; allowed here: auto, cpu")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    facts = {"device": device, "threads": threads, "determinism": _settings()}
    return Device(device, facts | _gpu(device))


def _settings() -> dict:
    return {
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        "cudnn_deterministic": torch.backends.cudnn.deterministic,
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "cudnn_allow_tf32": torch.backends.cudnn.allow_tf32,
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
    }


def _gpu(device: str) -> dict:
    if not device.startswith("cuda"):
        return {}
    driver = DRIVER.read_text(encoding="utf-8").splitlines()[0] if DRIVER.is_file() else "unknown"
    return {
        "device_name": torch.cuda.get_device_name(device),
        "driver": driver,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
    }
