"""Published attack protocols: how each method's authors measured their robust accuracy.

Read in the methods' released code. What the code or the paper at hand does not say is said in
``source``. A job gets the settings of its protocols as parameters, so a new line here changes no
other job.
"""

from thin_ice.attacks.protocol import Protocol

EPS = 8 / 255

PROTOCOLS = {
    "hydra_pgd10": Protocol(
        "HYDRA (Sehwag et al. 2020), evaluation in its released code", 0.031, 0.0078, 10
    ),
    "hydra_pgd50": Protocol("HYDRA (Sehwag et al. 2020), PGD-50 of its README", 0.031, 0.0078, 50),
    "radmm_pgd10": Protocol("R-ADMM (Ye et al. 2019), the attack it trains with", EPS, 2 / 255, 10),
    "pwoa_pgd10": Protocol(
        "PwoA (Jian et al. 2022), PGD-10 by which its released code chooses the epoch",
        EPS,
        2 / 255,
        10,
    ),
    "bcsp_pgd50": Protocol(
        "BCS-P (Özdenizci & Legenstein 2021), PGD-50 with 10 restarts",
        EPS,
        2.5 * EPS / 50,
        50,
        restarts=10,
    ),
    "harp_fgsm": Protocol(
        "HARP (Zhao & Wressnegger 2023), FGSM: one step of eps from the clean image, as the attack "
        "is defined",
        0.031,
        0.031,
        1,
        start="clean",
    ),
    "harp_pgd10": Protocol(
        "HARP (Zhao & Wressnegger 2023), PGD-10 with the step size that it trains with",
        0.031,
        0.0078,
        10,
    ),
    "harp_cw20": Protocol(
        "HARP (Zhao & Wressnegger 2023), C&W-20 read as PGD on the C&W margin; its step size is "
        "not stated in what we have, that of its PGD-10 stands in for it",
        0.031,
        0.0078,
        20,
        loss="cw",
    ),
    "harp_apgd50": Protocol(
        "HARP (Zhao & Wressnegger 2023), APGD on the cross-entropy, 50 steps, 5 restarts",
        0.031,
        2 * 0.031,  # with which APGD begins
        50,
        restarts=5,
        attack="apgd",
    ),
    "mad_pgd30": Protocol(
        "MAD (Lee et al. 2022), PGD-30 at eps 0.03 in its released code",
        0.03,
        2.3 * 0.03 / 30,
        30,
    ),
    "flyingbird_pgd20": Protocol(
        "Flying Bird and Robust Bird (Chen et al. 2022), PGD-20 of their test code",
        EPS,
        2 / 255,
        20,
    ),
    "twinrep_pgd20": Protocol(
        "TwinRep (Li et al. 2023): its protocol is not in what we have; PGD-20, by which others "
        "report of it (Jung & Song 2025), with the eps and step size that it trains with",
        0.031,
        0.0078,
        20,
    ),
    "li20_pgd100": Protocol(
        "Robust lottery tickets (Li et al. 2020), PGD-100 of their logs; its step size is not "
        "stated in what we have, that of their training stands in for it",
        EPS,
        2 / 255,
        100,
    ),
    "lottery_pgd10": Protocol(
        "Iterative lottery tickets (Cosentino et al. 2019, Wang et al. 2020): their protocols are "
        "not in what we have; the PGD-10 that most others train with stands in for them",
        EPS,
        2 / 255,
        10,
    ),
    "rst_pgd7": Protocol(
        "RST (Fu et al. 2021), PGD-7 with the default step size of its released code, which is "
        "larger than eps",
        EPS,
        10 / 255,
        7,
    ),
    "sehwag19": Protocol(
        "Sehwag et al. 2019: its own protocol is not public; PGD-10 of HYDRA, its authors' next "
        "code release, stands in for it",
        0.031,
        0.0078,
        10,
    ),
}
