"""Finds the Chromium that the browser tests drive: the system's, else the one that Playwright keeps.

As a script it prints the path and exits 0, or exits 1 when there is none.
"""

import os
import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MACOS = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")

# Headless, with WebGL in software, and no connection of Chromium's own to anywhere.
ARGUMENTS = (
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
)


def find() -> str | None:
    """The path of a Chromium, or None."""
    for name in (os.environ.get("COHORTLAB_CHROMIUM", ""), *NAMES, str(MACOS)):
        if name and (path := shutil.which(name)):
            return path
    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


if __name__ == "__main__":
    found = find()
    print(found or "no Chromium found")  # noqa: T201 - this is the script's answer
    sys.exit(0 if found else 1)
