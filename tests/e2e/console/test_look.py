"""Layout of three screens, on a phone and on a desktop. Screenshots go to pytest's temporary folder."""

import re
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from functions.front.files import SAFELY, console_file
from tests.e2e.console.canned import esc_id, run_id
from tests.e2e.console.conftest import DESKTOP, PHONE

SCREENS = {"overview": "#/", "run": f"#/runs/{run_id('w')}", "escalation": f"#/escalations/{esc_id('b')}"}
SIZES = {"phone": PHONE, "desktop": DESKTOP}

STYLE = console_file("style.css")[1]
Rgb = tuple[int, int, int]


def _rgb(colour: str) -> Rgb:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


#: The colours of the style sheet: {name: {theme: (red, green, blue)}}.
COLOURS: dict[str, dict[str, Rgb]] = {
    name: {"light": _rgb(light or both), "dark": _rgb(dark or both)}
    for name, light, dark, both in re.findall(
        r"--([a-z-]+): (?:light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)|(#[0-9a-f]{6}));", STYLE
    )
}
#: What texts stand on, and the texts that stand on any of it; below, what stands on its own ground only.
GROUNDS = ("ground", "card", "sunk", "hover", "refused")
TEXTS = ("text", "dim", "data", "link", "info", "good", "warn", "bad", "person")
PAIRS = [*product(TEXTS, GROUNDS), ("on-primary", "primary")]
#: The edges of fields and buttons, by which they are found: 3:1 (WCAG 1.4.11).
EDGES = [*product(["edge"], GROUNDS), ("primary", "card"), ("primary", "ground")]
GROUND = "getComputedStyle(document.documentElement).backgroundColor.match(/[0-9]+/g).map(Number)"


def _luminance(colour: Rgb) -> float:
    parts = [part / 255 for part in colour]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(part * weight for part, weight in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))


def _contrast(one: Rgb, other: Rgb) -> float:
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_each_colour_can_be_read_on_each_ground(theme: str) -> None:
    used = set(re.findall(r"var\(--([a-z-]+)\)", STYLE))
    named = {name for pair in (*PAIRS, *EDGES) for name in pair}
    assert used - named == {"line", "behind"}  # decoration: what it parts, words or an edge part as well
    assert not re.search(r"#[0-9a-f]{3,8}\b|rgb\(", STYLE.split("\n}\n", 1)[1])  # no colour of one theme only

    for least, pairs in ((4.5, PAIRS), (3, EDGES)):
        low = {(one, on): _contrast(COLOURS[one][theme], COLOURS[on][theme]) for one, on in pairs}
        assert {pair: ratio for pair, ratio in low.items() if ratio < least} == {}


@pytest.mark.deep
def test_the_theme_is_the_systems_until_a_reader_chooses_one_which_this_browser_keeps(visit: Any) -> None:
    page = visit(fresh=True)
    choice = page.get_by_label("Theme")
    page.emulate_media(color_scheme="light")
    assert page.evaluate(GROUND) == [*COLOURS["ground"]["light"]]

    choice.select_option("dark")
    assert page.evaluate(GROUND) == [*COLOURS["ground"]["dark"]]
    page.reload()
    assert page.evaluate(GROUND) == [*COLOURS["ground"]["dark"]]
    expect(choice).to_have_value("dark")
    choice.focus()
    page.keyboard.press("ArrowUp")  # a keyboard chooses as well
    assert page.evaluate(GROUND) == [*COLOURS["ground"]["light"]]
    assert page.evaluate("localStorage.getItem('ballast.theme')") == "light"
    assert page.evaluate("parseFloat(getComputedStyle(document.activeElement).outlineWidth)") >= 2
    choice.select_option("")
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(GROUND) == [*COLOURS["ground"]["dark"]]
    assert page.evaluate("localStorage.length") == 0

    page.evaluate("localStorage.setItem('ballast.theme', 'no theme')")  # another script of the origin may have
    page.reload()
    expect(choice).to_have_value("")
    assert page.evaluate("document.documentElement.dataset.theme") is None
    page.evaluate("localStorage.clear()")
    page.add_init_script("Object.defineProperty(window, 'localStorage', { get() { throw new Error('blocked'); } });")
    page.reload()
    choice.select_option("light")
    assert page.evaluate(GROUND) == [*COLOURS["ground"]["light"]]  # for as long as the page


