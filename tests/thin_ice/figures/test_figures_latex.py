"""LaTeX that an engine would take: ruled by booktabs, balanced, escaped, and in ASCII."""

import re

import pytest
from make_tables import dense_alone, make_finished

from thin_ice.figures.latex import ROWS_A_PAGE, latex
from thin_ice.figures.results import RESULTS

HEADER = ["a & b", "p (%)"]
SPECIAL = [["50 % of $x_1 ~ {#}", r"\input{x} ^ ± ∞"]]


def cells_of(text):
    """Rows of the table's body, as cells."""
    body = text[text.index("\\midrule") :].partition("\n")[2]
    return [
        re.split(r"(?<!\\)&", line.removesuffix("\\\\"))
        for line in body.splitlines()
        if line.endswith("\\\\") and not line.startswith("\\")
    ]


def assert_sound(text, columns):
    assert text.isascii()
    assert len(re.findall(r"\\begin\{", text)) == len(re.findall(r"\\end\{", text)) > 0
    plain = re.sub(r"\\[{}$%&#_\\]", "", text)
    assert plain.count("{") == plain.count("}")
    assert plain.count("$") % 2 == 0
    assert not re.search(r"(?<!\\)[#_]", text.partition("preamble\n")[2])
    assert all(f"\\{rule}rule" in text for rule in ("top", "mid", "bottom"))
    assert all(len(row) == columns for row in cells_of(text))


def test_special_characters_are_escaped_and_signs_become_mathematics():
    text = latex(HEADER, SPECIAL)
    assert_sound(text, 2)
    assert r"50 \% of \$x\_1" in text
    assert r"\textbackslash" in text
    assert r"$\pm$ $\infty$" in text
    assert r"a \& b" in text


@pytest.mark.parametrize("name", RESULTS)
def test_every_result_table_is_sound(name):
    header, rows = RESULTS[name].cells(make_finished(runs=2, samples=30))
    assert len(set(header)) == len(header)
    text = latex(header, rows)
    assert_sound(text, len(header))
    if len(rows) <= ROWS_A_PAGE:
        assert len(cells_of(text)) == len(rows)


@pytest.mark.parametrize("name", RESULTS)
def test_a_study_of_dense_networks_alone_has_its_tables_too(name):
    header, rows = RESULTS[name].cells(dense_alone())
    assert header
    assert_sound(latex(header, rows), len(header))


def test_a_long_table_breaks_over_pages():
    text = latex(HEADER, SPECIAL * (ROWS_A_PAGE + 1))
    assert "\\begin{longtable}" in text
    assert "longtable" in text.partition("\n")[0]
    assert "\\begin{longtable}" not in latex(HEADER, SPECIAL * ROWS_A_PAGE)
