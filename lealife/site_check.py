"""The check of a site before anything is read of it: what was found, and what to do, in plain words."""

from __future__ import annotations

from dataclasses import dataclass

from lealife.pipeline.browsers import open_http, runs_scripts
from training.agent.errors import AgentError, ErrorCode
from training.agent.reading.page import SHELL_SAYS_LITTLE, parse_page
from training.agent.web.address import canonical_url
from training.agent.web.browser import ERRORS_FROM, Page
from training.models import Host
from training.runtime_settings import read_settings

# Someone waits for the answer, so the site's turns are not waited for as long as by a run. In seconds.
PATIENCE_S = 15.0
_LATER = "Look at the base URL, or check again when the site is back."
# What the sentence of an error leaves open. A refused address says itself what to do.
_REMEDIES = {
    ErrorCode.FETCH_FAILED: _LATER,
    ErrorCode.TIMEOUT: _LATER,
    ErrorCode.NOT_HTML: "Name a page as the base URL.",
    ErrorCode.TOO_LARGE: "Name a smaller page as the base URL.",
    ErrorCode.REDIRECT_LOOP: "Name the page that it should lead to as the base URL.",
}
_ALLOW = "If the site is in your own network, tick “May be private”."
_ASK_OWNER = "LeaLife obeys it: ask the site’s owner, or name a page that is allowed as the base URL."


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found and what to do, for people. `is_good`: runs can read the start page as it is set up."""

    words: str
    is_good: bool


def check_site(host: Host) -> Finding:
    """Asks a host for its robots.txt and its start page, as a run would. Network: not within a transaction."""
    try:
        with open_http(host, seconds=PATIENCE_S) as browser:
            return _judge_page(browser.fetch(host.base_url), host=host)
    except AgentError as error:
        return Finding(f"{error.message} {_find_remedy(error, host=host)}".strip(), is_good=False)


def _find_remedy(error: AgentError, *, host: Host) -> str:
    if "robots.txt forbids" in error.message:
        return _ASK_OWNER
    if "egress guard" in error.message and not host.may_be_private and "in admin" not in error.message:
        return _ALLOW
    return _REMEDIES.get(error.code, "")


def _judge_page(page: Page, *, host: Host) -> Finding:
    url = page.final_url
    if page.status >= ERRORS_FROM:
        return Finding(f"{url} answers with HTTP status {page.status}. {_LATER}", is_good=False)
    parsed = parse_page(body=page.body, media_type=page.media_type, url=url, site=host.as_site())
    if parsed.needs_scripts and not runs_scripts(read_settings()):
        remedy = "Choose it in the runtime settings as Browser Engine, then let the pages be read again."
        return Finding(f"{url} answers. {SHELL_SAYS_LITTLE} {remedy}", is_good=False)
    if parsed.needs_scripts:
        return Finding(f"{url} answers. It needs its scripts, and the engine that is set runs them.", is_good=True)
    if parsed.is_empty:
        return Finding(f"{url} answers with an empty page. Name another page as the base URL.", is_good=False)
    if url != canonical_url(host.base_url):
        return Finding(f"{host.base_url} leads on to {url}. Make that the base URL: it saves a request.", is_good=True)
    return Finding(f"{url} answers, robots.txt allows it, and it can be read.", is_good=True)
