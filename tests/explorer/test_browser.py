"""Every view and interaction of the page in a real headless Chromium."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import polars as pl
import pytest

from ecgqa.cli.main import main
from ecgqa.explorer.explorer import Explorer, open_explorer
from ecgqa.records import LEADS
from support.served import served

sync = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
CHROMIUM = os.environ.get("ECGQA_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
sync.expect.set_options(timeout=20_000)  # the machine may be busy
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; install it or name it in ECGQA_CHROMIUM")
QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage",
    "--disable-component-update", "--disable-sync", "--no-first-run",
]  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[sync.Browser]:
    with sync.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield opened
        opened.close()


@pytest.fixture
def page(browser: sync.Browser) -> Iterator[sync.Page]:
    """A laptop's window in which any complaint of the browser, broken policies included, fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light")
    context.set_default_timeout(30_000)
    opened = context.new_page()
    complaints: list[str] = []
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("console", lambda told: complaints.append(told.text) if told.type in ("error", "warning") else None)
    away = lambda request: complaints.append(request.url)
    opened.on("request", lambda request: None if "//127.0.0.1:" in request.url else away(request))
    yield opened
    context.close()
    expected = re.compile(r"Failed to load resource: the server responded with a status of (404|422)")
    assert [text for text in complaints if not expected.match(text)] == []


def total(page: sync.Page) -> int:
    return int(page.locator(".list h1").inner_text().split()[0].replace(",", ""))


def await_total(page: sync.Page, n: int) -> None:
    sync.expect(page.locator(".list h1")).to_have_text(re.compile(rf"^{n:,} "))


def first_test_question(explorer: Explorer, n_ecgs: int = 1) -> tuple[int, dict]:
    frame = explorer.catalogue.frame.with_row_index("row").filter(
        pl.col("split") == "test", pl.col("version") == "paraphrased", pl.col("ecg_id").list.len() == n_ecgs
    )
    return frame["row"][0], frame.row(0, named=True)


def canvas(page: sync.Page, place: int = 0) -> sync.Locator:
    found = page.locator(".sheet canvas").nth(place)
    sync.expect(found).to_have_attribute("data-scale", re.compile(r"\d"))
    return found


def told(found: sync.Locator, pattern: str) -> tuple[str, ...]:
    """The groups of `pattern` in what an element says, once it says so."""
    sync.expect(found).to_have_text(re.compile(rf"^{pattern}$"))
    return re.fullmatch(pattern, found.inner_text()).groups()


def number_of(found: sync.Locator, name: str) -> float:
    return float(found.get_attribute(f"data-{name}") or "nan")


def tick(page: sync.Page, box: str) -> None:
    """Tick a box of a filter; the list of filters is drawn anew by it, so the box is looked up again afterwards."""
    page.locator(box).click()
    sync.expect(page.locator(box)).to_be_checked()


def test_browsing(page: sync.Page, server: str, explorer: Explorer) -> None:
    frame = explorer.catalogue.frame
    page.goto(server)
    await_total(page, frame.height)
    assert page.locator("footer").inner_text() == "Research use only, not for clinical use."
    tick(page, "#filter-split-test")
    test = frame.filter(pl.col("split") == "test")
    await_total(page, test.height)
    tick(page, "#filter-question_type-single-verify")
    verify = test.filter(pl.col("question_type") == "single-verify")
    await_total(page, verify.height)
    assert parse_qs(urlsplit(page.url).query) == {"split": ["test"], "question_type": ["single-verify"]}

    page.go_back()
    await_total(page, test.height)
    assert not page.locator("#filter-question_type-single-verify").is_checked()
    page.go_forward()
    await_total(page, verify.height)
    page.reload()
    await_total(page, verify.height)

    page.get_by_role("button", name="Remove the filter Question type").click()
    await_total(page, test.height)
    page.locator("#filter-summary-answer").click()
    page.locator("#narrow-answer").fill("none")
    tick(page, "#filter-answer-none")
    await_total(page, test.filter(pl.col("answer").list.contains("none")).height)
    page.get_by_role("button", name="clear all").click()
    await_total(page, frame.height)

    page.keyboard.press("/")
    page.keyboard.type("noise lead")
    texts = pl.col("question").str.to_lowercase()
    noisy = frame.filter(texts.str.contains("noise"), texts.str.contains("lead"))
    await_total(page, noisy.height)
    page.locator("#search").fill("nobody asks this")
    sync.expect(page.get_by_role("alert")).to_contain_text("take one of them away")


