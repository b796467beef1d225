"""What an error code means to the person who asked, and what they can do about it."""

from __future__ import annotations

from dataclasses import dataclass

from training.agent.errors import ErrorCode


@dataclass(frozen=True, slots=True)
class ErrorWords:
    """One sentence each."""

    meaning: str
    remedy: str


WORDS: dict[str, ErrorWords] = {
    ErrorCode.NO_ROUTE: ErrorWords(
        "The run had followed every useful link before it found the answer.",
        "Ask in words that the site itself uses, or set a pages target. Training on this host makes more pages known.",
    ),
    ErrorCode.BUDGET_SPENT: ErrorWords(
        "The run used all its controller calls before it found the answer.",
        "Repeat the run: memory may have grown since. Staff can raise Controller Max Calls / Run.",
    ),
    ErrorCode.FETCH_FAILED: ErrorWords(
        "A page could not be fetched: the site did not answer, or answered with an error.",
        "Open the address yourself. When the site is back, repeat the run.",
    ),
    ErrorCode.BLOCKED_BY_POLICY: ErrorWords(
        "The host's own settings or LeaLife's guard refused an address.",
        "The sentence below gives the reason. Staff can check the host's address in admin.",
    ),
    ErrorCode.NOT_HTML: ErrorWords(
        "The page was neither HTML nor plain text, so there was nothing to read.",
        "Ask for a page with the same content as text.",
    ),
    ErrorCode.TOO_LARGE: ErrorWords(
        "The page was larger than a run may read.",
        "Ask for a smaller page of the site with the same content.",
    ),
    ErrorCode.REDIRECT_LOOP: ErrorWords(
        "The site redirected the run in a circle or too often.",
        "Open the address yourself. Often the site needs a cookie or another base address.",
    ),
    ErrorCode.MODEL_UNAVAILABLE: ErrorWords(
        "No model server could serve the model, or no tag is active yet.",
        "Look at System on the dashboard. When the server is back, repeat the run.",
    ),
    ErrorCode.MODEL_INVALID: ErrorWords(
        "The request to the model was invalid, or the model's answer could not be used.",
        "Read the error below: a schema may ask for more than fits. If this happens often, the model is too small.",
    ),
    ErrorCode.SERVED_OTHER_DIGEST: ErrorWords(
        "Another model answered than the one that routing chose, so the result proves nothing.",
        "`manage.py tags` shows what is wrong on which server. When the digests agree again, repeat the run.",
    ),
    ErrorCode.UNSURE: ErrorWords(
        "The run found text about the question, but none that is certain enough to be an answer.",
        "Read the closest text. If it answers, say so under “Was this right?”. If not, ask in words that the site "
        "itself uses, or name the page that you expect.",
    ),
    ErrorCode.VERIFICATION_FAILED: ErrorWords(
        "The run read pages, but its result did not pass the success check.",
        "If the closest text is right, say so under “Was this right?” and correct the check. If not, ask in words "
        "that the pages use.",
    ),
    ErrorCode.WORKER_LOST: ErrorWords(
        "The worker that executed the run stopped renewing its lease: it has probably crashed.",
        "Repeat the run. Nothing from it was kept as evidence.",
    ),
    ErrorCode.TIMEOUT: ErrorWords(
        "The run took longer than its time limit.",
        "Repeat it when the machine is less busy, or ask for fewer pages.",
    ),
    ErrorCode.CANCELLED: ErrorWords("The run was cancelled before it ended.", "Repeat it if you still need it."),
    ErrorCode.INTERNAL_ERROR: ErrorWords(
        "Something broke inside LeaLife. This is our fault.",
        "Repeat the run. If it breaks again, the workers' log shows where.",
    ),
}
# Words that stand in the sentence of a blocked address → what it means. An alias helps in the first case only.
BLOCKED: dict[str, ErrorWords] = {
    "is outside of": ErrorWords(
        "A link or redirect led to an address outside of the run's host.",
        "If the address belongs to the same site, staff can add it to the host's aliases.",
    ),
    "egress guard": ErrorWords(
        "The guard refused to connect: the address is private, or its scheme or port is not the host's.",
        "If it is a site in your own network, staff can tick “may be private” for this host.",
    ),
    "robots.txt forbids": ErrorWords(
        "The site's robots.txt forbids programs to read this address, and LeaLife obeys it.",
        "Ask about a page that the site allows, or ask the site's owner to allow this one.",
    ),
}
UNKNOWN = ErrorWords("This error code is unknown.", "The sentence next to it is all that was recorded.")


def explain_error(code: str, *, sentence: str = "") -> ErrorWords | None:
    """The words for a code, and for a blocked address by its `sentence`; None without a code."""
    if code == ErrorCode.BLOCKED_BY_POLICY:
        for part, words in BLOCKED.items():
            if part in sentence:
                return words
    return WORDS.get(code, UNKNOWN) if code else None
