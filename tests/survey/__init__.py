"""Other people's servers, judged by the auditor: what it finds there is so, and nothing that is there is missed."""
