"""How many images each category of the published data sets has, as data: training, good test, anomalous test images."""

from typing import NamedTuple

__all__ = ["GOOD_TESTS", "OTHER_TESTS", "PUBLISHED", "Counts"]

GOOD_TESTS, OTHER_TESTS = 100, 900  # of one class against all others, at most


class Counts(NamedTuple):
    """How many images a category has."""

    train: int
    good: int
    anomalous: int

    def __str__(self) -> str:
        return " / ".join(map(str, self))


def _against_all(trained: dict[str, int]) -> dict[str, Counts]:
    return {name: Counts(count, GOOD_TESTS, OTHER_TESTS) for name, count in trained.items()}


_DIGITS = (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949)
_OBJECTS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

PUBLISHED: dict[str, dict[str, Counts]] = {
    "mvtec": {
        "bottle": Counts(209, 20, 63),
        "cable": Counts(224, 58, 92),
        "capsule": Counts(219, 23, 109),
        "carpet": Counts(280, 28, 89),
        "grid": Counts(264, 21, 57),
        "hazelnut": Counts(391, 40, 70),
        "leather": Counts(245, 32, 92),
        "metal_nut": Counts(220, 22, 93),
        "pill": Counts(267, 26, 141),
        "screw": Counts(320, 41, 119),
        "tile": Counts(230, 33, 84),
        "toothbrush": Counts(60, 12, 30),
        "transistor": Counts(213, 60, 40),
        "wood": Counts(247, 19, 60),
        "zipper": Counts(240, 32, 119),
    },
    "visa": {
        "candle": Counts(900, 100, 100),
        "capsules": Counts(542, 60, 100),
        "cashew": Counts(450, 50, 100),
        "chewinggum": Counts(453, 50, 100),
        "fryum": Counts(450, 50, 100),
        "macaroni1": Counts(900, 100, 100),
        "macaroni2": Counts(900, 100, 100),
        "pcb1": Counts(904, 100, 100),
        "pcb2": Counts(901, 100, 100),
        "pcb3": Counts(905, 101, 100),
        "pcb4": Counts(904, 101, 100),
        "pipe_fryum": Counts(450, 50, 100),
    },
    "ksdd": {"ksdd": Counts(857, 286, 54)},
    "aitex": {"aitex": Counts(1692, 564, 183)},
    "elpv": {"elpv": Counts(1131, 377, 715)},
    "elpv-mono": {"elpv-mono": Counts(441, 147, 313)},
    "elpv-poly": {"elpv-poly": Counts(690, 230, 402)},
    "brain-mri": {"brain-mri": Counts(73, 25, 155)},
    "head-ct": {"head-ct": Counts(75, 25, 100)},
    "oct2017": {"oct2017": Counts(26315, 242, 726)},
    "resc": {"resc": Counts(4297, 1041, 764)},
    "mnist": _against_all({str(digit): count for digit, count in enumerate(_DIGITS)}),
    "cifar10": _against_all(dict.fromkeys(_OBJECTS, 5000)),
    "folder": {},
}
