"""The report as a real browser lays it out: nothing overlaps, sticks out, is missing or fetched."""

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import pytest
from make_report import job_of
from make_tables import make_finished

from thin_ice.commands import report
from thin_ice.figures import theme
from thin_ice.figures.gallery import EXHIBITS

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
MEASURE = Path(__file__).with_name("measure.js").read_text(encoding="utf-8")
NO_ORIGIN = "not an origin"
LAPTOP = "1366,768"
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-default-apps", "--disable-extensions", "--hide-scrollbars", "--no-proxy-server"),
    *("--host-resolver-rules=MAP * ~NOTFOUND", "--disable-features=OptimizationHints,Translate"),
)
FAULTS = {  # what is planted into a copy of the page, and which measure tells
    "requests": '<img src="http://planted.example/picture.png" alt="planted">',
    "wide": '<div id="broad" style="width: 3000px">broad</div>',
    "pictures": '<img src="data:image/png;base64,AAAA" alt="planted">',
    "overlaps": '<p id="low">low</p><p id="high" style="margin-top: -2.5em">high</p>',
    "dangling": '<a href="#nowhere">nowhere</a>',
    "bare": '<section id="empty"><h2>Bare</h2></section>',
    "skipped": "<h4>Deep</h4>",
    "unnamed": '<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=" alt="">',
    "unscoped": "<table><thead><tr><th>a</th></tr></thead></table>",
}

pytestmark = pytest.mark.skipif(BROWSER is None, reason=f"none of {', '.join(BROWSERS)} is here")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The report of a small study; its pictures as wide as the page shows them."""
    place = tmp_path_factory.mktemp("study")
    finished = make_finished(methods=1, sparsities=(0.9,), samples=30)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(theme, "DPI", 100)
        report.run(job_of(place, finished))
    return place / "report"


def opened(page, scratch):
    """What `measure.js` finds in a page, and whatever the browser asked the network for."""
    copy, log = page.with_name("measured.html"), scratch / "net.json"
    text = page.read_text(encoding="utf-8")
    copy.write_text(text.replace("</body>", f"<script>{MEASURE}</script></body>"), encoding="utf-8")
    command = [BROWSER, *QUIET, f"--user-data-dir={scratch}", f"--log-net-log={log}"]
    command += [f"--window-size={LAPTOP}", "--dump-dom", copy.as_uri()]
    dumped = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    copy.unlink()
    measured = re.search(r'<script [^>]*id="measured">(.*?)</script>', dumped.stdout, re.DOTALL)
    found = json.loads(unescape(measured.group(1)))
    return found | {"logged": requested(log)}


def requested(log):
    """Addresses that the network log has of pages; the browser's own services have no origin."""
    events = json.loads(log.read_text(encoding="utf-8"))["events"]
    asked = [event.get("params", {}) for event in events]
    return {one["url"] for one in asked if one.get("initiator", NO_ORIGIN) != NO_ORIGIN}


@pytest.fixture(scope="module")
def page(folder, tmp_path_factory):
    return opened(folder / "report.html", tmp_path_factory.mktemp("browser"))


def test_the_page_fits_a_laptop_and_nothing_is_missing(page):
    assert page["width"] == 1366
    assert len(page["loaded"]) == len(EXHIBITS)
    assert {fault: page[fault] for fault in FAULTS} == {fault: [] for fault in FAULTS}


def test_nothing_is_requested_but_the_page(page):
    assert page["requests"] == []
    assert page["logged"] == set()


def test_every_relative_link_leads_to_a_file(folder, page):
    missing = {link for link in page["files"] if not (folder / link).is_file()}
    assert missing == {"../report/provenance.json"}  # written when the command has ended


def test_the_navigation_names_every_section(page):
    assert page["navigation"] == page["sections"]
    assert "security-curves" in page["navigation"]


@pytest.fixture(scope="module")
def broken(folder, tmp_path_factory):
    copy = folder / "broken.html"
    text = (folder / "report.html").read_text(encoding="utf-8")
    copy.write_text(text.replace("</main>", "".join(FAULTS.values()) + "</main>"), encoding="utf-8")
    return opened(copy, tmp_path_factory.mktemp("browser"))


def test_the_network_log_tells_of_a_planted_picture(broken):
    assert "http://planted.example/picture.png" in broken["logged"]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(broken, fault):
    assert broken[fault]
