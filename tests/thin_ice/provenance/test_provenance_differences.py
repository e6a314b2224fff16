"""Differences are named where a person would look: the key, or the line in the present file."""

import pytest

from thin_ice.provenance.differences import ABSENT, Change, changed_keys, changed_lines

OLD = {"threat": {"norm": "Linf", "eps": 0.2}, "seeds": [0, 1], "plan": {"milestones": [0.5, 0.75]}}


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (OLD, []),
        (OLD | {"threat": {"eps": 0.2, "norm": "Linf"}}, []),
        (OLD | {"threat": {"norm": "L2", "eps": 0.2}}, [("threat.norm", "Linf", "L2")]),
        (OLD | {"plan": {"milestones": [0.5, 0.8]}}, [("plan.milestones.1", 0.75, 0.8)]),
        (OLD | {"seeds": [0, 1, 2]}, [("seeds", ABSENT, 2)]),
        (OLD | {"seeds": [1]}, [("seeds", 0, ABSENT)]),
        (OLD | {"seeds": [0, 0, 1]}, [("seeds", [0, 1], [0, 0, 1])]),
        (OLD | {"seeds": [1, 0]}, [("seeds.0", 0, 1), ("seeds.1", 1, 0)]),
        (OLD | {"extra": None}, [("extra", ABSENT, None)]),
        ({k: v for k, v in OLD.items() if k != "seeds"}, [("seeds", [0, 1], ABSENT)]),
        (OLD | {"plan": "none"}, [("plan", {"milestones": [0.5, 0.75]}, "none")]),
        (OLD | {"threat": {"norm": "Linf", "eps": "0.2"}}, [("threat.eps", 0.2, "0.2")]),
        (OLD | {"seeds": [0, True]}, [("seeds.1", 1, True)]),
    ],
)
def test_the_leaves_that_differ_are_named_with_both_values(new, expected):
    assert changed_keys(OLD, new) == [Change(*change) for change in expected]


SOURCE = '''"""A module."""

import math  # a remark


def area(radius):
    """Of a circle."""
    return math.pi * radius**2


def name():
    return """circle
    # not a remark
    """
'''


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("radius**2", "radius**3", [("8", "    return math.pi * radius**2", None)]),
        ("import math  # a remark", "import math  # another\n\n", []),
        ('"""Of a circle."""', '"""Of a disc.\n\n    Long.\n    """', []),
        ('"""A module."""\n', "", []),
        ("# not a remark", "# a text", [("13", "    # not a remark", "    # a text")]),
        ("    return math", "    radius = abs(radius)\n    return math", [("8", ABSENT, None)]),
        (
            "def name():\n    return",
            "def name():\n    if True:\n        return",
            [("12", '    return """circle', "    if True:"), ("13", ABSENT, None)],
        ),
    ],
)
def test_the_lines_of_code_that_differ_are_named_and_no_prose(old, new, expected):
    assert old in SOURCE
    found = changed_lines("thin_ice/a.py", SOURCE, SOURCE.replace(old, new))
    for change, (number, was, now) in zip(found, expected, strict=True):
        assert change.what == f"thin_ice/a.py:{number}"
        assert was is None or change.old == was
        assert now is None or change.new == now


def test_a_removed_line_is_named_by_its_old_number():
    (change,) = changed_lines("a.py", "x = 1\ny = 2\nz = 3\n", "x = 1\nz = 3\n")
    assert change == Change("a.py:2", "y = 2", ABSENT)


def test_of_a_file_that_is_no_python_every_line_counts():
    (change,) = changed_lines("report.html.j2", "<p>\n{# a #}\n", "<p>\n{# b #}\n")
    assert change == Change("report.html.j2:2", "{# a #}", "{# b #}")


def test_two_versions_of_one_python_file_never_differ_by_their_own_comments():
    assert changed_lines("a.py", SOURCE, SOURCE) == []
