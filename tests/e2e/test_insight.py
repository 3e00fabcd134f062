"""The pictures in a browser: drawn under the strict policy, without a barrier, and every bar leads to its list."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.test_pages import decide, violations

pytestmark = pytest.mark.e2e


def test_every_bar_leads_to_a_list_as_long_as_it_says(samples: Page, server: str) -> None:
    page = samples
    decide(server, 1, "accept", spent_ms=900, n_seen=1, n_hunks=2)
    decide(server, 2, "accept", spent_ms=4000, n_seen=2, n_hunks=2)
    decide(server, 3, "reject", reasons=["style", "unsafe"], spent_ms=70_000)
    decide(server, 4, "flag", reasons=["unclear"])
    page.goto("/insight")

    found = []
    for scheme, width in (("light", 1400), ("dark", 390)):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.set_viewport_size({"width": width, "height": 900})
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        found += [f"{scheme}: {one['id']} {one['nodes'][0]['html'][:200]}" for one in violations(page)]
        assert not page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    assert found == []
    # The style sheet reaches into the pictures: a bar without it is black.
    bar = page.locator("#left .bar").first
    assert bar.evaluate("(bar) => getComputedStyle(bar).fill") != "rgb(0, 0, 0)"

    table, drawn = (
        page.locator(f".picture {where} a[href^='/queue']").evaluate_all(
            "(links) => links.map((a) => [a.getAttribute('href'), a.textContent])"
        )
        for where in (".numbers", ".drawn")
    )
    assert {address for address, _ in drawn} == {address for address, _ in table}
    assert len(table) > 30
    for address, n in table:
        listed = re.search(r"<strong>([\d,]+)</strong> candidate", page.request.get(address).text())
        assert listed is not None, address
        assert (address, listed[1]) == (address, n)

    page.set_viewport_size({"width": 1400, "height": 900})
    page.locator("#reasons a", has_text="Style: 1 rejected").click()
    expect(page.locator("tr[id^=row-]")).to_have_count(1)
    expect(page.locator("#row-3")).to_be_visible()
