"""Which browser engine a run gets."""

from __future__ import annotations

from contextlib import AbstractContextManager

from training.agent.browser import Browser
from training.agent.http_browser import HttpBrowser
from training.models import Host, RuntimeSettings
from training.runtime_settings import read_settings


def open_browser(host: Host) -> AbstractContextManager[Browser]:
    """A browser for one run on `host`, behind the same guards whatever the engine."""
    row = read_settings()
    # A visible browser is asked for by Headful, a launched one by Autostart: either means Chromium.
    if row.browser_engine == RuntimeSettings.Engine.CHROMIUM or row.browser_headful or row.browser_autostart:
        from training.agent.chromium_browser import ChromiumBrowser

        return ChromiumBrowser(site=host.as_site(), headful=row.browser_headful)
    return HttpBrowser(site=host.as_site())
