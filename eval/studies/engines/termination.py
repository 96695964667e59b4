"""A request to end, which Ray would take as its own or tell as a Ctrl-C."""

import signal
import threading
from types import FrameType


class Termination:
    """What handled SIGTERM before Ray put its own handler there, and what that raised.

    Attributes:
        raised: by the handler; Ray, where the signal comes while it waits, raises a plain KeyboardInterrupt instead.
    """

    def __init__(self) -> None:
        self._handler = signal.getsignal(signal.SIGTERM)
        self.raised: BaseException | None = None

    def heed(self) -> None:
        """Put the handler back, so that tasks are cancelled before the process ends."""
        self._put(self if callable(self._handler) else self._handler)

    def leave(self) -> None:
        """Leave the handler as it was found."""
        self._put(self._handler)

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle the signal as before."""
        try:
            self._handler(number, frame)  # type: ignore[misc,operator]
        except BaseException as error:
            self.raised = error
            raise

    def _put(self, handler: object) -> None:
        if handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)  # type: ignore[arg-type]
