"""The device that a stage computes on, and the settings that decide whether it does so repeatably.

Part of the code of every stage that runs networks: an edit here reruns them.
"""

from pathlib import Path

import torch

from thin_ice.errors import ThinIceError

DRIVER = Path("/proc/driver/nvidia/version")


def prepare(device: str, threads: int) -> tuple[str, dict]:
    """Settle the device, threads and determinism; give the device and what a record says of it.

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
    return device, {"device": device, "threads": threads, "determinism": _settings()} | _gpu(device)


def peak_memory(device: str) -> dict:
    """The most memory that tensors held on a GPU; nothing on a CPU."""
    if not device.startswith("cuda"):
        return {}
    return {"peak_gpu_memory_mib": round(torch.cuda.max_memory_allocated(device) / 2**20, 1)}


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
