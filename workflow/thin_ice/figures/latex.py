"""Result tables as LaTeX, ruled by booktabs."""

import textwrap
from collections.abc import Sequence

import pandas as pd

ROWS_A_PAGE = 45  # a longer table is broken over pages
PREAMBLE = "% {page}\\usepackage{{booktabs}}{more} in the preamble\n"
LONG, TURNED = " and \\usepackage{longtable}", "on a landscape page, with "
HEADING = 11  # characters a line of a column's heading, as long as no word is longer
LINE = r" \\ "
GAP = 6.0  # points between columns
LOOKS = (  # type, points a character, points across A4 with margins of 20 mm, whether it is turned
    ("\\footnotesize", 4.6, 483, False),
    ("\\scriptsize", 4.1, 483, False),
    ("\\scriptsize", 4.1, 731, True),
    ("\\tiny", 3.0, 731, True),
)
SYMBOLS = {
    **{"±": r"$\pm$", "∞": r"$\infty$", "−": "$-$", "–": "--", "×": r"$\times$", "→": r"$\to$"},
    **{
        "ε": r"$\varepsilon$",
        "α": r"$\alpha$",
        "≥": r"$\ge$",
        "≠": r"$\ne$",
        "<": "$<$",
        ">": "$>$",
    },
    **{"⁽": "$^{(}$", "⁾": "$^{)}$"},
    **{mark: f"$^{{{n}}}$" for n, mark in enumerate("¹²³⁴⁵⁶", 1)},
}


def latex(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A ``tabular``, or a ``longtable`` where there are many rows; text is escaped, and the signs
    that tables use are written in mathematics, so that any engine sets them. Headings are broken
    and the type is as small as it takes for the page; of a table that needs a landscape page the
    first line says so.
    """
    long = len(rows) > ROWS_A_PAGE
    size, turned = _look(header, rows)
    style = pd.DataFrame(list(rows), columns=list(header)).style.hide(axis="index")
    text = (
        style.format(escape="latex")
        .format_index(_stacked, escape="latex", axis="columns")
        .to_latex(
            hrules=True,
            column_format="l" * len(header),
            environment="longtable" if long else None,
        )
    )
    preamble = PREAMBLE.format(page=TURNED * turned, more=LONG * long)
    gap = f"\\setlength{{\\tabcolsep}}{{{GAP / 2:g}pt}}"
    whole = f"{preamble}\\begingroup{size}{gap}\n{text}\\endgroup\n"
    return whole.translate(str.maketrans(SYMBOLS))


def _stacked(heading: str) -> str:
    """Its words one above the other."""
    lines = textwrap.wrap(heading, HEADING, break_long_words=False, break_on_hyphens=False)
    if len(lines) < 2:
        return heading
    return rf"\begin{{tabular}}[b]{{@{{}}l@{{}}}}{LINE.join(lines)}\end{{tabular}}"


def _look(header: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[str, bool]:
    """The largest type that the table fits the page in, and whether the page is turned for it."""
    characters = sum(
        max(len(text) for text in (*name.split(), *column, ""))
        for name, *column in zip(header, *rows, strict=True)
    )
    fitting = [
        (size, turned)
        for size, width, room, turned in LOOKS
        if width * characters + GAP * len(header) <= room
    ]
    return fitting[0] if fitting else (LOOKS[-1][0], LOOKS[-1][-1])
