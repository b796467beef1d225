from django.apps import AppConfig
from django.db.models.signals import post_migrate


class LeaLifeConfig(AppConfig):
    """The app of the pages, the API and the pipeline."""

    name = "lealife"
    verbose_name = "LeaLife"

    def ready(self) -> None:
        """Makes the roles when the tables are made: this app is the last, so all permissions exist by then."""
        from lealife.roles import make_roles

        post_migrate.connect(make_roles, sender=self, dispatch_uid="lealife.roles")
