"""Bots: the list, and one with its token, its webhook and what an admin can do with it."""

from quart import Response

from chatd.admin_pages.forms import Action, Field, confirm, hidden
from chatd.admin_pages.page import Page, PageRequest
from chatd.core.errors import Refused

READS = (("commands", "what concerns it"), ("all", "all messages"))
LASTS = (("", "does not expire"), ("2592000", "30 days"), ("31536000", "1 year"))
OVERLAP = (("86400", "for a day"), ("3600", "for an hour"), ("0", "not at all"))


async def bots(page: PageRequest) -> Response:
    return await page.render("bots.html", found=await page.run("bots"))


async def bot(page: PageRequest, bot: str) -> Response:
    found = await page.run("bots")
    shown = next((one for one in found.items if one.id == bot), None)
    if shown is None:
        raise Refused("not_found", "no such bot")
    values = {
        "bot": shown.id,
        "handle": shown.handle,
        "name": shown.name,
        "description": shown.description,
        "reads": shown.reads,
        "webhook": shown.webhook.url if shown.webhook else "",
    }
    return await page.render("bot.html", shown=shown, values=values)


BOT = hidden("bot")
PROFILE = (
    Field("handle", "Handle"),
    Field("name", "Name", required=False),
    Field("description", "Description", "area", required=False),
    Field("reads", "Receives in groups", "select", choices=READS),
    Field("webhook", "Webhook", required=False, hint="A URL that gets its events; empty for none"),
)
ACTIONS = (
    Action(
        "bot-add", "bot.add", "Add the bot", "The bot is added. Its token is shown this once.",
        (*PROFILE, Field("lasts", "Its token", "select", required=False, choices=LASTS)), shows=True,
    ),
    Action("bot-update", "bot.update", "Change", "The bot is changed.", (BOT, *PROFILE), shows=True, edits=True),
    Action(
        "bot-token", "bot.token", "Make a new token", "The new token is shown this once.",
        (
            BOT,
            Field("overlap", "The present token stays valid", "select", choices=OVERLAP),
            Field("lasts", "The new token", "select", required=False, choices=LASTS),
        ),
        shows=True,
    ),
    Action(
        "bot-revoke", "bot.revoke", "Revoke the token", "The token is revoked, and its sessions are closed.", (BOT,),
        is_dangerous=True,
    ),
    Action(
        "bot-remove", "bot.remove", "Remove the bot", "The bot is removed.",
        (BOT, confirm("Remove it, and erase it as a user is")), is_dangerous=True,
    ),
)  # fmt: skip
PAGES = (Page("/admin/bots", bots, ("bots",), title="Bots"), Page("/admin/bots/<bot>", bot, ("bots",)))
