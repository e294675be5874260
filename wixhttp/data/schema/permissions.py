"""Identities, and what the permissions of a collection let them do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from wixhttp.errors import WixDataError
from wixhttp.project.toml_file import table_header

from .declarations import Permissions

Role = Literal["anonymous", "siteMember", "siteOwner", "dataOwner"]
Action = Literal["read", "insert", "update", "remove"]

_OWNERS = ("siteOwner", "dataOwner")


@dataclass(frozen=True)
class Identity:
    """The identity that acts. Items that it inserts belong to ``user_id``; owners and elevated ones may do everything.

    Raises:
        ValueError: there is no such role, or a member without an id, who could not own anything.
    """

    user_id: str | None = None
    role: Role = "anonymous"
    is_elevated: bool = False

    def __post_init__(self) -> None:
        roles = get_args(Role)
        if self.role not in roles:
            raise ValueError(f"a role is one of {', '.join(roles)}, not {self.role!r}")
        if self.role == "siteMember" and not self.user_id:
            raise ValueError(f"a siteMember has a user_id, not {self.user_id!r}; without one it is 'anonymous'")


def scope(
    permissions: Permissions | None, action: Action, identity: Identity, collection: str
) -> Literal["all", "own"]:
    """The items that ``identity`` may do ``action`` to: all, or those that it owns. Without permissions, all.

    Raises:
        WixDataError: none, WDE0027.
    """
    if permissions is None or identity.is_elevated or identity.role in _OWNERS:
        return "all"
    level = getattr(permissions, action)
    if level == "ANYONE":
        return "all"
    if identity.role == "siteMember":
        if level == "SITE_MEMBER":
            return "all"
        if level == "SITE_MEMBER_AUTHOR":
            return "all" if action == "insert" else "own"
    raise not_permitted(action, collection, permissions)


def not_permitted(action: Action, collection: str, permissions: Permissions | None) -> WixDataError:
    """The error for what the one who acts may not do to a collection, or to an item of it."""
    level = f" takes {getattr(permissions, action)}" if permissions is not None else " takes an owner"
    return WixDataError(
        "WDE0027",
        f"The current user does not have permissions to {action} on the {collection} collection. It{level}: pass"
        " suppressAuth (or elevate) after a check of your own, or change permissions below"
        f" {table_header(collection)} in data/collections.toml",
        status=403,
    )
