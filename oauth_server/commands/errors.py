"""How a command ends that did not do what was asked."""

NOT_DONE = 1
MISTAKE = 2
NOT_PROVEN = 3


class CommandError(Exception):
    """Understood, but not done: nothing of that name, declined, a check failed. str() is the sentence to show."""

    status = NOT_DONE


class MistakeError(CommandError):
    """What was asked is itself mistaken: an option, a value, a missing terminal."""

    status = MISTAKE
