"""Labels as people write them, as numbers from 0."""

import numpy as np
import pytest

from training.data.labels import class_names, numbered, one_per_sample

NUMBERS = [2, 0, 1, 0]


@pytest.mark.parametrize(
    "labels",
    [
        np.array(NUMBERS),
        np.array(NUMBERS, np.uint8)[:, None],
        np.array(NUMBERS, float),
        np.array(NUMBERS, np.float16)[:, None],
        np.eye(3, dtype=int)[NUMBERS],
        np.eye(3, dtype=bool)[NUMBERS],
        np.eye(3)[NUMBERS],
    ],
)
def test_the_same_labels_are_read_however_they_are_written(labels):
    found = one_per_sample(labels, "a")
    assert (found.dtype, found.tolist()) == (np.int64, NUMBERS)


@pytest.mark.parametrize("labels", [np.array([b"cat", b"a"]), np.array(["cat", "a"]), np.array(["cat", "a"], object)])
def test_names_are_texts(labels):
    assert one_per_sample(labels, "a").tolist() == ["cat", "a"]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([0.5, 1]), "a: labels should be whole numbers. Found 0.5. Probabilities of classes are no labels"),
        (np.array([np.nan, 1]), "whole numbers. Found nan"),
        (np.array([np.inf, 1]), "whole numbers. Found inf"),
        (
            np.array([[1, 1], [0, 1]]),
            r"labels should be one per image, .* shape \(2, 2\) .* several classes at",
        ),
        (np.array([[0.3, 0.7]]), "labels should be one per image"),
        (np.array([[0, 0], [0, 1]]), "labels should be one per image"),
        (np.zeros((2, 2, 2)), r"labels should be one per image. Found shape \(2, 2, 2\)"),
        (np.array([1j, 2j]), "labels should be integers or names. Found complex128"),
    ],
)
def test_what_is_no_label_is_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        one_per_sample(labels, "a")


def test_classes_are_numbered_or_the_names_sorted():
    assert class_names(np.array([0, 2]), None, "a") == (("0", "1", "2"), ())
    assert class_names(np.array([0, 0]), None, "a") == (("0", "1"), ())
    names, (said,) = class_names(np.array(["dog", "cat"]), None, "a")
    assert names == ("cat", "dog")
    assert said.startswith("a: classes are the 2 names found, sorted: cat, dog.")


@pytest.mark.parametrize(("labels", "found"), [([1, 2, 3], "1, 2, 3"), ([-1, 1, 1], "-1, 1")])
def test_labels_that_do_not_start_at_zero_are_refused_with_the_remedy(labels, found):
    with pytest.raises(ValueError, match=rf"number the classes from 0, .*such as `classes: \[{found}\]`"):
        class_names(np.array(labels), None, "a")


@pytest.mark.parametrize(("labels", "classes"), [([1, 3, 2], [1, 2, 3]), ([-1, 1], ["-1", "1"]), ([5, 3], [5, 3])])
def test_the_remedy_works(labels, classes):
    names, _ = class_names(np.array(labels), classes, "a")
    assert names == tuple(map(str, classes))
    expected = [[*map(str, classes)].index(str(label)) for label in labels]
    assert numbered(np.array(labels), names, "a").tolist() == expected


def test_names_are_looked_up_in_the_order_of_the_classes():
    assert numbered(np.array(["b", "a", "b"]), ("b", "a"), "a").tolist() == [0, 1, 0]


def test_numbers_beside_names_are_places():
    assert numbered(np.array([1, 0]), ("b", "a"), "a").tolist() == [1, 0]


@pytest.mark.parametrize(
    ("labels", "classes", "message"),
    [
        (["c", "a"], ("a", "b"), "among the classes a, b. Found c. Name all of them in `classes`"),
        (
            [0, 1],
            ("3", "5"),
            "among the classes 3, 5. Found values from 0 to 1. Where labels are the places of",
        ),
        ([0, 2], ("0", "1"), r"lie in \[0, 2\). Found values from 0 to 2. Number the classes from 0"),
    ],
)
def test_labels_of_no_class_are_refused(labels, classes, message):
    with pytest.raises(ValueError, match=message):
        numbered(np.array(labels), classes, "a")


@pytest.mark.parametrize("classes", [["a"], ["a", "a"]])
def test_classes_that_cannot_be_told_apart_are_refused(classes):
    with pytest.raises(ValueError, match=r"`classes` should be two or more different names. Found a"):
        class_names(np.array([0, 1]), classes, "a")
