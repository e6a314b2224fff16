"""All that is told of a run beside its thin-ice table: one module a table."""

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


def run_tables(networks: list[Network], setting: Setting) -> dict[str, pd.DataFrame]:
    """By name, every table of a run; one without rows has its columns all the same."""
    views = [view for pair in pairs_of(networks) for view in views_of(pair, setting)]
    return {
        "predictors": predictors_table(views),
        "thickness": thickness_table(views),
        "joint": joint_table(views),
        "classes": classes_table(views),
        "pies": pies_table(networks, setting),
        "overlap": overlap_table(views),
        "movement": movement_table(views),
    }
