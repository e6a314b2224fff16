"""A run with planted answers: its networks and every per-sample table, without any training."""

import numpy as np
import pandas as pd

from thin_ice.margins.analysis import Network
from thin_ice.margins.views import Setting

EPS = 0.2
NORMS = ("L2", "Linf")
CLASSES = 10


def setting(resamples=50, seed=0, norms=NORMS):
    return Setting(norms, "Linf", EPS, resamples, seed)


def run(samples=200, seeds=(0, 1), variants=("lwm-0.9", "lwm-0.99", "hydra-0.9"), random=0):
    """Networks of one run: dense ones, dense ones trained on, pruned ones. The nearer a sample to
    the dense boundary and the sparser the network, the likelier it is lost.
    """
    rng = np.random.default_rng(random)
    ids = rng.permutation(10 * samples)[:samples]
    labels = rng.integers(CLASSES, size=samples)
    hardness = rng.normal(0.3, 0.25, samples)
    networks = []
    for seed in seeds:
        signed = hardness + rng.normal(0, 0.05, samples)
        networks.append(_network(rng, seed, "dense", ids, labels, signed))
        for variant in ("dense_again", *variants):
            noise = {"dense_again": 0.05, "lwm-0.99": 0.25}.get(variant, 0.12)
            moved = signed - noise / 2 + rng.normal(0, noise, samples)
            networks.append(_network(rng, seed, variant, ids, labels, moved))
    return sorted(networks, key=lambda one: one.variant != "dense")


def _network(rng, seed, variant, ids, labels, signed):
    method, _, sparsity = variant.partition("-")
    wrong = (labels + rng.integers(1, CLASSES, len(labels))) % CLASSES
    linf = np.where(rng.random(len(ids)) < 0.02, np.copysign(np.inf, signed), signed)
    samples = pd.DataFrame({"sample_id": ids, "label": labels, "correct": signed > 0})
    samples = samples.assign(prediction=np.where(signed > 0, labels, wrong), robust=signed > EPS)
    distances = samples[["sample_id"]].assign(
        signed_distance_linf=linf.astype(np.float32),
        signed_distance_l2=(linf * rng.uniform(2, 4, len(ids))).astype(np.float32),
    )
    own = _dense_tables if variant == "dense" else _other_tables
    tables = {
        name: table.sample(frac=1, random_state=seed)
        for name, table in own(rng, samples[["sample_id"]], signed).items()
    }
    return Network(
        "a-b-c", seed, variant, method, float(sparsity or 0), samples, distances, **tables
    )


def _dense_tables(rng, ids, signed):
    noise = rng.normal(0, 0.2, (4, len(ids)))
    rivals = ids.assign(
        logit_margin=5 * signed + noise[0],
        confidence_variance=0.25 * np.exp(-((signed + noise[1]) ** 2)),
        gradient_norm=np.exp(-signed + noise[2]),
        steps_to_flip=np.clip(10 * (signed + noise[3]) / EPS, 0, 10).astype(int),
        adversarial_loss=np.exp(-signed + noise[0]),
    )
    cells = np.floor(signed / (EPS / 4)).clip(0) * EPS / 4
    breaking = ids.assign(
        standing_eps=np.where(signed > 0, cells, np.nan),
        breaking_eps=np.where(
            signed > 4 * EPS, np.inf, cells + EPS / 4 * rng.choice([1, 2, 8], len(ids))
        ),
    )
    breaking.loc[signed <= 0, "breaking_eps"] = np.nan
    return {"rivals": rivals, "breaking": breaking, "certified": _certified(ids, signed)}


def _certified(ids, signed):
    """Half of the distance is proved, of every third sample nothing; smoothing does otherwise.
    Without draws of its own: the other tables stay what they were.
    """
    radius = np.where(np.arange(len(ids)) % 3, signed / 2, 0.0)
    smoothed = np.where(np.abs(signed) > 0.1, 2 * signed - 0.3, 0.0)
    return ids.assign(verified=radius >= EPS, certified_radius=radius, smoothed_radius=smoothed)


def _other_tables(rng, ids, signed):
    return {"sensitivity": ids.assign(predicted_change=rng.normal(0, 1, len(ids)))}
