from django.apps import AppConfig


class LearningConfig(AppConfig):
    name = "learning"
    verbose_name = "Learning"

    def ready(self) -> None:
        """Keeps training from held-out questions. Models are imported only now, because Django has loaded them."""
        from learning.cases import refuse_held_out
        from training.admission import add_check

        add_check(refuse_held_out)
