"""Switches: which mechanisms each protocol can hide, and that a switch changes nothing else."""

from dataclasses import asdict

import pytest

from thin_ice.attacks.protocol import Protocol
from thin_ice.attacks.protocols import PROTOCOLS
from thin_ice.attacks.switches import returns_last, switched

EPS = 8 / 255
ALWAYS = {"steps", "train_mode"}  # most have fewer than 100 steps, all attack in evaluation mode
LONG = {"li20_pgd100"}
JUMPS = ("harp_fgsm", "rst_pgd7")  # whose steps are as long as the radius, or longer
MISSING = {  # by protocol, the mechanisms with a switch beside those
    "hydra_pgd10": {"eps", "restarts", "loss"},
    "hydra_pgd50": {"eps", "restarts", "loss"},
    "radmm_pgd10": {"restarts", "loss"},
    "pwoa_pgd10": {"restarts", "loss"},
    "bcsp_pgd50": {"loss"},
    "harp_fgsm": {"eps", "restarts", "loss"},
    "harp_pgd10": {"eps", "restarts", "loss"},
    "harp_cw20": {"eps", "restarts"},
    "harp_apgd50": {"eps", "restarts", "loss"},
    "mad_pgd30": {"eps", "restarts", "loss"},
    "flyingbird_pgd20": {"restarts", "loss"},
    "twinrep_pgd20": {"eps", "restarts", "loss"},
    "li20_pgd100": {"restarts", "loss"},
    "lottery_pgd10": {"restarts", "loss"},
    "rst_pgd7": {"restarts", "loss"},
    "sehwag19": {"eps", "restarts", "loss"},
}
CHANGES = {  # what a switch may change
    "eps": {"eps", "step_size"},
    "steps": {"steps"},
    "restarts": {"restarts"},
    "loss": {"loss"},
    "train_mode": {"mode"},
}


@pytest.mark.parametrize("eps", [EPS, 0.2])
def test_every_protocol_has_exactly_the_switches_that_it_is_not_sound_in(eps):
    found = {name: set(switched(p.scaled(eps), eps)) for name, p in PROTOCOLS.items()}
    expected = {name: ALWAYS | more for name, more in MISSING.items()}
    assert found == expected | {name: expected[name] - {"steps"} for name in LONG}


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_switch_changes_its_own_mechanism_alone(name):
    claimed = PROTOCOLS[name].scaled(0.2)
    for switch, protocol in switched(claimed, 0.2).items():
        before, after = asdict(claimed), asdict(protocol)
        allowed = CHANGES[switch]
        if name in JUMPS and switch == "steps":
            allowed = allowed | {"step_size"}
        if name == "harp_fgsm" and switch == "restarts":  # whose start is no draw
            allowed = allowed | {"start"}
        assert {key for key in before if before[key] != after[key]} == allowed


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_switch_goes_to_the_sound_choice(name):
    claimed = PROTOCOLS[name].scaled(0.2)
    found = switched(claimed, 0.2)
    assert ("steps" in found) == (name not in LONG)
    if "steps" in found:
        assert found["steps"].steps == 100
    if "steps" in found and claimed.attack == "pgd":
        assert found["steps"].step_size < 0.26 * claimed.eps
    if "restarts" in found:
        assert (found["restarts"].restarts, found["restarts"].start) == (10, "uniform")
    if "eps" in found:
        assert found["eps"].eps == 0.2
        ratio = claimed.step_size / claimed.eps
        assert found["eps"].step_size / 0.2 == pytest.approx(ratio)
    if "loss" in found:
        assert found["loss"].loss == ("dlr" if claimed.attack == "apgd" else "cw")


def test_a_network_attacked_in_training_mode_is_switched_to_evaluation_and_not_back():
    odd = Protocol("a test", EPS, EPS / 4, 100, restarts=10, mode="train", loss="cw")
    assert switched(odd, EPS).keys() == {"mode"}
    assert switched(odd, EPS)["mode"].mode == "eval"


@pytest.mark.parametrize("share", [0.995, 1.005])
def test_an_eps_that_is_off_by_little_is_still_another(share):
    near = Protocol("a test", share * EPS, EPS / 4, 10)
    assert switched(near, EPS)["eps"].eps == EPS


def test_only_pgd_of_several_steps_can_lose_an_adversarial_iterate():
    blind = {name for name, protocol in PROTOCOLS.items() if returns_last(protocol)}
    assert set(PROTOCOLS) - blind == {"harp_fgsm", "harp_apgd50"}
