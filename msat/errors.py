"""The ways in which msat refuses to go on, or is stopped."""


class InputError(ValueError):
    """Bad input: the message is one line that says what, where, and what is allowed.

    The command line prints it and exits with code 2.
    """


class ComputationError(RuntimeError):
    """A computation that failed although its input was sound: divergence, no convergence.

    The command line prints it and exits with code 1.
    """


class Interrupted(BaseException):
    """A signal stopped a computation that has saved itself: not an error, and not to be caught as one.

    The command line prints the message and exits with code 128 + signal, as a shell does.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.signal_number = signal_number
