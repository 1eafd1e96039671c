"""What a folder's name says about the pictures in it: normal, anomalous, masks, no label, or nothing."""

import re
from collections.abc import Iterable
from enum import StrEnum

__all__ = ["MASKS", "MAYBE_MASKS", "Role", "name_role", "telling_words"]


class Role(StrEnum):
    """What the pictures in a folder are taken for."""

    NORMAL = "normal"
    ANOMALOUS = "anomalous"
    MASKS = "masks"
    MAYBE_MASKS = "masks or photos"
    UNSORTED = "no label"
    UNKNOWN = "unknown"
    KIND = "kind"
    """A name of its own: a kind of defect next to a folder of normal pictures, else unknown."""


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


NORMAL = _set(
    "good goods ok okay pass passed normal normals nominal intact healthy flawless faultless undamaged unbroken accept "
    "accepted acceptable conform conforming conformant gut io"
)
ANOMALOUS = _set(
    "ng ko nok nio bad fail failed failing failure failures defect defects defective defectives defected defekt fault "
    "faults faulty flaw flaws flawed anomaly anomalies anomalous anomalie abnormal abnormals abnormality ungood reject "
    "rejects rejected scrap damaged nonconforming nonconformant unacceptable schlecht ausschuss"
)
MASKS = _set(
    "mask masks maske masken gt gts groundtruth groundtruths segmentation segmentations segmask segmasks labelmark "
    "labelmarks"
)
MAYBE_MASKS = _set("truth label labels annotation annotations annot annots segm segms seg segs")
"""May also name photos: labelled ones, or a defect of a label."""
PARTS = _set(
    "image images img imgs photo photos picture pictures pic pics part parts piece pieces sample samples item items "
    "product products object objects test tests testing train training val valid validation eval set sets data dataset "
    "class category type folder file files frame frames binary pixel pixelwise ground the of all only raw png jpg bmp "
    "a b c d"
)
"""Words that say neither."""
VAGUE = _set(
    "other others new old clean dirty fine neg negative negatives pos positive positives true false yes no not none "
    "reference references golden master cam camera cameras line lines batch batches lot lots run runs day days date "
    "shift machine station left right top bottom front back side view views week month year january february march "
    "april may june july august september october november december monday tuesday wednesday thursday friday saturday "
    "sunday heatmap heatmaps overlay overlays output outputs result results backup archive copy"
)
"""Words that may be either, or neither."""
UNSORTED = _set(
    "unsorted unlabeled unlabelled unknown unknowns unclassified unannotated uncategorized uncategorised unchecked "
    "unreviewed misc miscellaneous various mixed todo tbd inbox incoming query queries pending review unclear "
    "uncertain undecided unsure maybe rest tmp temp tosort tolabel tobesorted tobelabeled tobelabelled tocheck "
    "toreview notsorted notlabeled notlabelled notchecked nolabel nolabels withoutlabel withoutlabels"
)
NEGATIONS = _set("no not non without un free zero nicht kein keine ohne never")
ALONE = {"no": Role.NORMAL, "yes": Role.ANOMALOUS}
"""As BrainMRI calls its folders: is there a tumor?"""


def words_in(name: str) -> list[str]:
    """Return the words of a name in lower case: "NotOK_Parts 2" has "not", "ok", "parts", "2"."""
    pieces = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\dA-Z_]+|[A-Z]|\d+", name)
    return [piece.casefold() for piece in pieces]


def telling_words(name: str) -> list[str]:
    """Return the words of a name without numbers and words such as "images"."""
    return [word for word in words_in(name) if word not in PARTS and not word.isdigit()]


def name_role(name: str) -> Role:
    """Return what a folder's name says by itself, in any case and with any separators; `KIND` if it is a plain name."""
    words = [word for word in words_in(name) if not word.isdigit()]
    if len(words) == 1 and words[0] in ALONE:
        return ALONE[words[0]]
    joined, telling = "".join(words), telling_words(name)
    if joined in UNSORTED:
        return Role.UNSORTED
    if polarity := _polarity([joined]) or _polarity(_split_negation(joined)) or _polarity(telling):
        return polarity
    if joined in MASKS:
        return Role.MASKS
    if joined in MAYBE_MASKS or (telling and set(telling) <= MAYBE_MASKS):
        return Role.MAYBE_MASKS
    return _mixed(telling)


def _mixed(telling: list[str]) -> Role:
    """Return what several words say together."""
    rest = [word for word in telling if word not in MASKS]
    if len(rest) < len(telling) and (not rest or _polarity(rest) or set(rest) <= UNSORTED):
        return Role.MASKS
    if set(telling) & UNSORTED and set(telling) <= UNSORTED | NEGATIONS:
        return Role.UNSORTED
    if set(telling) <= VAGUE or set(telling) & (NORMAL | NEGATIONS):
        return Role.UNKNOWN
    return Role.ANOMALOUS if set(telling) & ANOMALOUS else Role.KIND


def _split_negation(word: str) -> list[str]:
    """Return "notok" as "not", "ok", and "defectfree" as "defect", "free"; other words as they are."""
    for negation in NEGATIONS:
        if word.startswith(negation) and word.removeprefix(negation) in NORMAL | ANOMALOUS:
            return [negation, word.removeprefix(negation)]
    return [word.removesuffix("free"), "free"] if word.endswith("free") else [word]


def _polarity(words: Iterable[str]) -> Role | None:
    """Return what words of one meaning say, each negation turning it over; None if any word is another."""
    said, negations = set[Role](), 0
    for word in words:
        if word in NEGATIONS:
            negations += 1
        elif word in NORMAL or word in ANOMALOUS:
            said.add(Role.NORMAL if word in NORMAL else Role.ANOMALOUS)
        else:
            return None
    if len(said) != 1:
        return None
    turned = {Role.NORMAL: Role.ANOMALOUS, Role.ANOMALOUS: Role.NORMAL}
    (role,) = said
    return turned[role] if negations % 2 else role
