"""Which browser engine a run gets."""

from __future__ import annotations

from contextlib import AbstractContextManager

from django.conf import settings

from lealife.pipeline.database_wait import patiently
from training.agent.task import DEADLINE_S
from training.agent.web.browser import RevisitingBrowser, name_user_agent
from training.agent.web.http_browser import HttpBrowser
from training.models import Host, RuntimeSettings
from training.runtime_settings import read_settings
from training.turns import HostPace


def open_browser(host: Host) -> AbstractContextManager[RevisitingBrowser]:
    """A browser on `host`, for one run or one visit of the crawl. Every engine has the same guards.

    It waits for the host's politeness delay no longer than a run that starts now may take, because a shutdown waits
    for it too.
    """
    row, http = read_settings(), open_http(host)
    if runs_scripts(row):
        from training.agent.web.chromium_browser import ChromiumBrowser

        return ChromiumBrowser(site=host.as_site(), http=http, headful=row.browser_headful)
    return http


def open_http(host: Host, *, seconds: float = DEADLINE_S) -> HttpBrowser:
    """The engine without scripts, on `host`. It waits for the host's turns no longer than `seconds`."""
    return HttpBrowser(
        site=host.as_site(),
        pace=PatientPace(host),
        run_seconds=seconds,
        user_agent=name_user_agent(settings.LEALIFE_CONTACT),
    )


def runs_scripts(row: RuntimeSettings) -> bool:
    """Whether the engine is Chromium. Headful asks for a visible browser and Autostart for a launched one."""
    return row.browser_engine == "chromium" or row.browser_headful or row.browser_autostart


class PatientPace:
    """The host's turns (politeness delay), which tolerate a short loss of Postgres."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def reserve_turn(self, *, delay_s: float, within_s: float) -> float | None:
        """See HostPace."""
        return patiently(lambda: HostPace.of(self._host).reserve_turn(delay_s=delay_s, within_s=within_s))

    def postpone(self, *, seconds: float) -> None:
        """See HostPace."""
        patiently(lambda: HostPace.of(self._host).postpone(seconds=seconds))
