"""What Django's error reports show of the settings."""

from __future__ import annotations

import re

from django.views.debug import SafeExceptionReporterFilter


class ErrorReportFilter(SafeExceptionReporterFilter):
    """Django's own filter, which also hides where the model servers are: an address may hold a password."""

    hidden_settings = re.compile(f"{SafeExceptionReporterFilter.hidden_settings.pattern}|OLLAMA_HOST", re.IGNORECASE)
