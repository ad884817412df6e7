"""The one kind of error that users are meant to read."""


class UserError(ValueError):
    """A fault in what the user gave: the message names what was found, where, and what to do.

    The command line prints it without a traceback and exits with 2.
    """