def test_a_theme_weakens_no_policy() -> None:
    page, script = console_file("index.html")[1], console_file("theme.js")[1]
    policy = SAFELY["Content-Security-Policy"]

    assert policy == (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    assert not re.search(r"<style|\bstyle=|<script(?![^>]*\bsrc=)|\bon[a-z]+=", page)
    assert not re.search(r"\.style\b|cssText|insertRule|innerHTML", script)
    # It runs before the style sheet, so that the first thing drawn has the kept theme.
    assert page.index('<script src="/console/theme.js"></script>') < page.index("/console/style.css")


#: The lowest contrast of any text to what it stands on, by WCAG's formula, as [ratio, text].
LOWEST_CONTRAST = """() => {
  const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((part) => part / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
  const ground = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const texts = [...document.querySelectorAll('body *')].filter((node) => node.checkVisibility()
    && [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim()));
  const ratios = texts.map((node) => {
    const [one, other] = [light(parse(getComputedStyle(node).color)), light(ground(node))];
    return [(Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05), node.textContent.slice(0, 60)];
  });
  return ratios.sort((one, other) => one[0] - other[0])[0];
}"""


@pytest.mark.sampled
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("screen", SCREENS)
def test_a_screen_is_readable_and_fits(visit: Any, tmp_path: Path, screen: str, size: str) -> None:
    page = visit(SCREENS[screen], viewport=SIZES[size])

    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")  # a colour on its way is neither of the two
        picture = page.screenshot(path=tmp_path / f"{screen}-{size}-{theme}.png", full_page=True)

        assert picture.startswith(b"\x89PNG")
        assert len(picture) > 10_000
        assert page.evaluate(GROUND) == [*COLOURS["ground"][theme]]
        ratio, text = page.evaluate(LOWEST_CONTRAST)
        assert ratio >= 4.5, f"{theme}: {text}"
    expect(page.get_by_role("heading", level=1)).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    small = [
        box for button in page.get_by_role("button").all() if (box := button.bounding_box()) and box["height"] < 24
    ]
    assert small == []


def test_the_first_screen_of_a_phone_names_the_first_thing_to_do(visit: Any) -> None:
    page = visit(viewport=PHONE)

    expect(page.get_by_role("heading", name="Something is wrong")).to_be_in_viewport(ratio=1)
    expect(page.get_by_role("link", name="Decide").first).to_be_in_viewport(ratio=1)


def test_the_first_screen_of_an_approval_on_a_phone_shows_what_is_asked(visit: Any) -> None:
    page = visit(SCREENS["escalation"], viewport=PHONE)

    expect(page.get_by_role("heading", name="May this call happen?")).to_be_in_viewport(ratio=1)
    expect(page.get_by_role("region", name="Proposed")).to_be_in_viewport(ratio=1)


def test_everything_is_reached_by_keyboard_in_its_order_and_the_focus_is_seen(visit: Any) -> None:
    page = visit(fresh=True)
    reached = []

    for _ in range(6):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                "document.activeElement.getAttribute('aria-label') ?? document.activeElement.innerText.split('\\n')[0]"
            )
        )
        assert page.evaluate("parseFloat(getComputedStyle(document.activeElement).outlineWidth)") >= 2

    assert reached == ["Skip to content", "Ballast", "Pause", "Refresh", "Decide", "Approve or reject"]


def test_every_field_and_region_has_a_name(visit: Any) -> None:
    for screen in (*SCREENS.values(), f"#/escalations/{esc_id('e')}"):
        page = visit(screen)

        nameless = page.evaluate(
            "[...document.querySelectorAll('input, select, textarea')].filter((field) => !field.labels.length).length"
        )

        assert nameless == 0


def test_who_wants_no_motion_gets_none(visit: Any) -> None:
    page = visit()
    page.emulate_media(reduced_motion="reduce")

    moving = page.evaluate(
        "[...document.querySelectorAll('*')].filter((node) => parseFloat(getComputedStyle(node).transitionDuration) > 0"
        " || getComputedStyle(node).animationName !== 'none').length"
    )

    assert moving == 0
