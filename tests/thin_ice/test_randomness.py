"""A named random stream is the same everywhere and for ever, and no other stream's."""

import itertools

import torch

from thin_ice.randomness import generator, seed_from

torch.set_num_threads(1)


def test_seeds_never_change():
    """Every published number hangs on these."""
    assert seed_from(0, "initialisation") == 1952974914541233639
    assert seed_from(1, "finetune", "hydra-0.95", "attack", 17) == 7176173389694206067


def test_seeds_have_63_bits_and_use_them():
    seeds = [seed_from("stream", number) for number in range(2000)]
    assert all(0 <= seed < 2**63 for seed in seeds)
    used = 0
    for seed in seeds:
        used |= seed
    assert used == 2**63 - 1


def test_different_names_have_different_seeds():
    names = list(itertools.product(range(12), ("dense", "prune"), ("data", "attack"), range(112)))
    assert len({seed_from(*name) for name in names}) == len(names)


def test_where_a_name_ends_matters():
    assert len({seed_from("a", 1, 23), seed_from("a", 12, 3), seed_from("a", 123)}) == 3


def test_the_order_of_names_matters():
    assert seed_from("data", "attack") != seed_from("attack", "data")


def test_a_stream_begins_anew_each_time_and_ignores_torchs_own_state():
    torch.manual_seed(1)
    first = torch.rand(5, generator=generator("cpu", 0, "data", 3))
    torch.manual_seed(2)
    torch.rand(9)
    again = torch.rand(5, generator=generator(torch.device("cpu"), 0, "data", 3))
    other = torch.rand(5, generator=generator("cpu", 0, "data", 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_making_a_stream_leaves_torchs_own_state_alone():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    generator("cpu", "anything")
    assert torch.equal(torch.get_rng_state(), before)
