"""Opens the Qt client `opcua-client` as a person would, connects it to a server, opens a condition in its tree and
subscribes to the events of Server; after a while asks for what stands (ConditionRefresh) and takes a picture of its window.

    qt_client.py URL FILE.png SECONDS [CONDITION]

Needs `opcua-client` and PyQt5 (see `take.py`) and a display; the client itself is used as it is.
"""

import sys
import tempfile

from asyncua import ua
from PyQt5.QtCore import QSettings, QTimer
from PyQt5.QtWidgets import QApplication
from uaclient.mainwindow import Window


def main(url: str, file: str, seconds: int, condition: str) -> int:
    """Runs the client for so long."""
    with tempfile.TemporaryDirectory() as settings:
        return run(url, file, seconds, condition, settings)


def run(url: str, file: str, seconds: int, condition: str, settings: str) -> int:
    """The same with what it remembers in a folder of its own."""
    app = QApplication(sys.argv[:1])
    # Nothing of a person's own settings, and nothing is left behind.
    QSettings.setDefaultFormat(QSettings.IniFormat)
    QSettings.setPath(QSettings.IniFormat, QSettings.UserScope, settings)
    window = Window()
    window.resize(1500, 850)
    window.ui.addrComboBox.setCurrentText(url)
    window.show()
    window.connect()
    server = window.uaclient.client.nodes.server
    window.event_ui._subscribe(server)
    window.ui.evView.setWordWrap(True)

    def look() -> None:
        if condition:
            window.tree_ui.expand_to_node(window.uaclient.client.get_node(condition))
        # What stands already is told again: it may have begun before anybody looked.
        condition_type, refresh = ua.NodeId(ua.ObjectIds.ConditionType), ua.NodeId(ua.ObjectIds.ConditionType_ConditionRefresh)
        client = window.uaclient.client
        asked = ua.Variant(window.uaclient._event_sub.aio_obj.subscription_id, ua.VariantType.UInt32)
        client.get_node(condition_type).call_method(client.get_node(refresh), asked)
        window.ui.evDockWidget.raise_()

    def picture() -> None:
        kept = window.grab().save(file)
        events = [window.event_ui.model.item(row).text() for row in range(window.event_ui.model.rowCount())]
        print(f"{len(events)} events; the last: {events[-1] if events else 'none'}", flush=True)
        window.uaclient.disconnect()
        app.exit(0 if kept and events else 1)

    QTimer.singleShot(1000 * seconds - 8000, look)
    QTimer.singleShot(1000 * seconds, picture)
    return app.exec_()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] if len(sys.argv) > 4 else ""))