def test_agreement_and_marks(page: sync.Page, server: str, explorer: Explorer) -> None:
    runs = explorer.runs(wait=True)
    page.goto(f"{server}/?split=test")
    page.locator("#filter-agreement").select_option("pair")
    page.locator("#filter-right").select_option("question_only")
    page.locator("#filter-wrong").select_option("chance")
    pairs = runs.pairs(explorer.catalogue.fields["split"].matching(("test",), len(explorer.catalogue)))
    await_total(page, next(one["n"] for one in pairs if (one["right"], one["wrong"]) == ("question_only", "chance")))
    row = page.locator(".questions tbody tr").first
    assert row.get_by_role("img", name="question_only: right").count() == 1
    assert row.get_by_role("img", name="chance: wrong").count() == 1
    row.get_by_role("link").click()
    page.get_by_role("link", name="Next question").click()
    sync.expect(page.locator(".trail")).to_contain_text("2 of")
    page.keyboard.press("p")
    sync.expect(page.locator(".trail")).to_contain_text("1 of")
    page.keyboard.press("l")
    await_total(page, total(page))
    assert "agreement=pair" in page.url


def test_one_question(page: sync.Page, server: str, explorer: Explorer) -> None:
    row, asked = first_test_question(explorer)
    page.goto(f"{server}/question/test/paraphrased/{asked['sample_id']}?split=test&version=paraphrased")
    sync.expect(page.locator("h1")).to_have_text(asked["question"])
    sync.expect(page.locator(".gold")).to_have_text("Right answer: " + ", ".join(asked["answer"]))
    answers = page.get_by_role("region", name="Candidates and answers")
    assert answers.locator("tbody tr").count() == min(len(asked["candidates"]), 12)
    sync.expect(answers.locator("tbody tr", has=page.locator(".badge.right"))).to_have_count(len(asked["answer"]))
    runs = explorer.runs(wait=True).runs
    given = sum(len(reply["answer"]) for run in runs.values() if (reply := run.reply(row)))
    assert answers.locator("td.given").count() == given
    sync.expect(page.get_by_role("region", name="Attributes").locator("tbody")).to_contain_text("metadata")
    others = page.locator(".others")
    others.locator("summary").first.click()
    about = len(explorer.catalogue.of_ecg(asked["ecg_row"][0])) - 1
    assert others.locator("tbody tr").count() == min(about, 500)
    page.keyboard.press("n")
    page.wait_for_function("id => !location.pathname.endsWith('/' + id)", arg=asked["sample_id"])
    page.go_back()
    sync.expect(page.locator("h1")).to_have_text(asked["question"])


def test_text_from_data_stays_text(page: sync.Page, server: str, explorer: Explorer) -> None:
    patchy = explorer.runs(wait=True)["patchy"]
    row = int((patchy.place >= 0).nonzero()[0][0])
    page.goto(f"{server}/question/{'/'.join(str(part) for part in explorer.catalogue.key(row).values())}")
    told = page.locator("details", has_text="patchy:")
    told.locator("summary").click()
    assert told.locator("pre").inner_text() == "<b>I will not</b>"
    assert told.locator("b").count() == 0
    page.goto(f"{server}/?search=" + "%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E")
    sync.expect(page.locator(".chip").first).to_contain_text("<img src=x onerror=alert(1)>")
    assert page.locator(".list img").count() == 0


