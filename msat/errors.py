"""The two ways in which msat refuses to go on."""


class InputError(ValueError):
    """Bad input: the message is one line that says what, where, and what is allowed.

    The command line prints it and exits with code 2.
    """


class ComputationError(RuntimeError):
    """A computation that failed although its input was sound: divergence, no convergence.

    The command line prints it and exits with code 1.
    """
