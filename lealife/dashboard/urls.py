"""Addresses of the pages."""

from __future__ import annotations

from django.urls import path

from lealife.dashboard import candidate_pages, check_page, pages, polling, run_pages, verbs

urlpatterns = [
    path("", pages.show_home, name="dashboard"),
    path("training/", pages.show_training, name="training"),
    path("training/actions/start/", verbs.start, name="start_training"),
    path("training/actions/stop/", verbs.stop, name="stop_training"),
    path("training/actions/queue/", verbs.queue, name="queue_source"),
    path("training/actions/check/", check_page.say_check, name="say_check"),
    path("training/sources/<int:source_id>/actions/<slug:verb>/", verbs.change_source, name="change_source"),
    path("training/definitions/actions/queue/", verbs.queue_preset, name="queue_preset"),
    path("training/campaigns/<int:campaign_id>/actions/<slug:verb>/", verbs.change_campaign, name="change_campaign"),
    path("training/settings/actions/preview/", verbs.preview_settings, name="preview_settings"),
    path("training/settings/actions/apply/", verbs.apply_draft, name="apply_draft"),
    path("training/settings/actions/<slug:verb>/", verbs.move_draft, name="move_draft"),
    path("training/sources/", pages.list_sources, name="sources"),
    path("training/candidates/<int:evaluation_id>/", candidate_pages.show_candidate, name="candidate"),
    path("training/promotion/<slug:verb>/", candidate_pages.steer, name="steer_promotion"),
    path("tasks/new/", run_pages.make_task, name="make_task"),
    path("runs/", run_pages.list_runs, name="runs"),
    path("runs/<int:run_id>/", pages.show_run, name="run"),
    path("runs/<int:run_id>/pages/<slug:digest>/", run_pages.show_frozen_page, name="frozen_page"),
    path("runs/<int:run_id>/actions/<slug:verb>/", run_pages.act_on_run, name="act_on_run"),
    path("live/<slug:key>/", polling.poll_page, name="poll_page"),
]
