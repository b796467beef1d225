"""The web process: pages and API over HTTP, live changes over the WebSocket."""

from __future__ import annotations

import gc
import os

from lealife.embedded.postgres import ensure_database_url

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "lealife.settings")
ensure_database_url()

from django.core.asgi import get_asgi_application  # noqa: E402  settings need the database's URL first

http = get_asgi_application()

from channels.auth import AuthMiddlewareStack  # noqa: E402  models need Django to be set up first
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402  as above
from django.urls import path  # noqa: E402  as above

import lealife.urls  # noqa: E402, F401  before the freeze below, not at the first request
from lealife.dashboard.live.consumer import LiveConsumer  # noqa: E402  as above
from lealife.dashboard.live.origin import SameOrigin  # noqa: E402  as above
from lealife.subpath import Mount  # noqa: E402  as above

sockets = URLRouter([path("ws/live/", LiveConsumer.as_asgi())])
websocket = SameOrigin(AuthMiddlewareStack(sockets))
application = Mount(ProtocolTypeRouter({"http": http, "websocket": websocket}))

# Everything loaded so far is permanent. Freeze it: a full garbage collection through it stops every socket for 0.1 s.
gc.collect()
gc.freeze()
