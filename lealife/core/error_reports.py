"""The filter of settings in Django's error reports."""

from __future__ import annotations

import re

from django.views.debug import SafeExceptionReporterFilter


class ErrorReportFilter(SafeExceptionReporterFilter):
    """Django's filter, which here also hides the model servers' addresses: they may contain a password."""

    hidden_settings = re.compile(f"{SafeExceptionReporterFilter.hidden_settings.pattern}|OLLAMA_HOST", re.IGNORECASE)
