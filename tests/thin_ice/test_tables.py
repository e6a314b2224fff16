"""Laws that every line of every table obeys; a new line is tested at once."""

import dataclasses
import inspect
import re
from typing import ClassVar, get_origin

import pytest

from thin_ice import tables
from thin_ice.attacks.protocols import PROTOCOLS
from thin_ice.study.options import NO_DEFAULT, entry, read_class
from thin_ice.study.pipelines import STAGES
from thin_ice.training.plan import Plan

LINES = [(table, name) for table, lines in tables.TABLES.items() for name in lines]
MEMBERS = {
    "datasets": {"read", "missing", "sources", "test_size", "train_size", "shape", "classes"},
    "architectures": {"build"},
    "objectives": {"goal", "teacher", "loss", "perturb", "withstands"},
    "distance_attacks": {"search", "norms", "misclassified"},
    "methods": {"pruner", "pipeline", "criterion", "paper", "units", "claimed"},
}


@pytest.fixture(params=LINES, ids="-".join)
def line(request):
    return request.param


def as_plain(value):
    """Tuples as lists, the way a study's YAML and the reader of the source have them."""
    return [as_plain(item) for item in value] if isinstance(value, list | tuple) else value


def real_options(kind):
    """Names and defaults of a dataclass's fields, in order."""
    assert all(f.default_factory is dataclasses.MISSING for f in dataclasses.fields(kind))
    return {
        f.name: NO_DEFAULT if f.default is dataclasses.MISSING else as_plain(f.default)
        for f in dataclasses.fields(kind)
    }


def real_constants(kind):
    """Annotated class variables of a class and their values."""
    names = [
        name
        for name, annotation in inspect.get_annotations(kind).items()
        if get_origin(annotation) is ClassVar
    ]
    return {name: as_plain(getattr(kind, name)) for name in names}


def source_options(read):
    return {name: as_plain(option.default) for name, option in read.options.items()}


def test_an_entry_is_a_frozen_dataclass_with_what_its_table_promises(line):
    kind = tables.load(*line)
    assert dataclasses.is_dataclass(kind)
    assert kind.__dataclass_params__.frozen
    assert MEMBERS[line[0]] <= set(dir(kind))


def test_the_source_says_the_same_of_an_entry_as_the_class_itself(line):
    read, kind = entry(*line), tables.load(*line)
    assert source_options(read) == real_options(kind)
    assert list(read.options) == list(real_options(kind))
    assert {k: as_plain(v) for k, v in read.constants.items()} == real_constants(kind)
    assert read.module == kind.__module__


def test_every_default_is_a_value_that_its_option_allows(line):
    for option in entry(*line).options.values():
        if option.default is not NO_DEFAULT:
            assert option.convert(option.default) == as_plain(option.default)
            assert option.allowed


def test_an_entrys_label_is_one_that_a_study_may_write(line):
    assert re.fullmatch(r"[a-z0-9][a-z0-9_]*", line[1])


def test_the_source_says_the_same_of_a_plan_as_the_class_itself():
    read = read_class("thin_ice.training.plan", "Plan")
    assert source_options(read) == real_options(Plan)
    assert read.constants == real_constants(Plan)


@pytest.mark.parametrize("name", tables.METHODS)
def test_a_method_names_a_known_protocol_and_plans_that_a_plan_can_hold(name):
    method = tables.load("methods", name)
    assert method.claimed in PROTOCOLS
    assert set(method.units) <= {"weight", "filter", "channel", "column"}
    for stage in STAGES[method.pipeline]:
        assert isinstance(Plan(**getattr(method, f"{stage}_plan")), Plan)


def test_the_reader_sees_class_variables_at_all():
    assert entry("methods", "lwm").constants["claimed"] == "hydra_pgd10"
    assert real_constants(tables.load("methods", "lwm"))["claimed"] == "hydra_pgd10"


@pytest.mark.parametrize(("table", "name"), [("methods", "nothing"), ("nothing", "lwm")])
def test_what_is_in_no_table_cannot_be_loaded(table, name):
    with pytest.raises(KeyError):
        tables.load(table, name)
