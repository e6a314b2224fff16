"""LaTeX that an engine would take: ruled by booktabs, balanced, escaped, and in ASCII."""

import re
import shutil
import subprocess

import pytest
from make_tables import dense_alone, make_finished

from thin_ice.figures.latex import HEADING, LOOKS, ROWS_A_PAGE, latex
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


def test_a_long_heading_is_broken_between_its_words():
    text = latex(["p (Mann-Whitney, adjusted)", "AUROC"], [["1", "2"]])
    assert r"p \\ (Mann-Whitney, \\ adjusted)\end{tabular} & AUROC \\" in text
    assert r"\begin{tabular}[b]{@{}l@{}}" in text
    assert r"\begin{tabular}[b]" not in latex(["x" * HEADING], [["1"]])


@pytest.mark.parametrize(
    ("characters", "size", "turned"),
    [
        (103, "footnotesize", False),
        (104, "scriptsize", False),
        (116, "scriptsize", False),
        (117, "scriptsize", True),
        (176, "scriptsize", True),
        (177, "tiny", True),
        (999, "tiny", True),
    ],
)
def test_a_wide_table_is_set_smaller_and_then_on_a_landscape_page(characters, size, turned):
    text = latex(["a"], [["x"], ["x" * characters]])
    assert f"\\begingroup\\{size}\\" in text
    assert ("landscape" in text.partition("\n")[0]) == turned
    assert size in {look[0].removeprefix("\\") for look in LOOKS}


def test_headings_count_by_their_longest_word_and_columns_by_their_gaps():
    assert "footnotesize" in latex(["y" * 40 + " z", "x" * 10], [["x", "x" * 60]])
    assert "scriptsize" in latex(["y" * 46 + " z", "x" * 10], [["x", "x" * 60]])
    assert "scriptsize" in latex([f"a{n}" for n in range(10)], [["x" * 10] * 10])


DOCUMENT = r"""\documentclass{article}
\usepackage[a4paper,margin=20mm]{geometry}\usepackage[T1]{fontenc}
\usepackage{booktabs,longtable,pdflscape}\begin{document}\noindent
%s\end{document}
"""


def sets_pages():
    """Whether the engine and the packages that the tables name are here."""
    if not (shutil.which("pdflatex") and shutil.which("kpsewhich")):
        return False
    files = [f"{name}.sty" for name in ("booktabs", "longtable", "pdflscape", "geometry")]
    return subprocess.run(["kpsewhich", *files], capture_output=True).returncode == 0


@pytest.mark.skipif(not sets_pages(), reason="needs pdflatex, booktabs, longtable and pdflscape")
def test_an_engine_sets_every_table_within_its_page(tmp_path):
    pages, finished = [], make_finished(samples=30)
    for result in RESULTS.values():
        text = latex(*result.cells(finished))
        turned = "landscape" in text.partition("\n")[0]
        pages.append(f"\\begin{{landscape}}{text}\\end{{landscape}}" if turned else text)
    assert any("longtable}" in page.partition("preamble")[2] for page in pages)
    (tmp_path / "tables.tex").write_text(DOCUMENT % "\\clearpage\\noindent\n".join(pages))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "tables.tex"]
    for _ in range(2):  # longtable measures its columns on the first run
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert not done.returncode, done.stdout[-2000:]
    assert "Overfull \\hbox" not in done.stdout
