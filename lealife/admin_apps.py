from django.contrib.admin import apps


class LeaLifeAdminConfig(apps.AdminConfig):
    """Django admin, with an index by job."""

    default_site = "lealife.admin_site.LeaLifeAdminSite"
