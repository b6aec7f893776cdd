"""Settings of accounts."""

from typing import Annotated

from msgspec import Meta, field

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


class TokenSettings(Section, frozen=True):
    """The tokens of one tenant: how they are signed, and what they contain."""

    secret: Annotated[
        str,
        SECRET,
        doc("HS256 key of the tenant, at least 32 bytes. Anyone who has it can sign in as any user of the tenant."),
    ] = ""
    secret_file: Annotated[str, doc("File that contains the secret, instead of secret.")] = ""
    algorithm: Annotated[
        Algorithm, doc("HS256, RS256, ES256 or EdDSA. The algorithm that a token names is never used.")
    ] = "HS256"
    jwks: Annotated[
        str,
        doc(
            "JWKS of an identity provider, for all algorithms except HS256: a file or an https URL (http on localhost)."
        ),
    ] = ""
    issuer: Annotated[str, doc("Required `iss` claim; if empty, it is not checked.")] = ""
    audience: Annotated[
        str, doc("Required `aud` claim, or several allowed ones separated by spaces; if empty, it is not checked.")
    ] = ""
    audience_claim: Annotated[str, doc("Claim that is compared with audience, such as client_id for Cognito.")] = "aud"
    scope: Annotated[
        str,
        doc("Scope that a token must have. If empty, a token without scopes is accepted, and others need `user`."),
    ] = ""
    scope_claims: Annotated[
        list[str], doc("Claims with scopes: each a list, or a text of scopes separated by spaces.")
    ] = field(default_factory=lambda: ["scope", "scp"])
    subject_claim: Annotated[str, doc("Claim that names the user, such as uid for Okta.")] = "sub"
    session_claim: Annotated[
        str, doc("Claim with the provider's session, such as sid: tokens with the same one are a login of login.list.")
    ] = ""
    name_claim: Annotated[
        str, doc("Claim with the name of the user. A dot leads into an object: `profile.name`. Empty: not taken.")
    ] = "name"
    picture_claim: Annotated[str, doc("Claim with the address of the user's picture.")] = "picture"
    locale_claim: Annotated[str, doc("Claim with the user's language, such as pt-BR.")] = "locale"
    roles_claim: Annotated[
        str, doc("Claim with the user's roles, such as realm_access.roles for Keycloak: a list, or one role.")
    ] = "roles"


class AuthSettings(TokenSettings, frozen=True):
    """The tokens of the default tenant, and what applies to all tenants."""

    access_ttl: Annotated[Lifetime, doc("Lifetime of an access token, in seconds.")] = 900.0
    refresh_ttl: Annotated[Lifetime, doc("Lifetime of a refresh token, in seconds; each rotation starts it again.")] = (
        2_592_000.0
    )
    refresh_grace: Annotated[
        Seconds,
        doc("Seconds in which a used refresh token may be presented again, as after a lost answer; 0 allows none."),
    ] = 30.0
    ticket_ttl: Annotated[Lifetime, doc("Lifetime of a connection ticket, in seconds.")] = 30.0
    leeway: Annotated[Seconds, doc("Tolerated clock difference, in seconds.")] = 5.0
    anonymous: Annotated[bool, doc("Allow anonymous sign-up, with nothing but a device id.")] = True
    create_users: Annotated[bool, doc("Create the user when a valid token names an unknown user id.")] = True
    query_token: Annotated[bool, doc("Accept ?token=JWT. URLs end up in logs: prefer ?ticket=.")] = False


class TenantSettings(TokenSettings, frozen=True):
    """The tokens of another tenant."""


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
