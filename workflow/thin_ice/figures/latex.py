"""Result tables as LaTeX, ruled by booktabs."""

from collections.abc import Sequence

import pandas as pd

ROWS_A_PAGE = 45  # a longer table is broken over pages
PREAMBLE = "% \\usepackage{booktabs} in the preamble\n"
LONG = "% \\usepackage{booktabs} and \\usepackage{longtable} in the preamble\n"
SYMBOLS = {
    **{"±": r"$\pm$", "∞": r"$\infty$", "−": "$-$", "–": "--", "×": r"$\times$", "→": r"$\to$"},
    **{"ε": r"$\varepsilon$", "α": r"$\alpha$", "≥": r"$\ge$", "<": "$<$", ">": "$>$"},
    **{"⁽": "$^{(}$", "⁾": "$^{)}$"},
    **{mark: f"$^{{{n}}}$" for n, mark in enumerate("¹²³⁴⁵⁶", 1)},
}


def latex(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A ``tabular``, or a ``longtable`` where there are many rows; text is escaped, and the signs
    that tables use are written in mathematics, so that any engine sets them.
    """
    long = len(rows) > ROWS_A_PAGE
    style = pd.DataFrame(list(rows), columns=list(header)).style.hide(axis="index")
    text = (
        style.format(escape="latex")
        .format_index(escape="latex", axis="columns")
        .to_latex(
            hrules=True,
            column_format="l" * len(header),
            environment="longtable" if long else None,
        )
    )
    return (LONG if long else PREAMBLE) + text.translate(str.maketrans(SYMBOLS))
