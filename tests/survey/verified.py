"""What was seen by hand of each finding at the other servers, by server and check."""

VERIFIED: dict[tuple[str, str], str] = {}
