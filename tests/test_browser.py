"""The report's page in a real browser: its numbers against the package's, what a reader does, what a reader meets.

It needs a Chromium on the machine (`apt-get install chromium`), which Playwright's own package does not bring.
"""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
import small_model
import torch
from matplotlib.figure import Figure
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from vaelib import data
from vaelib.exact.inference import gaussian_elbo
from vaelib.files import PROJECT_ROOT
from vaelib.measure import offline
from vaelib.models.vae import VAE, log_normal
from vaelib.plots import explorer
from vaelib.report import exhibits, publish

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
if BROWSER is None:
    pytest.skip("needs a Chromium: apt-get install chromium", allow_module_level=True)
playwright = pytest.importorskip("playwright.sync_api")
axe = pytest.importorskip("axe_playwright_python.sync_playwright")

ROOT = ".latent-explorer"
READY = f"{ROOT}[data-state=ready]"
IMAGES = range(0, 100, 5)
FRAME, OPENING = 33, 2000  # milliseconds
PROSE = (
    "## Where @fig:explorer is\nSee @tbl:wide, [a page](https://example.org) and [@kingma2014], in a line of text.\n\n"
    + "$$" + " + ".join(f"x_{{{i}}}^2" for i in range(60)) + "$$ {#eq:long}\n\nThat was @eq:long, @fig:line a line."
)  # fmt: skip
BIB = "@misc{kingma2014, author={Kingma, D. P. and Welling, M.}, title={Auto-Encoding}, year={2014}}"


@pytest.fixture(scope="module")
def small(mnist):
    return small_model.make(mnist["train"], mnist["test"])


