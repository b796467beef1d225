"""The API's documentation on a phone, from this process alone."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.browser
MEASURE = """() => [document.documentElement.scrollWidth, window.innerWidth,
  Math.min(...[...document.querySelectorAll("p, td, .opblock-summary-path, .response-col_status")]
    .filter((one) => one.offsetParent && one.textContent.trim())
    .map((one) => parseFloat(getComputedStyle(one).fontSize)))]"""


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.soak)])
def test_the_documentation_is_readable_on_a_phone(chromium, web, scheme: str) -> None:
    page = chromium.new_context(
        viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True, color_scheme=scheme
    ).new_page()
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.goto(f"{web.address}/api/docs")
    page.wait_for_selector(".opblock")
    page.tap(".opblock-post .opblock-summary >> nth=0")
    page.wait_for_selector(".responses-table")
    width, shown, smallest = page.evaluate(MEASURE)
    assert (width, shown) == (390, 390)
    assert smallest >= 11
    assert [url for url in asked if not url.startswith((web.address, "data:"))] == []
    assert complaints == []


def test_buttons_of_the_documentation_are_as_light_as_the_rest_before_it_is_inverted(chromium, web) -> None:
    page = chromium.new_context(color_scheme="dark").new_page()
    page.goto(f"{web.address}/api/docs")
    page.wait_for_selector(".json-schema-2020-12-accordion")
    shown = page.evaluate(
        "() => getComputedStyle(document.querySelector('.json-schema-2020-12-accordion')).backgroundColor"
    )
    assert min(int(part) for part in shown.removeprefix("rgb(").removesuffix(")").split(", ")) > 200
