"""All that is told of a run beside its thin-ice table: one module a table."""

from functools import partial

import pandas as pd

from thin_ice.margins.analysis import Network, pairs_of
from thin_ice.margins.classes import classes_table
from thin_ice.margins.joint import joint_table
from thin_ice.margins.movement import movement_table
from thin_ice.margins.overlap import overlap_table
from thin_ice.margins.pies import pies_table
from thin_ice.margins.predictors import predictors_table
from thin_ice.margins.thickness import thickness_table
from thin_ice.margins.views import Setting, views_of
from thin_ice.progress import Progress


def run_tables(networks: list[Network], setting: Setting) -> dict[str, pd.DataFrame]:
    """By name, every table of a run; one without rows has its columns all the same."""
    views = [view for pair in pairs_of(networks) for view in views_of(pair, setting)]
    makers = {
        "predictors": partial(predictors_table, views),
        "thickness": partial(thickness_table, views),
        "joint": partial(joint_table, views),
        "classes": partial(classes_table, views),
        "pies": partial(pies_table, networks, setting),
        "overlap": partial(overlap_table, views),
        "movement": partial(movement_table, views),
    }
    progress, tables = Progress("table", len(makers)), {}
    for name, make in makers.items():
        tables[name] = make()
        progress.advance({"after": name})
    progress.close()
    return tables