def test_zoom_pan_and_leads(page: sync.Page, server: str, explorer: Explorer) -> None:
    _, asked = first_test_question(explorer)
    page.goto(f"{server}/question/test/paraphrased/{asked['sample_id']}")
    sheet = canvas(page)
    whole = number_of(sheet, "scale")
    assert whole == pytest.approx(sheet.bounding_box()["width"] / 268, rel=0.01)  # the paper's width in millimetres
    assert number_of(sheet, "strips") == 13
    page.get_by_role("button", name="Zoom in (+)").click()
    page.keyboard.press("+")
    page.wait_for_function("least => document.querySelector('canvas').dataset.scale > 1.9 * least", arg=whole)
    before = (number_of(sheet, "x"), number_of(sheet, "y"))
    box = sheet.bounding_box()
    page.mouse.move(box["x"] + 600, box["y"] + 300)
    page.mouse.down()
    page.mouse.move(box["x"] + 500, box["y"] + 260, steps=4)
    page.mouse.up()
    scale = number_of(sheet, "scale")
    page.wait_for_function("x => document.querySelector('canvas').dataset.x > x", arg=before[0])
    assert number_of(sheet, "x") - before[0] == pytest.approx(100 / scale, abs=0.1)
    assert number_of(sheet, "y") - before[1] == pytest.approx(40 / scale, abs=0.1)
    sheet.focus()
    x = number_of(sheet, "x")
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("x => document.querySelector('canvas').dataset.x < x", arg=x)
    page.keyboard.press("0")
    page.wait_for_function("least => document.querySelector('canvas').dataset.scale == least.toFixed(3)", arg=whole)

    page.get_by_label("Layout").select_option("12x1")
    sync.expect(sheet).to_have_attribute("data-strips", "12")
    for lead in ("V1", "V2"):
        page.get_by_role("button", name=f"Show lead {lead}").click()
    sync.expect(sheet).to_have_attribute("data-strips", "10")
    assert page.get_by_role("button", name="Show lead V1").get_attribute("aria-pressed") == "false"
    page.get_by_role("button", name="Show lead V1").click()
    sync.expect(sheet).to_have_attribute("data-strips", "11")


def test_calipers_measure_what_the_paper_says(page: sync.Page, server: str, explorer: Explorer) -> None:
    _, asked = first_test_question(explorer)
    page.goto(f"{server}/question/test/paraphrased/{asked['sample_id']}")
    sheet = canvas(page)
    page.keyboard.press("c")
    scale, box = number_of(sheet, "scale"), sheet.bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 200)
    page.mouse.down()
    page.mouse.move(box["x"] + 200 + 20 * scale, box["y"] + 200 - 7 * scale, steps=3)
    page.mouse.up()
    readout = page.locator(".readout")
    ms, mv, rate = told(readout, r"(\d+) ms\s+(-?[\d.]+) mV\s+(\d+) /min")
    assert int(ms) == pytest.approx(800, abs=4)  # 20 mm at 25 mm/s
    assert float(mv) == pytest.approx(0.7, abs=0.02)  # 7 mm at 10 mm/mV
    assert int(rate) == pytest.approx(75, abs=1)
    page.mouse.move(box["x"] + 200 + 20 * scale, box["y"] + 200 - 7 * scale)  # its end can be taken and moved
    page.mouse.down()
    page.mouse.move(box["x"] + 200 + 10 * scale, box["y"] + 200, steps=3)
    page.mouse.up()
    sync.expect(readout).to_have_text(re.compile(r"^(39\d|40\d) ms\s+-?0\.0\d mV"))
    sheet.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")  # half a millimetre each
    sync.expect(readout).to_have_text(re.compile(r"^(49\d|50\d) ms"))
    page.keyboard.press("c")
    sync.expect(readout).to_have_text("")


def test_the_trace_under_the_pointer_is_that_of_the_store(page: sync.Page, server: str, explorer: Explorer) -> None:
    _, asked = first_test_question(explorer)
    page.goto(f"{server}/question/test/paraphrased/{asked['sample_id']}")
    sheet = canvas(page)
    page.get_by_label("Layout").select_option("12x1")
    sync.expect(sheet).to_have_attribute("data-strips", "12")
    box, scale = sheet.bounding_box(), number_of(sheet, "scale")
    page.mouse.move(box["x"] + (14 + 25 * 3.2) * scale, box["y"] + (6 + 20 * 4.5) * scale)
    lead, time, mv = told(page.locator(".readout"), r"(\w+)\s+([\d.]+) s\s+(-?[\d.]+) mV")
    assert lead == "aVL" and float(time) == pytest.approx(3.2, abs=0.02)
    expected = explorer.ecgs.ecg(asked["ecg_row"][0]).millivolts()[LEADS.index("aVL")]
    place = round(float(time) * 500)
    assert expected[place - 1 : place + 2].min() - 0.006 <= float(mv) <= expected[place - 1 : place + 2].max() + 0.006


