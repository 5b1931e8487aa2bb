"""The one error that a user is meant to read."""


class UserError(Exception):
    """Something the user can mend, told in one line: what is wrong, where, and what to do.

    The command line prints the line and exits with 2; a traceback is only for our own mistakes. The line never holds
    a patient's name, date or accession number.
    """
