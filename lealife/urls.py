"""Every address of LeaLife: pages, API, admin, signing in."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.templatetags.static import static
from django.urls import include, path
from django.views.defaults import bad_request

from lealife.api.problems import on_malformed
from lealife.api.root import api
from lealife.slashes import API


def show_icon(request: HttpRequest) -> HttpResponseRedirect:
    """Redirects to the icon. Browsers request this address for pages that name no icon."""
    return HttpResponseRedirect(static("favicon.svg"))


def handler400(request: HttpRequest, exception: Exception) -> HttpResponse:
    """The answer to requests that middleware refuses, such as a wrong Host: a problem below `/api/`, else a page."""
    answer = on_malformed if request.path_info.startswith(API) else bad_request
    return answer(request, exception)


urlpatterns = [
    path("", include("lealife.dashboard.urls")),
    path("login/", LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("admin/", admin.site.urls),
    path("api/", api.urls),
    path("favicon.ico", show_icon),
]