def test_beats_and_two_traces(page: sync.Page, server: str, explorer: Explorer) -> None:
    _, asked = first_test_question(explorer, n_ecgs=2)
    page.goto(f"{server}/question/test/paraphrased/{asked['sample_id']}")
    first = canvas(page, 0)
    canvas(page, 1)
    beats = [explorer.ecgs.beats(row) for row in asked["ecg_row"]]
    blank = first.evaluate("canvas => canvas.toDataURL().length")
    page.keyboard.press("b")
    sync.expect(page.locator(".readout")).to_have_text(", ".join(f"{one['n_beats']} beats" for one in beats))
    sync.expect(page.locator(".legend")).to_be_visible()
    page.wait_for_function("n => document.querySelector('canvas').toDataURL().length !== n", arg=blank)
    page.get_by_role("button", name="Zoom in (+)").click()
    page.wait_for_function(
        "() => { const [a, b] = [...document.querySelectorAll('canvas')].map((one) => one.dataset);"
        "  return a.x > 0 && a.x === b.x && a.scale === b.scale; }"
    )
    page.get_by_role("button", name="first whole beats").click()
    times = [next(time for time in one["consensus"]["r_peak"] if time is not None) for one in beats]
    sync.expect(page.locator(".readout")).to_have_text(f"shifted by {abs(times[0] - times[1]) * 1000:.0f} ms")
    page.get_by_role("link", name="ask something else").click()
    page.wait_for_url(f"**/ask?ecg={asked['ecg_row'][0]}&second={asked['ecg_row'][1]}")
    canvas(page, 1)
    page.go_back()
    page.get_by_role("link", name=f"Second ECG: {asked['ecg_id'][1]}").click()
    page.wait_for_url(f"**/ecg/{asked['ecg_row'][1]}")
    canvas(page)


def test_results_lead_to_the_questions(page: sync.Page, server: str) -> None:
    page.goto(f"{server}/results")
    table = page.get_by_role("region", name="Runs side by side")
    sync.expect(table.locator("tbody tr")).to_have_count(4, timeout=60_000)
    cell = page.get_by_role("region", name="Disagreements").locator("td a").first
    n = int(cell.inner_text().replace(",", ""))
    cell.click()
    await_total(page, n)
    page.go_back()
    page.locator("#pick-breakdown").select_option("attribute_type")
    sync.expect(page.get_by_role("region", name="Scores by group").locator("tbody")).to_contain_text("noise")
    page.locator("#pick-metric").select_option("option_f1_macro")
    page.wait_for_url("**/results?breakdown=attribute_type&metric=option_f1_macro")
    confusion = page.get_by_role("region", name="Confusion of question_only, single-verify")
    cell = confusion.locator("td a").first
    n = int(cell.inner_text().replace(",", ""))
    cell.click()
    await_total(page, n)
    page.locator("a.question").first.click()
    canvas(page)


def test_statistics(page: sync.Page, server: str, explorer: Explorer) -> None:
    page.goto(f"{server}/stats")
    bars = page.get_by_role("region", name="Question types").locator("li")
    kinds = explorer.catalogue.frame["question_type"]
    sync.expect(bars).to_have_count(kinds.n_unique())
    sync.expect(page.get_by_role("region", name="Split leaks")).to_contain_text("No ECG and no patient")
    sync.expect(page.get_by_role("region", name="Answers right together").locator("li").first).to_be_visible()
    bars.filter(has_text="single-query").get_by_role("link").click()
    await_total(page, int((kinds == "single-query").sum()))


