from django.apps import AppConfig


class TrainingConfig(AppConfig):
    """What happened: hosts, sources, cycles, runs, outcomes."""

    name = "training"
    verbose_name = "Training"
