"""The API: routers, authentication and limits put together."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseRedirect
from django.urls import reverse
from ninja import NinjaAPI, Router

from lealife.api import definitions, health, promotion, tasks, training
from lealife.api.problems import add_problem_handlers
from lealife.api.rendering import JsonRenderer
from lealife.api.throttle import CallerThrottle
from lealife.auth import allow
from lealife.lib.errors import NotFound

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
REQUESTS_PER_MINUTE = 600

api = NinjaAPI(
    title="LeaLife",
    version="1",
    description="Runs web-navigating agents on local Ollama models, and makes them better while they work.",
    urls_namespace="api",
    renderer=JsonRenderer(),
    auth=allow(None),
    throttle=[CallerThrottle(limit=REQUESTS_PER_MINUTE, period_s=60)],
)
add_problem_handlers(api)
api.add_router("/tasks", tasks.router)
api.add_router("/training/definitions", definitions.router)
api.add_router("/training", training.router)
api.add_router("/models", promotion.router)
api.add_router("/health", health.router)

front = Router()


@front.get("/", auth=None, include_in_schema=False)
def show_documentation(request: HttpRequest) -> HttpResponseRedirect:
    """The way to the documentation."""
    return HttpResponseRedirect(reverse("api:openapi-view"))


api.add_router("", front)

# Last: whatever no router knows is answered in the API's own way, not with a web page.
elsewhere = Router()


@elsewhere.api_operation(METHODS, "/{path:rest}", auth=None, include_in_schema=False)
def refuse_unknown_address(request: HttpRequest, rest: str) -> None:
    """No such address."""
    raise NotFound(f"There is nothing at {request.path}.")


api.add_router("", elsewhere)