def test_asking(page: sync.Page, server: str, explorer: Explorer, exhibit) -> None:
    page.goto(f"{server}/ask")
    sync.expect(page.locator("main")).to_contain_text("answered by measuring")
    page.locator("#ecg-id").fill("999999")
    page.get_by_role("button", name="look").click()
    sync.expect(page.locator("form + .drop + div [role=alert]")).to_contain_text("no ECG 999999")
    page.locator("#ecg-id").fill(str(explorer.ecgs.record(2)["ecg_id"]))
    page.get_by_role("button", name="look").click()
    page.wait_for_url("**/ask?ecg=2")
    canvas(page)
    header = sorted(exhibit.cohort.rglob("*.hea"))[4]
    page.locator("#files").set_input_files([header, header.with_suffix(".dat")])
    page.wait_for_url("**/ask?upload=*")
    sync.expect(page.locator("figcaption")).to_contain_text(f"{header.name}   10.0 s at 500 Hz")
    page.locator("#question").fill("is the QRS duration above the normal range?")
    page.get_by_role("button", name="ask", exact=True).click()
    sync.expect(page.locator(".gold")).to_have_text(re.compile(r"Answer: (yes|no)$"), timeout=30_000)
    sync.expect(page.locator("main")).to_contain_text("Is the qrs duration of this ECG above the normal range?")
    sync.expect(page.locator(".measured")).to_contain_text("qrs duration: ")
    sync.expect(page.locator(".readout")).to_have_text(re.compile(r"\d+ beats"))
    page.locator("#question").fill("what is the weather like?")
    page.get_by_role("button", name="ask", exact=True).click()
    sync.expect(page.locator("[aria-live=polite] [role=alert]")).to_contain_text("not understood")
    page.locator("#files").set_input_files([{"name": "bad.csv", "mimeType": "text/csv", "buffer": b"I,II\n1,2\n"}])
    sync.expect(page.locator("form + .drop + div [role=alert]")).to_contain_text("no lead III")


def test_theme_help_and_access(page: sync.Page, server: str) -> None:
    page.goto(server)
    root = page.locator("html")
    sync.expect(root).to_have_attribute("data-theme", "light")
    page.keyboard.press("t")
    sync.expect(root).to_have_attribute("data-theme", "dark")
    page.reload()
    sync.expect(root).to_have_attribute("data-theme", "dark")
    page.locator("a.question").first.wait_for()
    page.keyboard.press("?")
    sync.expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    page.keyboard.press("Escape")
    sync.expect(page.get_by_role("dialog")).to_be_hidden()
    page.keyboard.press("f")
    assert page.evaluate("document.activeElement.id").startswith("filter-")
    page.locator("main").focus()
    page.keyboard.press("n")
    page.keyboard.press("n")
    focused = page.evaluate("document.activeElement.textContent")
    assert focused == page.locator("a.question").nth(1).inner_text()
    page.keyboard.press("Enter")
    page.wait_for_url("**/question/**")
    canvas(page)
    for path in ("/", "/results", "/stats", "/ask"):
        page.goto(server + path)
        page.wait_for_selector("main:not([aria-busy])")
        nameless = page.evaluate(NAMELESS)
        assert nameless == [], (path, nameless)
        low = [one for theme in ("light", "dark") for one in page.evaluate(CONTRAST, theme)]
        assert low == [], (path, low)


NAMELESS = """() => [...document.querySelectorAll('button, a, input, select, canvas, img')].filter((one) => {
  const label = one.labels?.[0]?.textContent || one.textContent;
  const name = one.getAttribute('aria-label') ?? one.getAttribute('alt') ?? label;
  return one.checkVisibility() && !(name ?? '').trim() && one.getAttribute('alt') !== '';
}).map((one) => one.outerHTML.slice(0, 120))"""

