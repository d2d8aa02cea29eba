"""Layout of three screens, on a phone and on a desktop. Screenshots go to pytest's temporary folder."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.e2e.console.canned import esc_id, run_id
from tests.e2e.console.conftest import DESKTOP, PHONE

SCREENS = {"overview": "#/", "run": f"#/runs/{run_id('w')}", "escalation": f"#/escalations/{esc_id('b')}"}
SIZES = {"phone": PHONE, "desktop": DESKTOP}

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


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("screen", SCREENS)
def test_a_screen_is_readable_and_fits(visit: Any, tmp_path: Path, screen: str, size: str) -> None:
    page = visit(SCREENS[screen], viewport=SIZES[size])

    picture = page.screenshot(path=tmp_path / f"{screen}-{size}.png", full_page=True)

    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 10_000
    expect(page.get_by_role("heading", level=1)).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    ratio, text = page.evaluate(LOWEST_CONTRAST)
    assert ratio >= 4.5, text
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