@pytest.fixture(scope="module")
def report(small, tmp_path_factory):
    """The address of a report with the explorer, a table that is too wide, a formula that is too long, links, code."""
    folder, outputs = tmp_path_factory.mktemp("report"), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exhibits, "display", lambda content, raw: outputs.append(new_output("display_data", content)))
        frame = pd.DataFrame({f"a column with the number {i}": [i] for i in range(20)})
        exhibits.table(frame, "tbl:wide", "A table.")
        narrow = pd.DataFrame({"kind": ["x, y", "z"], "model": ["one, two", "b"], "$p$": ["−1.50 ± 0.25", "2,000"]})
        exhibits.table(narrow, "tbl:grouped", "Groups.", group="kind")
        line = Figure(figsize=(4, 2))
        line.subplots().plot([0, 1])
        exhibits.figure(line, "fig:line", "What rises, as in @tbl:wide.", "A line that rises.", "vae/one")
        page = explorer.page(small.arrays)
        exhibits.interactive(page, Figure(figsize=(2, 1)), "fig:explorer", "Draw.", "A pad and a plane.")
    title = new_markdown_cell("# A report", metadata={"tags": ["title"]})
    long_line = new_code_cell("x = " + " + ".join(map(str, range(100))), execution_count=1)
    shown = new_code_cell("show()", outputs=outputs, execution_count=2)
    notebook = new_notebook(cells=[title, new_markdown_cell(PROSE), long_line, shown], metadata={"lang": "en"})
    (folder / "bibliography.bib").write_text(BIB)
    (folder / "executed.ipynb").write_text(publish.nbformat.writes(notebook), encoding="utf-8")
    return publish.build(folder / "executed.ipynb", folder / "out", folder / "bibliography.bib")[0].as_uri()


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def visit(browser, report):
    """Opens the report and waits for the first posterior; afterwards it must have asked and said nothing."""
    contexts, said, asked = [], [], []

    def visit(width=1280, scheme="light", place="", **options):
        context = browser.new_context(viewport={"width": width, "height": 1000}, color_scheme=scheme, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(report + place)
        page.wait_for_selector(READY)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert said == []
    assert {url.partition("#")[0] for url in asked if not url.startswith(("data:", "blob:"))} == {report}


def shown(page, name):
    """A number that the page shows, in nats."""
    return float(page.inner_text(f"dd.{name}").split()[0].replace("−", "-"))


def test_log_px_and_both_elbos_are_those_of_the_package(visit, small):
    found = visit().evaluate(
        """async (chosen) => {
          const { model, testImage } = document.querySelector(".latent-explorer").explorer, all = [];
          for (const at of chosen) {
            const x = testImage(at), draft = model.draft(x), refined = await model.refine(x, draft, () => true);
            const q = model.encode(x), lookup = model.moments(refined), exactly = (z) => model.logJoint(x, z);
            all.push([draft.logPx, refined.logPx, model.elbo(q, exactly), model.elbo(lookup, exactly),
                      ...lookup.mean, ...lookup.deviation]);
          }
          return all;
        }""",
        list(IMAGES),
    )
    draft, refined, elbo, lookup, *gaussian = np.array(found).T
    log_px, rows = small.test.log_px[IMAGES], list(IMAGES)
    assert np.abs(refined - log_px).max() < 0.05
    assert np.abs(draft - log_px).max() < 0.3
    assert np.abs(elbo - small.test.elbo[IMAGES]).max() < 0.05
    moments = small_model.moments(small.exact, small_model.TESTS)
    expected = gaussian_elbo(small.model, small.test.pixels, moments)[rows].numpy()
    assert np.abs(lookup - expected).max() < 0.05
    mean, deviation = moments.mean[rows].numpy(), torch.exp(moments.log_variance / 2)[rows].numpy()
    assert np.abs((np.transpose(gaussian[:2]) - mean) / deviation).max() < 0.2
    assert np.abs(np.transpose(gaussian[2:]) / deviation - 1).max() < 0.1


def test_the_decoder_in_the_page_gives_the_images_and_log_p_of_the_package(visit, small):
    z = [[0.3, -1.2], [2.5, 0.1], [0.0, 0.0], [-5.0, 6.0], [1.0, 1.0]]  # one of them outside the table
    images, joint = visit().evaluate(
        """(z) => {
          const { model, testImage } = document.querySelector(".latent-explorer").explorer;
          return [z.map((one) => [...model.image(one)]), model.logJoint(testImage(3), z)];
        }""",
        z,
    )
    latents = torch.tensor(z)
    with torch.no_grad():
        expected = small.model.likelihood.log_prob(small.test.pixels[3], small.model.decode(latents)) + log_normal(
            latents
        )
        assert np.abs(np.array(images) - small.model.images(latents).numpy()).max() < 0.02
    assert np.abs(np.array(joint) - expected.numpy()).max() < 1.0  # a thousandth of what is there: rounded weights


@pytest.mark.parametrize(
    ("architecture", "likelihood"),
    [("resmlp", "bernoulli"), ("conv", "gaussian"), ("aevb", "continuous_bernoulli")],
)
def test_every_kind_of_layer_and_likelihood_is_computed_in_the_page(browser, mnist, tmp_path, architecture, likelihood):
    """Before any training, with grey images: the networks of the page against those of the package."""
    torch.manual_seed(0)
    model, images = VAE(architecture, likelihood=likelihood).eval(), mnist["test"].take(20)
    x = data.grey(images.images)
    with torch.no_grad():
        q = model.posterior(x)
        nothing = np.zeros(20, np.float32)
        known = offline.Test(images, "B", q, nothing, nothing)
        page_at = tmp_path / "page.html"
        arrays = offline.offline(model, known, {"first": 0})
        page_at.write_text(f"<!DOCTYPE html><meta charset=utf-8>{explorer.page(arrays)}", "utf-8")
        page = browser.new_page()
        page.goto(page_at.as_uri())
        page.wait_for_selector(READY)
        mean, deviation, image, joint, grey = page.evaluate(
            """() => {
              const { model, testImage } = document.querySelector(".latent-explorer").explorer, x = testImage(3);
              const q = model.encode(x), z = [[0.5, -1], [2, 0.25], [-1, -1]];
              return [q.mean, q.deviation, [...model.image(z[0])], model.logJoint(x, z), [...x]];
            }"""
        )
        page.close()
        z = torch.tensor([[0.5, -1], [2, 0.25], [-1, -1]])
        assert np.abs(np.array(grey) - x[3].numpy()).max() < 1e-6
        assert mean == pytest.approx(q.mean[3].tolist(), abs=0.01)
        assert deviation == pytest.approx(torch.exp(q.log_variance[3] / 2).tolist(), rel=0.01)
        assert np.abs(np.array(image) - model.images(z[:1])[0].numpy()).max() < 0.005
        assert joint == pytest.approx(
            (model.likelihood.log_prob(x[3], model.decode(z)) + log_normal(z)).tolist(), rel=1e-3
        )


def test_a_test_image_drawn_as_strokes_comes_back_within_a_pixel(visit, mnist):
    """Each row's runs of ink are drawn as strokes, elsewhere on the pad and at another size."""
    images = data.grey(mnist["test"].images[:30]).reshape(-1, 28, 28).numpy()
    strokes = []
    for image in images:
        own, thick = [], 1.2  # pixels by which a stroke is wider than its line, to each side
        for row in range(28):
            ink = np.flatnonzero(np.diff(np.concatenate([[0], image[row] > 0.5, [0]])))
            for left, right in ink.reshape(-1, 2):
                ends = (
                    (left + thick, right - 1 - thick) if right - left > 2 * thick + 1 else [(left + right - 1) / 2] * 2
                )
                own.append([[0.3 + 0.012 * end, 0.2 + 0.012 * row] for end in ends])
        strokes.append(own)
    drawn = visit().evaluate(
        "(all) => { const { centred } = document.querySelector('.latent-explorer').explorer; "
        "return all.map((strokes) => [...centred(strokes)]); }",
        strokes,
    )
    drawn = np.array(drawn).reshape(-1, 28, 28)
    places = np.arange(28)
    for axis in (1, 2):
        centres = [(stack.sum(3 - axis) @ places) / stack.sum((1, 2)) for stack in (images, drawn)]
        assert np.abs(centres[0] - centres[1]).max() < 1
        ends = [[np.flatnonzero(image.max(2 - axis) > 0.3)[[0, -1]] for image in stack] for stack in (images, drawn)]
        assert np.abs(np.subtract(*ends)).mean() < 1
    likeness = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(images, drawn, strict=True)]
    assert np.median(likeness) > 0.85


