"""The newest compliance report of each caller, kept in memory for the resource oauth://compliance."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

from oauth_server.core.access import Principal
from oauth_tools.common import pretty

CALLERS: Final = 100
NONE_YET: Final = {
    "message": "There is no report yet. Call the tool mcp_oauth_check_compliance, then read this resource again: it "
    "holds your newest report, for as long as this server process runs."
}


class NewestReports:
    """A report may tell about a server that only its caller knows, so each caller, a person with a client, has its own.

    Callers without a token, who may check this server alone, share one.
    """

    def __init__(self) -> None:
        self._texts: OrderedDict[tuple[str, str], str] = OrderedDict()

    def keep(self, caller: Principal, report: Mapping[str, Any]) -> None:
        """Keep a report in place of the caller's former one; of too many callers, the oldest report goes."""
        key = (caller.subject, caller.client_id)
        self._texts[key] = pretty(report)
        self._texts.move_to_end(key)
        if len(self._texts) > CALLERS:
            self._texts.popitem(last=False)

    def of(self, caller: Principal) -> str:
        """The caller's newest report as JSON, or JSON that says how to come by one."""
        return self._texts.get((caller.subject, caller.client_id)) or pretty(NONE_YET)
