"""axe-core in a page of a test: what it finds that keeps somebody out."""

import os
from pathlib import Path

import pytest
from playwright.sync_api import Page

AXE = Path(__file__).resolve().parents[2] / "extensions" / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
_RUN = "async () => (await axe.run(document, {resultTypes: ['violations']})).violations"


def needs_axe() -> None:
    """Skip, on CI fail, where the npm package is not here."""
    if not AXE.is_file():
        why = "needs the npm package axe-core: `make setup` installs it"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)


def check(page: Page) -> None:
    """Fail on each serious or critical finding of axe-core in `page`, with the rule and the elements."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    grave = [
        f"{found['id']} ({found['impact']}): {found['help']}: " + "; ".join(node["html"][:160] for node in found["nodes"])
        for found in page.evaluate(_RUN)
        if found["impact"] in {"serious", "critical"}
    ]
    assert grave == [], f"{page.url}: " + "\n".join(grave)
