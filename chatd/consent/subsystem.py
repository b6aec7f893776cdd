"""Consent: what users do with requests, and their contacts."""

from chatd.app.metrics import numbers_by
from chatd.app.personal_data import Part, PersonalData
from chatd.app.subsystem import Subsystem
from chatd.consent import contacts, requests
from chatd.conversations.consent_rules import RequestCounts
from chatd.core.ids import NIL
from chatd.db import queries

SQL = queries.load("consent/personal_data")

CONSENT = Subsystem(
    name="consent",
    about="requests of users who may not write first or add to groups, and contacts",
    commands=(requests, contacts),
    metrics=(
        numbers_by(
            "outcome",
            "chatd_requests_total",
            "Requests to users to accept a conversation or to join a group, by what happened to them on this node.",
            ("sent", "accepted", "declined", "blocked"),
            lambda node: node.get(RequestCounts).by_outcome,
        ),
    ),
    personal_data=PersonalData(
        export=(
            Part("contact", "users that the user has made contacts", SQL.contacts, ("user",)),
            Part("request", "requests to the user, and when they were declined", SQL.received, ("conversation",)),
            Part("sent_request", "requests of the user", SQL.sent, ("user", "conversation"), (NIL, NIL)),
        ),
        forget=(SQL.forget,),
    ),
)