def draw(page, points, kind="mouse"):
    """One stroke through points, in shares of the pad, with the mouse or a finger."""
    page.locator(".pad").scroll_into_view_if_needed()
    box = page.locator(".pad").bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    if kind == "mouse":
        page.mouse.move(*places[0])
        page.mouse.down()
        for place in places[1:]:
            page.mouse.move(*place, steps=4)
        page.mouse.up()
        return
    session = page.context.new_cdp_session(page)
    for i, (x, y) in enumerate(places):
        at = {"type": "touchMove" if i else "touchStart", "touchPoints": [{"x": x, "y": y}]}
        session.send("Input.dispatchTouchEvent", at)
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


UNFOLD = "document.querySelectorAll('details').forEach((one) => { one.open = true; })"
ONE = [(0.5, 0.2), (0.5, 0.5), (0.5, 0.8)]
SEVEN = [(0.25, 0.2), (0.7, 0.2), (0.6, 0.5), (0.5, 0.85)]


def settled(page, before):
    """Waits until the page has announced something other than `before`, and returns it."""
    page.wait_for_function("(was) => document.querySelector('.latent-explorer output').textContent !== was", arg=before)
    page.wait_for_selector(READY)
    return page.inner_text("output")


def ink(page, canvas):
    """[784] how opaque each pixel of a digit is, 0 to 255."""
    pixels = page.evaluate(f"[...document.querySelector('{canvas}').getContext('2d').getImageData(0, 0, 28, 28).data]")
    return np.array(pixels)[3::4]


@pytest.mark.parametrize("kind", ["mouse", "touch"])
def test_a_drawn_digit_gets_its_posterior_and_can_be_undone(visit, kind):
    page = visit(width=390 if kind == "touch" else 1280, has_touch=kind == "touch")
    before = page.inner_text("output")
    draw(page, ONE, kind)
    one = settled(page, before)
    assert one.startswith("Your digit: log p(x) = −") and "% of the 100 test images" in one
    draw(page, SEVEN, kind)
    both = settled(page, one)
    assert both != one
    page.click(".undo")
    assert settled(page, both) == one
    page.click(".clear")
    assert page.inner_text("output") == "Nothing is drawn." and page.inner_text("dd.log-px") == "–"


def test_the_keyboard_draws_too(visit):
    page = visit()
    before = page.inner_text("output")
    page.focus(".pad")
    page.keyboard.press("Space")
    for _ in range(12):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    drawn = settled(page, before)
    assert drawn.startswith("Your digit")
    seen = page.evaluate("[...document.querySelector('.latent-explorer').explorer.state.x]")
    rows, columns = np.nonzero(np.reshape(seen, (28, 28)))
    assert np.ptp(rows) >= 17 and np.ptp(columns) <= 5  # a straight stroke down
    page.keyboard.press("Backspace")
    assert settled(page, drawn) == "Nothing is drawn."


