"""Pictures of every page, empty and busy, on a desk and on a phone, light and dark: `python -m tests.browser.shots`.

Writes `.shots/<page>-<busy|empty>-<width>-<scheme>.png` for every page of `tests/browser/pages.py`, over the world of
`tests/browser/world.py` in databases of its own, and the few that the documents show (`COVERS`) into `docs/images/`.
Git keeps only those few. Arguments are names of pages; without any, all are taken. Needs Chromium and the development
requirements.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import django

ROOT = Path(__file__).resolve().parents[2]
FOLDER, COVERS_FOLDER = ROOT / ".shots", ROOT / "docs" / "images"
SIZES, SCHEMES = ((1440, 1000), (390, 844)), ("light", "dark")
# Found by median cut and then by k-means: an octree makes one ground of page and cards, a median cut alone turns the
# few red pixels of a failure grey.
COLOURS = 256
# Longer pages are cut here: what is further down is looked at in the browser.
HEIGHT_MOST = 12_000
# What the documents show: the window's height of a busy page.
COVERS = frozenset({"training-1440-light.png", "training-1440-dark.png", "home-390-light.png", "run-1440-dark.png"})


def main(names: list[str]) -> None:
    from lealife.embedded.postgres import ensure_database_url

    ensure_database_url()
    os.environ["DJANGO_SETTINGS_MODULE"] = "lealife.settings"
    os.environ["OLLAMA_HOST"] = serve_version()
    # Playwright's loop is no reason to refuse the database to this script.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    django.setup()
    from django.contrib.auth.models import User
    from playwright.sync_api import sync_playwright

    from benchmarks.database import open_database
    from tests.browser.web import Web
    from tests.browser.world import build_world

    FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for state, build_world_too in (("empty", False), ("busy", True)):
            with open_database() as database:
                User.objects.create_superuser("ada", password="a long enough one")
                if build_world_too:
                    build_world()
                    keep_alive(database)
                web = Web(database=database)
                web.start()
                try:
                    shoot_all(chromium, web.address, state=state, names=names)
                finally:
                    web.stop()
        chromium.close()


def serve_version() -> str:
    """The address of what stands for an Ollama that is up: it lists its models and the tags of the world."""

    class Version(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            from tests.browser.rows import digest_tag

            controllers = [f"lealife-controller:w{number}" for number in range(5)]
            names = ["smollm2:135m", "all-minilm:latest", "lealife-task:w0", *controllers]
            models = [{"name": name, "model": name, "digest": digest_tag(name)} for name in names]
            body = json.dumps({"version": "0.12.0", "models": models}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Version)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


def keep_alive(database: str) -> None:
    """Beats and ticks in the place of worker and coordinator, until the database is dropped."""
    import psycopg

    from lealife.core.announce import open_connection

    link = open_connection()

    def beat() -> None:
        with suppress(psycopg.Error):
            while True:
                link.execute("UPDATE training_workerheartbeat SET last_beat_at = now()")
                link.execute("UPDATE training_coordinator SET last_tick_at = now(), last_launch_at = now()")
                time.sleep(1)

    threading.Thread(target=beat, name=f"beat {database}", daemon=True).start()


def shoot_all(chromium: Any, address: str, *, state: str, names: list[str]) -> None:
    """Every page in every size and scheme, as a stranger or signed in."""
    from tests.browser.pages import list_pages

    for scheme in SCHEMES:
        for width, height in SIZES:
            options = {"viewport": {"width": width, "height": height}, "color_scheme": scheme}
            stranger, staff = (chromium.new_context(**options, reduced_motion="reduce").new_page() for _ in range(2))
            staff.goto(f"{address}/login/?next=/")
            staff.fill("#id_username", "ada")
            staff.fill("#id_password", "a long enough one")
            staff.click("main button")
            staff.wait_for_load_state()
            for page in list_pages():
                if not names or page.name in names:
                    window = staff if page.signed_in else stranger
                    window.goto(f"{address}{page.path}")
                    if window.locator("[data-live-word]").count():
                        window.wait_for_function(
                            "() => document.querySelector('[data-live-word]').textContent === 'Live'"
                        )
                        # What changed with the first message is marked for a moment.
                        time.sleep(0.3)
                    save(window, FOLDER / f"{page.name}-{state}-{width}-{scheme}.png", width=width, most=HEIGHT_MOST)
                    cover = f"{page.name}-{width}-{scheme}.png"
                    if state == "busy" and cover in COVERS:
                        save(window, COVERS_FOLDER / cover, width=width, most=height)
            stranger.context.close()
            staff.context.close()


def save(window: Any, path: Path, *, width: int, most: int) -> None:
    """The page from its top, at most `most` pixels of it, in few colours: a picture of text needs no more."""
    from PIL import Image

    from tests.browser.test_audit import FIND_CUT

    height = min(most, window.evaluate("document.documentElement.scrollHeight"))
    for cut in window.evaluate(FIND_CUT):
        sys.stdout.write(f"{path.name}: {cut}\n")
    shot = window.screenshot(full_page=True, clip={"x": 0, "y": 0, "width": width, "height": height})
    picture = (
        Image.open(io.BytesIO(shot))
        .convert("RGB")
        .quantize(COLOURS, method=Image.Quantize.MEDIANCUT, kmeans=2, dither=Image.Dither.NONE)
    )
    picture.save(path, optimize=True)
    sys.stdout.write(f"{path.name} {path.stat().st_size // 1024} KB\n")


if __name__ == "__main__":
    main(sys.argv[1:])
