"""How the workflows read their app settings: when they are needed, with an error that names the setting."""

import os


class SettingMissing(Exception):
    """A setting that this step cannot do without is not set; set it as an app setting, or in local.settings.json."""


def text(name: str, default: str = "") -> str:
    """The setting's value without surrounding blanks, or the default when it is missing or empty."""
    return os.environ.get(name, "").strip() or default


def required(name: str, purpose: str) -> str:
    """The setting's value; raises SettingMissing, saying what it is for, when there is none."""
    value = text(name)
    if not value:
        raise SettingMissing(f"The app setting {name} is not set: it says {purpose}.")
    return value
