"""All pages and forms, in the order of the navigation."""

from chatd.admin_pages import (
    analytics,
    audit,
    bans,
    bots,
    cluster,
    conversations,
    overview,
    reports,
    security,
    tokens,
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
    *bots.PAGES,
    *webhooks.PAGES,
    *tokens.PAGES,
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
    *bots.ACTIONS,
    *webhooks.ACTIONS,
    *tokens.ACTIONS,
    *cluster.ACTIONS,
)
OWN_FORMS = security.OWN_FORMS
