"""All pages and forms, in the order of the navigation."""

from chatd.admin_pages import (
    analytics,
    audit,
    bans,
    cluster,
    conversations,
    overview,
    reports,
    security,
    users,
    webhooks,
)
from chatd.admin_pages.forms import Action
from chatd.admin_pages.page import Page

PAGES: tuple[Page, ...] = (
    *overview.PAGES,
    *reports.PAGES,
    *users.PAGES,
    *conversations.PAGES,
    *bans.PAGES,
    *webhooks.PAGES,
    *analytics.PAGES,
    *audit.PAGES,
    *cluster.PAGES,
    *security.PAGES,
)
ACTIONS: tuple[Action, ...] = (
    *reports.ACTIONS,
    *users.ACTIONS,
    *conversations.ACTIONS,
    *bans.ACTIONS,
    *webhooks.ACTIONS,
    *cluster.ACTIONS,
)
OWN_FORMS = security.OWN_FORMS
