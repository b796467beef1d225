"""The stage that measures a live apply on the reserve, with the real model and the real tools of a worker."""

from __future__ import annotations

import pytest
from django.utils import timezone
from django_q.models import OrmQ

from lealife.core.digest import digest_value
from lealife.pipeline import stages
from lealife.pipeline.pool import get_pool
from lealife.pipeline.stages import drain, sweep
from learning.models import CurriculumTask
from promotion.applies import apply_canary
from promotion.evaluation.gain import read_gain, read_gains
from promotion.models.reserve import ReservePair
from tests.embedded.ollama_process import RunningOllama
from tests.promotion.scenes import make_passed_canary
from training.models import Host, Run

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("_may_drain")]
SAID = {"roses": "pruned in late winter", "trees": "has stood there for long"}


def make_reserve(host: Host) -> None:
    for name, passage in SAID.items():
        url = f"{host.base_url}{name}.html"
        CurriculumTask.objects.create(
            host=host,
            split="reserve",
            expected_url=url,
            page_digest=digest_value(url),
            passage=passage,
            prompt=f"Which page says “{passage}”?",
            check_spec={"expected_urls": [url]},
        )


@pytest.mark.model
def test_a_worker_measures_the_reserve_when_its_bell_rings(host: Host, ollama: RunningOllama):
    make_reserve(host)
    apply = apply_canary(canary_id=make_passed_canary(get_pool()).pk, now=timezone.now())
    assert stages.STAGES["reserve"].ready(timezone.now())
    sweep(timezone.now())
    assert OrmQ.objects.exists()
    # The sweep rang other stages too: their bells come first after each task.
    OrmQ.objects.all().delete()
    # Both tasks; then the measurement has been closed.
    assert drain("reserve") == 2
    assert not stages.STAGES["reserve"].ready(timezone.now())
    gain = read_gain(read_gains().get())
    assert (gain.state, gain.pairs) == ("measured", 2)
    after = ReservePair.objects.values_list("after_arm__run", flat=True)
    for run in Run.objects.filter(pk__in=after):
        assert run.controller_digest == apply.to_digest
        assert run.served_controller_digest in ("", apply.to_digest)
