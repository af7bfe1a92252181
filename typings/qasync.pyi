import asyncio

from PySide6.QtCore import QCoreApplication

class QEventLoop(asyncio.BaseEventLoop):
    def __init__(self, app: QCoreApplication | None = None) -> None: ...
