"""One row of the table: a rule, the role it judges, its family, its level in each version, and its depth."""

from typing import Final

from oauth_server.compliance.model import Check, Depth, Role, Rule, levels

AS: Final[Role] = "authorization server"
RS: Final[Role] = "resource server"


def check(name: str, role: Role, family: str, letters: str, depth: Depth, rule: Rule) -> Check:
    """Return the check; `letters` as `model.levels` reads them."""
    return Check(name, rule.title, role, family, levels(letters), rule.sources, depth, rule.fix, rule.run)
