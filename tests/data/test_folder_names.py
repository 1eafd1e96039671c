"""What names of folders say."""

import pytest

from normalgen.data.folder_names import Role, name_role

SAYS = {
    Role.NORMAL: "good GOOD Good_2 ok OKParts okay pass passed Normal NORMAL no NO defect-free DefectFree "
    "non_defective no_defects without_defect i.O. 0_good gut",
    Role.ANOMALOUS: "ng NG fail nok NOK ko yes Yes "
    "bad defect Defects defect_07 defective Ungood not_ok NotOK notok "
    "no_good NG-parts n.i.O. 1_defect anomaly anomalous abnormal logical_anomalies defective_painting bad_label",
    Role.MASKS: "mask Masks ground_truth GroundTruth gt GT good_masks mask_images anomaly_mask SegmentationClass",
    Role.MAYBE_MASKS: "label labels annotations",
    Role.UNSORTED: "unsorted Unlabeled unlabelled misc to_label to-be-sorted not_labelled todo unknown",
    Role.UNKNOWN: "1 001 2024-11-03 batch_3 line1 other clean positive test images true good_scratch "
    "no_screw scratch_free",
    Role.KIND: "scratch scratch_head pill_type manipulated_front combined color hole thread_side cut_lead "
    "fabric_border "
    "gray_stroke metal_contamination solder_mask_missing label_torn tumor CNV DRUSEN print crack",
}


@pytest.mark.parametrize(("name", "role"), [(name, role) for role, names in SAYS.items() for name in names.split()])
def test_a_folder_says_by_its_name_what_is_in_it(name: str, role: Role) -> None:
    assert name_role(name) is role


@pytest.mark.parametrize("name", ["not good", "n i O", "No  Good"])
def test_spaces_separate_words_too(name: str) -> None:
    assert name_role(name) is Role.ANOMALOUS
