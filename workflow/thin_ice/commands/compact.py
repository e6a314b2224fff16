"""Store a pruned network in as few bytes as its zeros and dead channels allow, check that it
computes the same, and count what the sparsity is worth.
"""

from pathlib import Path

from torch import Tensor, nn

from thin_ice.commands.job import Job
from thin_ice.commands.subject import load_subject
from thin_ice.device import prepare
from thin_ice.evaluation.latency import latencies_ms
from thin_ice.evaluation.size import network_size
from thin_ice.files import write_json
from thin_ice.models.stored import save_stored
from thin_ice.progress import Progress
from thin_ice.sparsity.compact import Compact, compact, logit_difference

PREPARE = prepare
INPUTS = ("dataset", "model")
CHECKED_IMAGES = 256
BATCHES = (1, 64)  # images at a time, of which latency is measured


def run(job: Job) -> list[Path]:
    loaded, test = load_subject(job)
    images = test.head(CHECKED_IMAGES).floats()
    made = compact(loaded.model, images[:2])
    difference = logit_difference(loaded.model, made.model, images)
    job.facts["largest_logit_difference"] = difference.float32
    job.facts["largest_logit_difference_float64"] = difference.float64
    job.facts["latency_ms"] = _latencies(loaded.model, made, images)
    outputs = [job.folder / "stored.safetensors", job.folder / "size.json"]
    save_stored(outputs[0], made.model, loaded.architecture, loaded.about)
    write_json(outputs[1], network_size(loaded.model, made, loaded.architecture, loaded.about))
    return outputs


def _latencies(model: nn.Module, made: Compact, images: Tensor) -> dict[str, dict[str, float]]:
    """By size of batch, of both networks; where nothing was removed they are the same one."""
    models = {"dense": model} | ({"compact": made.model} if made.removed else {})
    progress = Progress("batches", len(BATCHES))
    found = {
        f"{size}": latencies_ms(models, _batch(images, size)) for size in progress.each(BATCHES)
    }
    progress.close()
    return found


def _batch(images: Tensor, size: int) -> Tensor:
    """So many images, from the first again where there are fewer."""
    times = -(-size // len(images))
    return images.repeat(times, 1, 1, 1)[:size]
