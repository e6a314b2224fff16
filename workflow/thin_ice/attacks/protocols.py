"""Published attack protocols: how each method's authors measured their robust accuracy.

Read in the methods' released code. A job gets the settings of its protocols as parameters, so a
new line here changes no other job.
"""

from thin_ice.attacks.protocol import Protocol

PROTOCOLS = {
    "hydra_pgd10": Protocol(
        "HYDRA (Sehwag et al. 2020), evaluation in its released code", 0.031, 0.0078, 10
    ),
    "hydra_pgd50": Protocol("HYDRA (Sehwag et al. 2020), PGD-50 of its README", 0.031, 0.0078, 50),
    "radmm_pgd10": Protocol(
        "R-ADMM (Ye et al. 2019), the attack it trains with", 8 / 255, 2 / 255, 10
    ),
    "bcsp_pgd50": Protocol(
        "BCS-P (Özdenizci & Legenstein 2021), PGD-50 with 10 restarts",
        8 / 255,
        2.5 * 8 / 255 / 50,
        50,
        restarts=10,
    ),
}
