"""Flags of a labelled stream are counted by policy."""

from pipeline.evaluation.delivery.flag_counts import FlagCounts, count_flags


def test_a_flag_is_right_if_the_policy_has_its_images_category() -> None:
    flags = [("weapons", "a"), ("weapons", "b"), ("watches", "c")]
    categories = {"a": "revolver", "b": "ant", "c": "watch", "d": "revolver"}
    labels = {"weapons": frozenset({"revolver"}), "reptiles": frozenset({"iguana"})}
    weapons, watches, reptiles = count_flags(flags, ["weapons", "watches", "reptiles"], categories, labels)
    assert weapons == FlagCounts("weapons", flagged=2, right=1, positives=2)
    assert (weapons.precision, weapons.recall) == (0.5, 0.5)
    assert (watches.flagged, watches.precision, watches.recall) == (1, 0.0, None)
    assert (reptiles.precision, reptiles.recall) == (None, None)
