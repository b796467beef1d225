"""Addresses of the pages."""

from __future__ import annotations

from django.urls import path

from lealife.dashboard import pages
from lealife.dashboard.ask import check_views
from lealife.dashboard.candidates import views as candidates_views
from lealife.dashboard.live import polling
from lealife.dashboard.runs import views as runs_views
from lealife.dashboard.training import actions

urlpatterns = [
    path("", pages.show_home, name="dashboard"),
    path("training/", pages.show_training, name="training"),
    path("training/actions/start/", actions.start, name="start_training"),
    path("training/actions/stop/", actions.stop, name="stop_training"),
    path("training/actions/queue/", actions.queue, name="queue_source"),
    path("training/actions/check/", check_views.say_check, name="say_check"),
    path("training/sources/<int:source_id>/actions/<slug:verb>/", actions.change_source, name="change_source"),
    path("training/definitions/actions/queue/", actions.queue_preset, name="queue_preset"),
    path("training/campaigns/<int:campaign_id>/actions/<slug:verb>/", actions.change_campaign, name="change_campaign"),
    path("training/settings/actions/preview/", actions.preview_settings, name="preview_settings"),
    path("training/settings/actions/apply/", actions.apply_draft, name="apply_draft"),
    path("training/settings/actions/<slug:verb>/", actions.move_draft, name="move_draft"),
    path("training/sources/", pages.list_sources, name="sources"),
    path("training/candidates/<int:evaluation_id>/", candidates_views.show_candidate, name="candidate"),
    path("training/promotion/<slug:verb>/", candidates_views.steer, name="steer_promotion"),
    path("tasks/new/", runs_views.make_task, name="make_task"),
    path("runs/", runs_views.list_runs, name="runs"),
    path("runs/<int:run_id>/", pages.show_run, name="run"),
    path("runs/<int:run_id>/pages/<slug:digest>/", runs_views.show_frozen_page, name="frozen_page"),
    path("runs/<int:run_id>/actions/<slug:verb>/", runs_views.act_on_run, name="act_on_run"),
    path("live/<slug:key>/", polling.poll_page, name="poll_page"),
]