def test_the_mark_moves_by_pointer_and_keys_and_the_decoder_follows(visit, small):
    page = visit()
    reach = page.evaluate("document.querySelector('.latent-explorer').explorer.model.reach")
    page.locator(".plane").scroll_into_view_if_needed()
    box = page.locator(".plane").bounding_box()
    page.mouse.click(box["x"] + 0.3 * box["width"], box["y"] + 0.6 * box["height"])
    page.wait_for_function("document.querySelector('.mark-place').textContent.includes('−')")
    x, y = page.evaluate("document.querySelector('.latent-explorer').explorer.state.mark")
    assert (x, y) == pytest.approx((-0.4 * reach, -0.2 * reach), abs=0.05)
    page.focus(".plane")
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(100)
    moved = page.evaluate("document.querySelector('.latent-explorer').explorer.state.mark")
    assert moved == pytest.approx([x + reach / 40, y])
    opacity = ink(page, ".decoded")
    with torch.no_grad():
        expected = 255 * small.model.images(torch.tensor([moved]))[0].numpy()
    assert np.abs(opacity - expected).max() < 6


def test_a_link_opens_a_test_image_or_a_place(visit, small):
    page = visit(place="#image=7")
    assert page.inner_text("output").startswith(f"Test image 7, a {small.test.images.labels[7]}:")
    assert shown(page, "log-px") == pytest.approx(small.test.log_px[7], abs=0.11)
    assert visit(place="#z=0.5,-1.25").inner_text(".mark-place") == "z = (0.50, −1.25)"
    assert page.get_attribute(".link", "href") == "#image=7"


def test_a_named_test_image_is_a_click_away_with_its_grey(visit, small):
    page = visit()
    least = int(small.test.log_px.argmin())
    before = page.inner_text("output")
    page.click(".named button:has-text('least likely')")
    assert settled(page, before).startswith(f"Test image {least}, ")
    assert shown(page, "log-px") == pytest.approx(small.test.log_px[least], abs=0.11)
    page.check(".as-grey")
    seen = ink(page, ".seen")
    assert np.abs(seen - small.test.images.images[least].flatten().numpy()).max() <= 1


def test_it_opens_in_two_seconds_and_a_frame_of_drawing_takes_a_thirtieth_of_one(visit):
    pages = [visit() for _ in range(3)]
    page = pages[-1]
    assert min(float(page.get_attribute(ROOT, "data-opened")) for page in pages) < OPENING
    frames = []
    page.locator(".pad").scroll_into_view_if_needed()
    box = page.locator(".pad").bounding_box()
    page.mouse.move(box["x"] + 30, box["y"] + 30)
    page.mouse.down()
    for i in range(40):
        page.mouse.move(box["x"] + 30 + 2 * i, box["y"] + 30 + 3 * (i % 20))
        page.wait_for_timeout(20)
        frames.append(float(page.get_attribute(ROOT, "data-frame")))
    page.mouse.up()
    page.wait_for_selector(READY)
    assert np.quantile(frames, 0.1) < FRAME  # the others tell what else the machine does meanwhile


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280, 1920])
def test_no_width_is_too_small_and_nothing_serious_is_found_by_axe(visit, width, scheme):
    page = visit(width, scheme)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.evaluate(UNFOLD)
    found = axe.Axe().run(page).response["violations"]
    serious = {one["id"]: one["nodes"][0]["html"][:200] for one in found if one["impact"] in ("serious", "critical")}
    assert serious == {}
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_what_scrolls_can_be_reached_by_keyboard_and_what_does_not_is_no_stop(visit):
    page = visit(390)
    page.evaluate(UNFOLD)
    page.wait_for_timeout(100)
    for selector in (".scroll", "pre", "math[display=block]"):
        assert page.locator(selector).first.evaluate("(e) => e.scrollWidth > e.clientWidth && e.tabIndex === 0"), (
            selector
        )
    assert page.get_attribute(".scroll", "aria-label") == "Table\xa01."
    assert visit(1280).locator(".named").evaluate("(e) => e.tabIndex") == -1


def test_a_table_is_saved_as_csv_with_its_groups_and_numbers_as_they_are_typed(visit):
    page = visit()
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV, Table\xa02").click()
    assert download.value.suggested_filename == "tbl-grouped.csv"
    assert download.value.path().read_text("utf-8-sig").splitlines() == [
        "group,model,p", '"x, y","one, two",-1.50 ± 0.25', 'z,b,"2,000"',
    ]  # fmt: skip


