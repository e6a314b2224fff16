"""The page stands alone, and its numbers can be followed to their files."""

import hashlib
import html.parser
import re
import subprocess
import sys
from dataclasses import replace

import pytest
import yaml
from make_report import job_of
from make_tables import dense_alone, make_finished

from thin_ice.commands import report
from thin_ice.figures import theme
from thin_ice.figures.gallery import EXHIBITS
from thin_ice.figures.report import SECTIONS, render
from thin_ice.figures.results import RESULTS

TWO_RUNS = {"runs": 2, "methods": 1, "sparsities": (0.9,), "samples": 30}
LOADING = {"src", "srcset", "data", "poster", "background", "action"}


@pytest.fixture(scope="module", autouse=True)
def coarse():
    """Pictures of a few kilobytes, in less time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(theme, "DPI", 40)
        yield


@pytest.fixture(scope="module")
def made(coarse, tmp_path_factory):
    """The report of a study with two runs, through its command."""
    folder = tmp_path_factory.mktemp("study")
    return folder, report.run(job_of(folder, make_finished(**TWO_RUNS)))


@pytest.fixture(scope="module")
def page(made):
    return (made[0] / "report" / "report.html").read_text(encoding="utf-8")


def test_the_command_leaves_every_figure_its_table_and_the_page(made):
    folder, outputs = made
    names = {f"{name}.{kind}" for name in EXHIBITS for kind in ("png", "svg", "csv")}
    tables = {f"table-{name}.{kind}" for name in RESULTS for kind in ("csv", "md", "tex")}
    report_folder = folder / "report"
    found = {str(path.relative_to(report_folder)) for path in outputs}
    assert found == names | tables | {"report.html"}
    written = {path for path in report_folder.rglob("*") if path.is_file()}
    assert written == set(outputs)
    assert all(path.stat().st_size for path in outputs)


class Links(html.parser.HTMLParser):
    """What a page would load, where it links to, and its elements' balance."""

    def __init__(self):
        super().__init__()
        self.loads, self.links, self.tags, self.ids = [], [], set(), set()

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        for name, value in attributes:
            if name in LOADING:
                self.loads.append(value)
            if name == "href":
                self.links.append(value)
            if name == "id":
                self.ids.add(value)


@pytest.fixture(scope="module")
def links(page):
    parser = Links()
    parser.feed(page)
    return parser


def test_the_page_loads_nothing_from_anywhere(page, links):
    assert len(links.loads) == len(EXHIBITS)
    assert all(source.startswith("data:image/png;base64,") for source in links.loads)
    assert not links.tags & {"link", "script", "iframe", "object", "embed", "base"}
    assert not re.search(r"@import|url\(", page)
    assert not re.search(r"(src|href)\s*=\s*[\"']?\s*(https?:)?//", page)


def test_every_link_leads_to_a_place_in_the_page_or_a_file_beside_it(made, links):
    for link in links.links:
        if link.startswith("#"):
            assert link[1:] in links.ids
        elif link == "../report/provenance.json":  # written when the command has ended
            continue
        else:
            assert (made[0] / "report" / link).is_file()


def test_the_page_is_small_enough_to_send(made):
    assert (made[0] / "report" / "report.html").stat().st_size < 5_000_000


def test_each_source_is_named_with_its_digest_and_its_record(made, page):
    folder, _ = made
    sources = [p for p in folder.glob("*/analysis/*") if p.name != "provenance.json"]
    assert len(sources) == 2 * len(report.TABLES)
    for path in [*sources, folder / "report" / "accuracy.svg"]:
        relative = path.relative_to(folder)
        assert f'<a href="../{relative}">{relative}</a>' in page
        assert hashlib.sha256(path.read_bytes()).hexdigest() in page
        assert f'<a href="../{relative.parent / "provenance.json"}">' in page


def test_the_resolved_study_is_on_the_page_as_yaml(page):
    text = re.search(r"<pre>(.*?)</pre>", page, re.DOTALL).group(1)
    assert yaml.safe_load(text)["autoattack"]["batch_size"] == 50


def test_numbers_on_the_page_are_those_of_the_tables(page):
    finished = make_finished(**TWO_RUNS)
    assert page.count("<tr><td>digits-net0-pgd_at</td><td>m0 0.9</td>") > 1
    clean = finished.accuracy.query("method == 'm0' and sparsity == 0.9").clean_percent
    assert f"<td>{clean.mean():.1f} ± 0.7</td>" in page


def test_a_jpeg_copy_is_visible_in_the_caveats_and_text_cannot_become_markup():
    finished = make_finished(methods=1, sparsities=(0.9,), seeds=(0,), samples=20, again=False)
    finished.accuracy["dataset"] = "<script>cifar10</script>-jpeg"
    page = render(finished, [], [], [], "0" * 64)
    caveats = page[page.index('id="caveats"') : page.index('id="sources"')]
    assert "JPEG re-encoded copy" in caveats
    assert "no control" in caveats
    assert "<script>" not in page


def test_a_report_of_dense_networks_alone_has_no_heading_without_content(tmp_path):
    finished = dense_alone()
    report.run(job_of(tmp_path / "study", finished))
    page = (tmp_path / "study/report/report.html").read_text(encoding="utf-8")
    headings = re.findall(r"<h2>(.*?)</h2>", page)
    assert headings[1:5] == ["Accuracy", "Training", "Overestimate", "Security curves"]
    assert headings[5:] == ["Caveats", "Where each number came from"]
    for id in ("ice", "who", "moved"):
        assert f'href="#{id}"' not in page
    absent = page[page.index('id="absent"') : page.index('id="accuracies"')]
    assert "No network is compared with a dense one in this study." in absent
    for name, exhibit in EXHIBITS.items():
        has = exhibit.section in ("accuracy", "training", "overestimate", "security")
        assert (f'<figure id="{name}">' in page) == has
        assert (f"{exhibit.title}" in absent) == (not has)
    assert "0 rows" not in page
    assert RESULTS["thin_ice"].title in absent
    assert RESULTS["headline"].title not in absent


def test_every_exhibit_and_table_is_in_one_section():
    inside = [name for _, names in SECTIONS.values() for name in names]
    assert set(inside) == {*EXHIBITS, *RESULTS}


def test_a_section_holds_the_figures_that_it_is_there_for(page):
    for id, (heading, inside) in SECTIONS.items():
        part = page[page.index(f'<section id="{id}">') :]
        part = part[: part.index("</section>")]
        assert f"<h2>{heading}</h2>" in part
        figures = set(re.findall(r'<figure id="(.*?)">', part))
        tables = set(re.findall(r'<details id="table-(.*?)"', part))
        assert figures == {*inside} & {*EXHIBITS}
        assert tables == {*inside} & {*RESULTS}


def test_the_page_of_a_whole_study_names_nothing_as_absent(page):
    assert 'id="absent"' not in page


def test_two_reports_of_the_same_tables_are_the_same_bytes(made, tmp_path):
    """However many processes draw."""
    again = job_of(tmp_path / "study", make_finished(**TWO_RUNS))
    report.run(replace(again, threads=2))
    for path in made[1]:
        assert (
            path.read_bytes() == (again.folder / path.relative_to(made[0] / "report")).read_bytes()
        ), path.name


def test_the_report_never_imports_torch():
    code = (
        "import sys, thin_ice.commands.report; "
        "assert 'torch' not in sys.modules; assert not thin_ice.commands.report.PREPARE"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
