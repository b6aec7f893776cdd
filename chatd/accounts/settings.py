"""Settings of accounts."""

from typing import Annotated

from msgspec import Meta

from chatd.core.config import (
    SECRET,
    Algorithm,
    Count,
    Declaration,
    Lifetime,
    NamedSettings,
    Seconds,
    Section,
    Settings,
    doc,
)


class AuthSettings(Section, frozen=True):
    secret: Annotated[
        str,
        SECRET,
        doc("HS256 key of the default tenant, at least 32 bytes. Anyone who has it can sign in as any user."),
    ] = ""
    secret_file: Annotated[str, doc("File that contains the secret, instead of secret.")] = ""
    algorithm: Annotated[
        Algorithm, doc("HS256, RS256, ES256 or EdDSA. The algorithm that a token names is never used.")
    ] = "HS256"
    jwks: Annotated[
        str, doc("JWKS of an identity provider (a file, or an https URL), for all algorithms except HS256.")
    ] = ""
    issuer: Annotated[str, doc("Required `iss` claim; if empty, it is not checked.")] = ""
    audience: Annotated[str, doc("Required `aud` claim; if empty, it is not checked.")] = ""
    access_ttl: Annotated[Lifetime, doc("Lifetime of an access token, in seconds.")] = 900.0
    refresh_ttl: Annotated[Lifetime, doc("Lifetime of a refresh token, in seconds; each rotation starts it again.")] = (
        2_592_000.0
    )
    ticket_ttl: Annotated[Lifetime, doc("Lifetime of a connection ticket, in seconds.")] = 30.0
    leeway: Annotated[Seconds, doc("Tolerated clock difference, in seconds.")] = 5.0
    anonymous: Annotated[bool, doc("Allow anonymous sign-up, with nothing but a device id.")] = True
    create_users: Annotated[bool, doc("Create the user when a valid token names an unknown user id.")] = True
    query_token: Annotated[bool, doc("Accept ?token=JWT. URLs end up in logs: prefer ?ticket=.")] = False


class TenantSettings(Section, frozen=True):
    secret: Annotated[str, SECRET, doc("HS256 key of this tenant.")] = ""
    secret_file: Annotated[str, doc("File that contains the secret, instead of secret.")] = ""
    algorithm: Annotated[Algorithm, doc("HS256, RS256, ES256 or EdDSA.")] = "HS256"
    jwks: Annotated[str, doc("JWKS of this tenant's identity provider.")] = ""
    issuer: Annotated[str, doc("Required `iss` claim.")] = ""
    audience: Annotated[str, doc("Required `aud` claim.")] = ""


class AccountLimits(Section, frozen=True):
    signups_per_minute: Annotated[Seconds, doc("Maximum anonymous sign-ups per minute and address.")] = 60.0
    auth_failures_per_minute: Annotated[
        Seconds, doc("Maximum rejected credentials per minute and address; further attempts get `rate_limited`.")
    ] = 120.0
    rotations_per_hour: Annotated[Count, doc("Maximum token refreshes of one login within an hour.")] = 120
    logins_per_user: Annotated[
        Count, doc("Maximum logins of a user who signs up with a device id; a new login ends the oldest one.")
    ] = 100


class BanNotice(Section, frozen=True):
    """What banned users are shown."""

    appeals: Annotated[
        str, doc("How to appeal, such as an e-mail address or a URL. Shown to banned users; empty shows nothing.")
    ] = ""
    show_reason: Annotated[bool, doc("Show banned users the reason of the ban.")] = False


class AccountRetention(Section, frozen=True):
    anonymous_days: Annotated[
        int,
        Meta(ge=0, le=36_500),
        doc(
            "Days after which an anonymous account is removed if its login has expired and it has left no "
            "data; 0 means never."
        ),
    ] = 90


TENANTS = """\
# Additional tenants, each with its own users and its own key:
# [tenants.acme]
# secret = "at least 32 bytes"
"""
SETTINGS: tuple[Declaration, ...] = (
    Settings("auth", AuthSettings),
    NamedSettings("tenants", TenantSettings, TENANTS),
    Settings("limits", AccountLimits),
    Settings("moderation", BanNotice),
    Settings("retention", AccountRetention),
)
