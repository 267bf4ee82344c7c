"""Who reports to whom: a small directory read from the setting DIRECTORY, as JSON of each person's manager.

{"ada@example.com": "grace@example.com", "grace@example.com": "edsger@example.com", "edsger@example.com": null}
"""

import json

from workflows import settings
from workflows.settings import SettingMissing

SETTING = "DIRECTORY"


def directory() -> dict[str, str | None]:
    """Every person and their manager; raises SettingMissing when the setting is missing or is not such a list."""
    text = settings.required(SETTING, 'who reports to whom, as JSON such as {"ada": "grace", "grace": null}')
    try:
        people = json.loads(text)
    except ValueError as error:
        raise SettingMissing(f"The app setting {SETTING} is not JSON: {error}.") from error
    if not isinstance(people, dict) or not all(m is None or isinstance(m, str) for m in people.values()):
        raise SettingMissing(f"The app setting {SETTING} must map each person to a manager or null.")
    return people


def managers(person: str) -> list[str]:
    """The person's manager, that one's manager, and so on to the top; nobody twice, even in a circle."""
    people = directory()
    chain: list[str] = []
    above = people.get(person)
    while above and above != person and above not in chain:
        chain.append(above)
        above = people.get(above)
    return chain
