"""Every refusal names the argument, the position and the value."""

from __future__ import annotations

import numpy as np
import pytest

from igmu_data.errors import (
    DuplicateIdError,
    EmptyInputError,
    InputError,
    LabelError,
    LengthMismatchError,
    NonFiniteError,
    OutOfRangeError,
)
from igmu_metrics.statistics import validation as v

NAN = float("nan")


def test_lengths():
    assert v.same_length(a=[1, 2], b=None, c=np.zeros((2, 3))) == 2
    with pytest.raises(LengthMismatchError, match="a 2, b 1"):
        v.same_length(a=[1, 2], b=[1])
    with pytest.raises(EmptyInputError, match="a: there are no entries"):
        v.same_length(a=[])


def test_masked_entries_are_not_looked_at():
    hidden = np.ma.masked_array([NAN, 0.5], [True, False])
    found = v.numbers("p", hidden, low=0, high=1)
    assert found.tolist() == [None, 0.5]
    assert found.data.tolist() == [0.0, 0.5]
    assert v.numbers("p", [None, 0.5]).tolist() == [None, 0.5]


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ([0.1, NAN], NonFiniteError, r"p\[1\] is nan"),
        ([0.1, None, float("inf")], NonFiniteError, r"p\[2\] is inf"),
        ([0.1, 1.5], OutOfRangeError, r"p\[1\] is 1.5"),
        (["a", 0.1], InputError, "p, entry 0, is 'a'"),
        ([[0.1], [0.2]], InputError, r"p has shape \(2, 1\)"),
    ],
)
def test_numbers_refuse(values, error, message):
    with pytest.raises(error, match=message):
        v.numbers("p", values, low=0, high=1)


def test_vectors_name_row_and_column():
    with pytest.raises(NonFiniteError, match=r"x\[1, 0\] is nan"):
        v.numbers("x", np.array([[0.0, 1.0], [NAN, 1.0]]), ndim=2)


@pytest.mark.parametrize(
    "values", [[True, None, False], np.ma.masked_array([1, 0, 0], [0, 1, 0]), np.array([1.0, None, 0], dtype=object)]
)
def test_decisions_keep_what_was_not_decided(values):
    found = v.decisions("present", values)
    assert found.tolist() == [True, None, False]
    assert not found.data[1]


def test_the_threshold_itself_counts_as_present():
    assert v.decisions("p", [0.3, 0.5, 0.7], 0.5).tolist() == [False, True, True]
    assert v.decisions("p", [0.0, 1.0], 0.0).tolist() == [True, True]


def test_probabilities_need_a_threshold_in_range():
    with pytest.raises(InputError, match=r"p\[1\] is 0.7.*threshold="):
        v.decisions("p", [0.0, 0.7])
    with pytest.raises(OutOfRangeError, match=r"threshold is 1\.5"):
        v.decisions("p", [0.0], 1.5)
    with pytest.raises(OutOfRangeError, match="threshold is nan"):
        v.decisions("p", [0.0], NAN)


@pytest.mark.parametrize("bad", ["church", "object/", "/church", "a/b/c", "object/ church", "", None, 3])
def test_labels_refuse(bad):
    with pytest.raises(LabelError, match=r"labels\[1\]"):
        v.labels("labels", ["object/church", bad])
    with pytest.raises(LabelError, match="target is"):
        v.label("target", bad)


def test_an_optional_label_may_be_none():
    assert v.labels("labels", [None, "object/church"], optional=True).tolist() == ["", "object/church"]


def test_ids_and_seeds():
    assert v.texts("ids", ["a", 7, np.int64(8)]).tolist() == ["a", "7", "8"]
    assert v.whole_numbers("seeds", np.array([1, 2])).tolist() == [1, 2]
    for bad in ("", None, 1.5, True):
        with pytest.raises(InputError, match=r"ids\[0\]"):
            v.texts("ids", [bad])
    with pytest.raises(NonFiniteError, match=r"seeds\[0\]"):
        v.whole_numbers("seeds", [NAN])
    for bad in (1.5, "1", None, True):
        with pytest.raises(InputError, match=r"seeds\[0\]"):
            v.whole_numbers("seeds", [bad])


def test_duplicates_are_named_with_both_positions():
    v.unique_keys(id=["a", "a", "b"], seed=[0, 1, 0])
    with pytest.raises(DuplicateIdError, match=r"entries 0 and 2 .*id 'a', seed 0"):
        v.unique_keys(id=["a", "a", "a"], seed=[0, 1, 0])


def test_properties_of_a_prompt_may_not_change():
    ids = np.array(["a", "b", "a"])
    v.constant_within(ids, split=np.array(["x", "y", "x"]))
    with pytest.raises(InputError, match=r"split\[0\] is 'x' and split\[2\] is 'y'.*prompt 'a'"):
        v.constant_within(ids, split=np.array(["x", "y", "y"]))


def test_a_word_outside_the_vocabulary():
    with pytest.raises(InputError, match=r"split\[1\] is 'train'; it must be one of 'forget', 'retain'"):
        v.one_of("split", ["forget", "train"], ("forget", "retain"))
