"""Whether the AutoAttack shards of a network belong to it and together, and what they warn of.

Beside its table a shard has ``checks.json``: whose it is (digests of the network and the dataset,
its number), under which protocol it ran, what AutoAttack warned of, the digests of its files.
Needs no torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from thin_ice.attacks.flags import square_flag
from thin_ice.errors import ThinIceError
from thin_ice.evaluation.outcomes import BY_CLEAN, BY_NOBODY, OUTCOME

PROTOCOL = ("version", "seed", "batch_size", "shard_size")  # verdicts depend on all of it


class ForeignShard(ThinIceError):
    """A shard that does not belong to the network, the samples or the protocol, or is missing."""


@dataclass(frozen=True)
class Shard:
    """A shard as it is handed in.

    Attributes:
        name: of its table's file, for messages.
        sha256: of that file.
        table: one row a sample.
        checks: what ``checks.json`` says.
    """

    name: str
    sha256: str
    table: pd.DataFrame
    checks: dict[str, Any]


@dataclass(frozen=True)
class Subject:
    """What the shards have to be about: digests of the network's and the dataset's file, the
    threat model, and the ids of the test samples in order.
    """

    model_sha256: str
    dataset_sha256: str
    threat: dict[str, Any]
    ids: Sequence[int]


def require_shards(shards: Sequence[Shard], subject: Subject) -> None:
    """Raise ForeignShard for the first shard that is damaged, foreign, doubled or missing."""
    for shard in shards:
        _require_own(shard, subject)
        _require_same_protocol(shard, shards[0])
    numbers = [shard.checks["shard"] for shard in shards]
    size = shards[0].checks["protocol"]["shard_size"]
    wanted = range(-(-len(subject.ids) // size))
    for number in sorted({*numbers, *wanted}):
        names = [shard.name for shard in shards if shard.checks["shard"] == number]
        if len(names) != (number in wanted):
            raise ForeignShard(
                f"shard {number} of AutoAttack is given {len(names)} times ({', '.join(names)}); "
                f"allowed: each of 0 to {wanted[-1]} once, which cover the {len(subject.ids)} "
                "test samples"
                if names
                else f"shard {number} of AutoAttack is missing; the {len(subject.ids)} test "
                f"samples have shards 0 to {wanted[-1]}"
            )
    for shard in shards:
        _require_samples(shard, size, subject.ids)


def _require_own(shard: Shard, subject: Subject) -> None:
    checks = shard.checks
    if checks["files"].get("outcomes.parquet") != shard.sha256:
        raise ForeignShard(f"{shard.name} is not the table that the checks.json beside it is of")
    for key, what in (("model_sha256", "network"), ("dataset_sha256", "dataset")):
        own = getattr(subject, key)
        if checks[key] != own:
            raise ForeignShard(
                f"{shard.name} attacked another {what}, {checks[key][:12]}; allowed: {own[:12]}"
            )
    if checks["threat"] != subject.threat:
        raise ForeignShard(
            f"{shard.name} was attacked under {checks['threat']}; allowed: {subject.threat}"
        )


def _require_same_protocol(shard: Shard, first: Shard) -> None:
    for key in ("protocol", "settings"):
        ours, theirs = shard.checks[key], first.checks[key]
        for name in theirs:
            if ours.get(name) != theirs[name]:
                raise ForeignShard(
                    f"{shard.name} was attacked with {name} {ours.get(name)!r}; allowed: "
                    f"{theirs[name]!r}, as {first.name}"
                )


def _require_samples(shard: Shard, size: int, ids: Sequence[int]) -> None:
    number = shard.checks["shard"]
    expected = list(ids[number * size : (number + 1) * size])
    if shard.table.sample_id.tolist() != expected:
        raise ForeignShard(
            f"{shard.name} holds other samples than shard {number} of the test split: "
            f"{len(shard.table)} verdicts, {len(set(shard.table.sample_id) & set(expected))} of "
            f"its {len(expected)} samples among them"
        )


def warnings_of(shards: Sequence[Shard], samples: pd.DataFrame) -> list[dict[str, Any]]:
    """One entry a kind of warning: the attacks and the number of shards that raised it, and its
    messages. ``samples``: the joined table, by which Square is judged.
    """
    found: dict[str, dict[str, set]] = {}
    for shard in shards:
        for attack, flags in shard.checks["flags"].items():
            for one in flags:
                _add(found, one, attack, shard.checks["shard"])
    for one in square_flag(robust_after(samples)):
        _add(found, one, "square", None)
    return [
        {
            "kind": kind,
            "attacks": sorted(entry["attacks"]),
            "shards": len(entry["shards"]),
            "messages": sorted(entry["messages"]),
        }
        for kind, entry in sorted(found.items())
    ]


def _add(found: dict, flag: dict[str, str], attack: str, shard: int | None) -> None:
    entry = found.setdefault(flag["kind"], {"attacks": set(), "shards": set(), "messages": set()})
    entry["attacks"].add(attack)
    entry["messages"].add(flag["message"])
    entry["shards"].add(shard)


def robust_after(samples: pd.DataFrame) -> dict[str, float]:
    """Share of samples still robust after each attack, in the cascade's order, and before it."""
    left = samples.broken_by != BY_CLEAN
    shares = {"clean": float(left.mean())}
    for column in (name for name in samples if name.startswith(OUTCOME)):
        attack = column.removeprefix(OUTCOME).replace("_", "-")
        left &= samples.broken_by != attack
        shares[attack] = float(left.mean())
    return shares


def autoattack_numbers(shards: Sequence[Shard], samples: pd.DataFrame) -> dict[str, Any]:
    """What metrics.json says of the cascade beside its accuracy: protocol, warnings, how many
    broken samples have no confirmed example, and the smallest margins left.
    """
    robust = samples[samples.broken_by == BY_NOBODY]
    return {
        "autoattack_protocol": shards[0].checks["protocol"],
        "autoattack_warnings": warnings_of(shards, samples),
        "autoattack_unconfirmed": int((~samples.confirmed).sum()),
        "median_margin_left": _median(robust.margin_left),
    }


def _median(values: pd.Series) -> float | None:
    """Of the values that are numbers; None where there are none, since JSON has no NaN."""
    return None if values.notna().sum() == 0 else float(values.median())
