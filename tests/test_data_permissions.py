"""Permissions of collections."""

from __future__ import annotations

from typing import get_args

import pytest

from wixhttp.data.schema.declarations import LEVELS, Permissions
from wixhttp.data.schema.permissions import Action, Identity, scope
from wixhttp.errors import WixDataError

MEMBER = Identity("ada", "siteMember")
ABOVE = [Identity("eve", "siteOwner"), Identity(None, "dataOwner"), Identity(is_elevated=True)]
ALLOWED = {
    ("ANYONE", "anonymous"): "all",
    ("ANYONE", "siteMember"): "all",
    ("SITE_MEMBER", "siteMember"): "all",
    ("SITE_MEMBER_AUTHOR", "siteMember"): "own",
}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("action", get_args(Action))
def test_each_level(level: str, action: Action) -> None:
    other = "ADMIN" if level == "ANYONE" else "ANYONE"
    permissions = Permissions(**{name: level if name == action else other for name in get_args(Action)})
    for identity in ABOVE:
        assert scope(permissions, action, identity, "books") == "all"
    for identity in (Identity(), MEMBER):
        expected = ALLOWED.get((level, identity.role))
        if expected == "own" and action == "insert":
            expected = "all"
        if expected is not None:
            assert scope(permissions, action, identity, "books") == expected
            continue
        with pytest.raises(WixDataError) as caught:
            scope(permissions, action, identity, "books")
        assert (caught.value.code, caught.value.status) == ("WDE0027", 403)
        rule = f"The current user does not have permissions to {action} on the books collection."
        way = "change permissions below [books] in data/collections.toml"
        assert caught.value.message.startswith(f"WDE0027: {rule} It takes {level}: pass suppressAuth")
        assert caught.value.message.endswith(way)


def test_a_collection_without_permissions_is_open() -> None:
    assert scope(None, "remove", Identity(), "books") == "all"


def test_an_identity_is_checked() -> None:
    with pytest.raises(ValueError, match="a role is one of anonymous, siteMember, siteOwner, dataOwner, not 'admin'"):
        Identity(role="admin")  # type: ignore[arg-type]
    for user_id in (None, ""):
        with pytest.raises(ValueError, match="a siteMember has a user_id"):
            Identity(user_id, "siteMember")
