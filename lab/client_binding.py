"""What a durable client gets: the JSON of the durableClient binding, and the links of one instance.

As `BindingHelper` and `HttpApiHandler` of the extension (2.13.7) build them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from urllib.parse import quote

HOOK = "/runtime/webhooks/durabletask"
SYSTEM_KEY = "durabletask_extension"
LINKS = {
    "statusQueryGetUri": "",
    "sendEventPostUri": "/raiseEvent/{eventName}",
    "terminatePostUri": "/terminate?reason={text}",
    "rewindPostUri": "/rewind?reason={text}",
    "purgeHistoryDeleteUri": "",
    "restartPostUri": "/restart",
    "suspendPostUri": "/suspend?reason={text}",
    "resumePostUri": "/resume?reason={text}",
}


@dataclass(frozen=True)
class LinkMaker:
    """Builds links for one host: `origin` is scheme, host and port; `key` the system key, empty when none is asked."""

    origin: str
    hub: str
    connection: str = "Storage"
    key: str = ""

    def of_instance(self, instance_id: str, rewind: bool = False) -> dict[str, str]:
        """The check-status document of an instance; the start webhook leaves the rewind link out."""
        escaped = escape_id(instance_id)
        links = {name: self._link(escaped, rest) for name, rest in LINKS.items() if rewind or "rewind" not in name}
        return {"id": instance_id, **links}

    def binding(self, rpc_base: str, hub: str = "", connection: str = "") -> str:
        """The text a durable client is made of; hub and connection are those of the binding, if it names any."""
        own = LinkMaker(self.origin, hub or self.hub, connection or self.connection, self.key)
        code = f"code={self.key}" if self.key else ""
        create = f"{self.origin}{HOOK}/orchestrators/{{functionName}}[/{{instanceId}}]"
        wait = "timeout={timeoutInSeconds}&pollingInterval={intervalInSeconds}"
        return json.dumps(
            {
                "taskHubName": own.hub,
                "creationUrls": {
                    "createNewInstancePostUri": f"{create}?{code}" if code else create,
                    "createAndWaitOnNewInstancePostUri": f"{create}?{wait}" + (f"&{code}" if code else ""),
                },
                "managementUrls": own.of_instance("INSTANCEID", rewind=True),
                "baseUrl": self.origin + HOOK,
                "requiredQueryStringParameters": code,
                "rpcBaseUrl": rpc_base,
            }
        )

    def _link(self, escaped_id: str, rest: str) -> str:
        joint = "&" if "?" in rest else "?"
        code = f"&code={self.key}" if self.key else ""
        return (
            f"{self.origin}{HOOK}/instances/{escaped_id}{rest}{joint}"
            f"taskHub={self.hub}&connection={self.connection}{code}"
        )


def escape_id(instance_id: str) -> str:
    """An instance id in a link, as .NET's form encoder writes it: a blank becomes `+` (and the link does not work)."""
    return quote(instance_id.encode("utf-8", "surrogatepass"), safe=" -_.!*()").replace("~", "%7E").replace(" ", "+")