def test_a_reference_shows_what_it_leads_to_until_escape_or_the_pointer_puts_it_away(visit):
    page = visit()
    note = page.locator("#peek")
    figure = page.locator('p a.ref[href="#fig:line"]')
    figure.hover()
    assert note.inner_text() == "Figure\xa01. What rises, as in Table\xa01."
    assert note.locator("img").evaluate("(e) => e.alt") == "A line that rises." and note.locator("a").count() == 0
    assert figure.get_attribute("aria-describedby") == "peek"
    page.keyboard.press("Escape")
    assert note.is_hidden() and figure.get_attribute("aria-describedby") is None
    page.focus("p a.ref[href='#tbl:wide']")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")  # only now does the browser know that the keyboard is at work
    assert note.inner_text() == "Table\xa01. A table."
    page.mouse.wheel(0, 30)
    page.wait_for_timeout(100)
    assert note.is_visible()
    page.locator(".citation a").hover()
    assert "Auto-Encoding" in note.inner_text()
    page.mouse.move(2, 2)
    note.wait_for(state="hidden")
    page.locator('p a.ref[href="#eq:long"]').hover()
    assert note.locator("math").count() == 1


def test_a_figure_is_enlarged_by_a_tap_or_by_the_keyboard_and_closed_by_escape(visit):
    page = visit(390, has_touch=True)
    dialog, button = page.locator("dialog"), page.get_by_role("button", name="Enlarge, Figure\xa01")
    page.locator("#fig\\:line img").tap()
    assert dialog.locator("strong").inner_text() == "Figure\xa01"
    assert dialog.locator("img").bounding_box()["width"] > 2 * page.locator("#fig\\:line img").bounding_box()["width"]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.keyboard.press("Escape")
    assert dialog.is_hidden()
    button.focus()
    page.keyboard.press("Enter")
    dialog.get_by_role("button", name="Close").click()
    assert dialog.is_hidden() and button.evaluate("(e) => e === document.activeElement")


def test_on_a_narrow_screen_the_contents_stay_at_hand_and_fold_when_one_is_chosen(visit):
    page = visit(390, reduced_motion="reduce")
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    page.locator(".contents summary").click()
    assert page.locator(".contents").bounding_box()["y"] == pytest.approx(0, abs=1)
    page.locator(".contents a").first.click()
    assert page.evaluate("document.querySelector('.contents details').open") is False
    under = page.locator(".contents").bounding_box()
    assert page.locator("main h2").first.bounding_box()["y"] >= under["y"] + under["height"]


@pytest.fixture(scope="module")
def formulas(tmp_path_factory):
    """The address of a page with the text of the project's own report, without its exhibits and numbers."""
    folder = tmp_path_factory.mktemp("formulas")
    notebook = publish.nbformat.read(PROJECT_ROOT / "report" / "report.ipynb", as_version=4)
    displayed = [f for cell in notebook.cells for f in re.findall(r"\$\$.+?\$\$", cell.source, re.DOTALL)]
    text = "\n\n".join(f"{formula} {{#eq:number-{i}}}" for i, formula in enumerate(displayed))
    cells = [new_markdown_cell("# Formulas", metadata={"tags": ["title"]}), new_markdown_cell("## All\n\n" + text)]
    (folder / "executed.ipynb").write_text(publish.nbformat.writes(new_notebook(cells=cells)), encoding="utf-8")
    return publish.build(folder / "executed.ipynb", folder / "out")[0].as_uri(), len(displayed)


@pytest.mark.parametrize("width", [1280, 1440])
def test_no_formula_of_the_report_is_cut(browser, formulas, width):
    address, count = formulas
    page = browser.new_page(viewport={"width": width, "height": 1000})
    page.goto(address)
    cut = page.evaluate(
        "[...document.querySelectorAll('math')].map((e) => [e.scrollWidth - e.clientWidth, "
        "e.getBoundingClientRect().right - e.closest('p, .equation').getBoundingClientRect().right])"
    )
    page.close()
    assert len(cut) == count > 5
    assert all(scrolled <= 0 and beyond <= 0.5 for scrolled, beyond in cut), json.dumps(cut)


def test_a_notebook_s_frame_shows_the_same_and_is_as_high_as_its_page(browser, small, tmp_path):
    shown_in = tmp_path / "output.html"
    shown_in.write_text(f"<!DOCTYPE html><meta charset=utf-8>{explorer.Explorer(small.arrays)._repr_html_()}", "utf-8")
    page = browser.new_page()
    page.goto(shown_in.as_uri())
    frame = page.frame_locator("iframe")
    frame.locator(READY).wait_for()
    page.wait_for_timeout(200)
    inner = frame.locator("body").evaluate("() => document.documentElement.scrollHeight")
    assert page.locator("iframe").bounding_box()["height"] >= inner > 500
    assert frame.locator("output").inner_text().startswith("Test image ")
    page.close()
