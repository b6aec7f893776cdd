"""The admin command that returns the figures."""

from typing import Annotated

from msgspec import Meta

from chatd.analytics.days import day_of
from chatd.analytics.figures import Cohort, DayFigures, read_cohorts, read_days
from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply
from chatd.app.registry import admin_command
from chatd.wire.admin import AdminCommand
from chatd.wire.base import Result

MAX_DAYS = 400


class ShowAnalytics(AdminCommand, tag="admin.analytics"):
    """Get the figures of the last days, up to today, and the retention of the cohorts of the last weeks. See
    docs/analytics.md.
    """

    days: Annotated[int, Meta(ge=1, le=MAX_DAYS)] = 30
    weeks: Annotated[int, Meta(ge=1, le=60)] = 12


class Analytics(Result, tag="admin.analytics.figures"):
    """The figures: days in their order, cohorts with the latest week first."""

    days: list[DayFigures]
    cohorts: list[Cohort]


@admin_command(ShowAnalytics, result=Analytics, role="viewer")
async def show_analytics(ctx: Ctx, cmd: ShowAnalytics) -> Effects:
    db, today = ctx.node.db, day_of(ctx.now)
    days = await read_days(db, ctx.tenant, today - cmd.days + 1, today)
    return [Reply(Analytics(days=days, cohorts=await read_cohorts(db, ctx.tenant, cmd.weeks, today)))]