CONTRAST = """(theme) => {
  document.documentElement.dataset.theme = theme;
  const parse = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (one) => {
    for (; one; one = one.parentElement) {
      const colour = getComputedStyle(one).backgroundColor;
      if (/^rgb\\(/.test(colour)) return parse(colour);
    }
    return [255, 255, 255];
  };
  const says = (one) => [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
  return [...document.querySelectorAll('body *')].filter((one) => one.checkVisibility() && says(one)).filter((one) => {
    const style = getComputedStyle(one);
    const [a, b] = [light(parse(style.color)), light(behind(one))].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05) < 4.5;
  }).map((one) => `${theme} ${one.tagName} ${one.className} ${one.textContent.slice(0, 30)}`).slice(0, 5);
}"""


def test_a_tablet(browser: sync.Browser, server: str, explorer: Explorer) -> None:
    _, asked = first_test_question(explorer)
    context = browser.new_context(viewport={"width": 768, "height": 1024}, has_touch=True, color_scheme="dark")
    tablet = context.new_page()
    for path in ("/", f"/question/test/paraphrased/{asked['sample_id']}", "/results", "/stats", "/ask"):
        tablet.goto(server + path)
        tablet.wait_for_selector("main:not([aria-busy])")
        wide = tablet.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, path
    sync.expect(tablet.locator("html")).to_have_attribute("data-theme", "dark")
    sheet = canvas_after(tablet, f"{server}/question/test/paraphrased/{asked['sample_id']}")
    whole, box = number_of(sheet, "scale"), sheet.bounding_box()
    fingers = context.new_cdp_session(tablet)
    for kind, apart in (("touchStart", 60), ("touchMove", 90), ("touchMove", 120), ("touchEnd", None)):
        y, middle = box["y"] + 100, box["x"] + 300
        points = [] if apart is None else [{"x": middle + side * apart, "y": y, "id": side + 1} for side in (-1, 1)]
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    tablet.wait_for_function("least => document.querySelector('canvas').dataset.scale > 1.8 * least", arg=whole)
    assert number_of(sheet, "scale") == pytest.approx(2 * whole, rel=0.1)
    context.close()


def canvas_after(page: sync.Page, address: str) -> sync.Locator:
    page.goto(address)
    return canvas(page)


def test_a_token_and_errors(browser: sync.Browser, bare: Explorer) -> None:
    context = browser.new_context()
    visitor = context.new_page()
    with served(bare, host="0.0.0.0", token="a-token") as address:
        plain = address.partition("?")[0]
        visitor.goto(plain)
        assert "token" in visitor.locator("body").inner_text()
        visitor.goto(address)
        await_total(visitor, len(bare.catalogue))
        assert visitor.url == plain
        visitor.goto(f"{plain}results")
        sync.expect(visitor.get_by_role("alert")).to_contain_text("ecgqa predict")
        visitor.goto(f"{plain}question/test/template/99999999")
        sync.expect(visitor.get_by_role("alert")).to_contain_text("go back to the list")
        visitor.goto(plain)
        await_total(visitor, len(bare.catalogue))
    visitor.locator("#filter-split-test").check()
    sync.expect(visitor.get_by_role("alert")).to_contain_text("start ecgqa explore again")
    context.close()


@pytest.mark.real_data
@pytest.mark.slow
def test_real_ecgs(page: sync.Page, real_data: Path, tmp_path: Path) -> None:
    store = tmp_path / "real"
    words = ["store", "build", str(real_data / "ecgqa/ptbxl"), str(store), "--records", str(real_data / "ptbxl")]
    assert main([*words, "--missing", "skip", "--versions", "template"]) == 0
    explorer = open_explorer(store)
    with served(explorer) as server:
        page.goto(server)
        await_total(page, len(explorer.catalogue))
        page.locator("a.question").first.click()
        canvas(page)
        page.keyboard.press("b")
        sync.expect(page.locator(".readout")).to_have_text(re.compile(r"^\d+ beats"))
        report = explorer.ecgs.known(explorer.catalogue.frame["ecg_row"][0][0])["report"]
        assert report
        sync.expect(page.locator("blockquote").first).to_have_text(" ".join(report.split()))
        page.get_by_role("navigation", name="Place in the list").get_by_role("link", name="Next question").click()
        sync.expect(page.locator(".trail")).to_contain_text("2 of")
