"""Opens the Qt client `opcua-client` on the demo as a person would, acknowledges an alarm with it, and takes three
pictures of its window into a folder:

    qt_client.py URL FOLDER

`alarm-nodes.png`: an alarm's node and its plain variables; `alarm-acknowledged.png`: the method Acknowledge before and
after; `alarm-events.png`: the events of Server. It is the client as it is, with its columns and panes drawn to another
size; the one thing that it cannot do is in `acknowledgement`. Needs a display and what `requirements.txt` names (see `take.py`).
"""

from __future__ import annotations

import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from PyQt5.QtCore import QModelIndex, QPoint, QSettings, Qt, QTimer
from PyQt5.QtGui import QStandardItem
from PyQt5.QtTest import QTest
from PyQt5.QtWidgets import QApplication, QHeaderView, QLineEdit
from uaclient.mainwindow import Window
from uawidgets.call_method_dialog import CallMethodDialog

import pictures

AREA = "ns=2;s=area:plant/motor"
HOT = "ns=2;s=hot/limit/plant/motor/bearing_temp"
TANK = "ns=2;s=area:plant/tank"
FROZEN = "ns=2;s=frozen/stuck/plant/tank/level"
ACKNOWLEDGE = "i=9111"
# As the client writes it.
GOOD = "StatusCode(value=0)"
# What the list of watched variables shows: the plain ones, then the states of the node itself.
PLAIN = ["Active", "Acknowledged", "Severity", "Message", "LastChange", "Score", "Shelved", "EventId", "AcknowledgeRequest"]
STATES = ["ActiveState", "AckedState", "ConfirmedState", "Comment", "ClientUserId"]
# Signals whose faults the demo shows within a minute.
FAULTS = ["motor/bearing_temp", "tank/level", "heater/outlet_temp"]
WAIT_S = 120

Waits = Iterator[tuple[str, Callable[[], bool]]]


class Desk:
    """The client's window, and what a person does at it."""

    def __init__(self, url: str, folder: Path) -> None:
        self.folder = folder
        self.window = Window()
        self.ui = self.window.ui
        self.ui.addrComboBox.setCurrentText(url)
        self.ui.logDockWidget_2.close()
        self.window.addDockWidget(Qt.BottomDockWidgetArea, self.ui.evDockWidget)
        self.ui.evDockWidget.hide()
        self.window.show()
        self.window.connect()
        self.client = self.window.uaclient.client

    def arrange(self, width: int, height: int, right: int) -> None:
        """The window's size, and the width of what is at its right."""
        self.window.resize(width, height)
        self.window.resizeDocks([self.ui.attrDockWidget, self.ui.subDockWidget], [right, right], Qt.Horizontal)
        for column, size in enumerate([310, 140]):
            self.ui.treeView.header().resizeSection(column, size)
        for column, size in enumerate([170, 330]):
            self.ui.attrView.header().resizeSection(column, size)
        QApplication.processEvents()

    def open(self, *nodes: str) -> QStandardItem:
        """Opens the tree along these nodes, each below the one before, and selects the last."""
        view, item = self.ui.treeView, self.window.tree_ui.model.item(0, 0)
        for node in ("i=85", *nodes):
            view.setExpanded(item.index(), True)
            QApplication.processEvents()
            below = (item.child(row, 2).text() for row in range(item.rowCount()))
            at = next((row for row, shown in enumerate(below) if shown == node), None)
            if at is None:
                raise LookupError(f"the tree has no `{node}` below `{item.text()}`")
            item = item.child(at, 0)
        view.setCurrentIndex(item.index())
        QApplication.processEvents()
        return item

    def watch(self, *nodes: str) -> None:
        """Puts variables into the list of subscriptions."""
        for node in nodes:
            self.window.datachange_ui._subscribe(self.client.get_node(node))
        self.ui.subView.verticalHeader().setDefaultSectionSize(22)
        header = self.ui.subView.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.Interactive)
        header.setStretchLastSection(True)
        for column, size in enumerate([160, 370]):
            header.resizeSection(column, size)

    def watched(self, name: str) -> str:
        """What the list shows of a variable."""
        model = self.window.datachange_ui.model
        rows = (row for row in range(model.rowCount()) if model.item(row, 0).text() == name)
        return model.item(next(rows), 1).text()

    def events(self) -> list[str]:
        """The lines of the event view."""
        model = self.window.event_ui.model
        return [model.item(row).text() for row in range(model.rowCount())]

    def value_row(self) -> QModelIndex:
        """Where the attribute view shows the selected variable's value."""
        model = self.window.attrs_ui.model
        names = (model.item(row, 0) for row in range(model.rowCount()))
        value = next(item for item in names if item.text() == "Value")
        rows = range(value.rowCount())
        return next(value.child(row, 1).index() for row in rows if value.child(row, 0).text() == "Value")

    def event_id(self) -> str:
        """What it shows of the selected EventId now, to be copied from there."""
        self.window.show_attrs(None)
        return self.value_row().data()

    def can_copy(self) -> bool:
        """Whether the client takes back what it shows: it cuts bytes at the ends that are blanks as letters."""
        return self.event_id() == self.event_id().strip()

    def write(self, text: str) -> None:
        """Edits the selected variable's value in the attribute view."""
        view, at = self.ui.attrView, self.value_row()
        view.setCurrentIndex(at)
        view.edit(at)
        editor = view.findChild(QLineEdit)
        editor.setText(text)
        QTest.keyClick(editor, Qt.Key_Return)
        QApplication.processEvents()

    def call(self, *arguments: str) -> CallMethodDialog:
        """The dialog of the action `Call` on the selected method, filled in."""
        dialog = CallMethodDialog(self.window, self.client, self.window.get_current_node())
        for field, text in zip(dialog.inputs, arguments):
            field.setText(text)
            field.setCursorPosition(0)
        dialog.show()
        corner = self.window.rect().bottomRight() - dialog.rect().bottomRight()
        dialog.move(self.window.mapToGlobal(corner - QPoint(12, 40)))
        QApplication.processEvents()
        return dialog

    def keep(self, name: str) -> None:
        """The window as it is."""
        pictures.keep(pictures.of(self.window), self.folder / name)


def sitting(desk: Desk) -> Waits:
    """What is done, one after the other; each pause says what it waits for."""
    desk.window.event_ui._subscribe(desk.client.nodes.server)
    desk.arrange(1500, 960, 610)
    desk.watch(*(f"{HOT}#Values/{name}" for name in PLAIN), *(f"{HOT}#{name}" for name in STATES))
    yield "the hot bearing", lambda: desk.watched("Active") == "True"
    yield from nodes(desk)
    yield from acknowledgement(desk)
    yield "three alarms", lambda: all(any(fault in text for text in desk.events()) for fault in FAULTS)
    yield from written(desk)
    yield from told(desk)


def nodes(desk: Desk) -> Waits:
    """An alarm's node with its states and methods, and its plain variables."""
    values = f"{AREA}#AlarmValues"
    desk.open("ns=2;s=area:plant", AREA, f"{AREA}#Alarms", HOT, f"{HOT}#AckedState")
    desk.open("ns=2;s=area:plant", AREA, values, f"{HOT}#Values", f"{HOT}#Values/AcknowledgeRequest")
    top = desk.open("ns=2;s=area:plant", AREA, values)
    desk.ui.treeView.scrollTo(top.index(), desk.ui.treeView.PositionAtTop)
    desk.open("ns=2;s=area:plant", AREA, values, f"{HOT}#Values", f"{HOT}#Values/AcknowledgeRequest")
    desk.window.resizeDocks([desk.ui.attrDockWidget, desk.ui.subDockWidget], [430, 400], Qt.Vertical)
    yield after(1.0)
    desk.keep("alarm-nodes.png")


def acknowledgement(desk: Desk) -> Waits:
    """Acknowledge: the EventId as the client shows it, copied into its dialog.

    Methods of conditions are nodes that all conditions share with their type, and this client takes the first parent of
    such a node for the object of the call, which is the type: it is refused. So the dialog is told the condition then,
    which nobody can do who sits before it.
    """
    desk.open("ns=2;s=area:plant", AREA, f"{AREA}#AlarmValues", f"{HOT}#Values", f"{HOT}#Values/EventId")
    yield "an EventId that can be copied", desk.can_copy
    seen = desk.event_id()
    desk.ui.attrDockWidget.hide()
    desk.arrange(1240, 690, 640)
    top = desk.open("ns=2;s=area:plant", AREA, f"{AREA}#Alarms")
    desk.ui.treeView.scrollTo(top.index(), desk.ui.treeView.PositionAtTop)
    desk.open("ns=2;s=area:plant", AREA, f"{AREA}#Alarms", HOT, ACKNOWLEDGE)
    dialog = desk.call(seen, "on my way")
    dialog.call()
    if "BadNodeIdInvalid" not in dialog.result_label.text():
        raise ValueError(f"the client calls Acknowledge by itself, and the guide says otherwise: {dialog.result_label.text()}")
    dialog.close()
    dialog = desk.call(seen, "on my way")
    dialog.node.get_parent = lambda: desk.client.get_node(HOT)
    before = pictures.of(desk.window, dialog)
    dialog.call()
    if dialog.result_label.text() != GOOD:
        raise ValueError(f"Acknowledge was refused: {dialog.result_label.text()}")
    yield "the acknowledgement", lambda: desk.watched("Acknowledged") == "True"
    yield after(1.0)
    pictures.keep(pictures.stacked([before, pictures.of(desk.window, dialog)]), desk.folder / "alarm-acknowledged.png")
    dialog.close()
    desk.ui.attrDockWidget.show()


def written(desk: Desk) -> Waits:
    """The same of another alarm, as clients do it that read and write values only."""
    acknowledged = desk.client.get_node(f"{FROZEN}#Values/Acknowledged")
    values = ("ns=2;s=area:plant", TANK, f"{TANK}#AlarmValues", f"{FROZEN}#Values")
    desk.open(*values, f"{FROZEN}#Values/EventId")
    yield "an EventId that can be copied", desk.can_copy
    seen = desk.event_id()
    desk.open(*values, f"{FROZEN}#Values/AcknowledgeRequest")
    desk.write(seen)
    yield "the written acknowledgement", acknowledged.read_value
    print("AcknowledgeRequest: taken", flush=True)


def told(desk: Desk) -> Waits:
    """The events as they came. Their fields are in no order that anybody chose: their messages are scrolled to."""
    for pane in (desk.ui.attrDockWidget, desk.ui.subDockWidget, desk.ui.refDockWidget, desk.ui.graphDockWidget):
        pane.hide()
    view = desk.ui.evView
    view.setHorizontalScrollMode(view.ScrollPerPixel)
    desk.ui.evDockWidget.show()
    desk.arrange(1240, 480, 10)
    desk.window.resizeDocks([desk.ui.evDockWidget], [270], Qt.Vertical)
    top = desk.open("i=2253")
    desk.ui.treeView.scrollTo(top.index(), desk.ui.treeView.PositionAtTop)
    yield after(1.0)
    before = (text[: text.index("Message:")] for text in desk.events())
    view.horizontalScrollBar().setValue(min(view.fontMetrics().horizontalAdvance(text) for text in before) - 12)
    yield after(1.0)
    desk.keep("alarm-events.png")


def after(seconds: float) -> tuple[str, Callable[[], bool]]:
    """A pause for what is being drawn."""
    end = time.monotonic() + seconds
    return "a moment", lambda: time.monotonic() > end


class Play:
    """Goes on with what is done whenever what it waits for is there, beside the client's own loop."""

    def __init__(self, app: QApplication, waits: Waits) -> None:
        self.app, self.waits = app, waits
        self.what, self.there = after(0.0)
        self.deadline = time.monotonic() + WAIT_S
        self.timer = QTimer()
        self.timer.timeout.connect(self.step)
        self.timer.start(200)

    def step(self) -> None:
        """One look; what fails ends the client."""
        try:
            if not self.there():
                if time.monotonic() > self.deadline:
                    raise TimeoutError(f"{self.what} did not come within {WAIT_S} s")
                return
            self.what, self.there = next(self.waits)
            self.deadline = time.monotonic() + WAIT_S
        except StopIteration:
            self.end(0)
        except Exception:
            traceback.print_exc()
            self.end(1)

    def end(self, code: int) -> None:
        """Closes the client."""
        self.timer.stop()
        self.app.exit(code)


def main(url: str, folder: Path) -> int:
    """All of it, with what the client remembers in a folder of its own."""
    app = QApplication(sys.argv[:1])
    with tempfile.TemporaryDirectory() as settings:
        QSettings.setDefaultFormat(QSettings.IniFormat)
        QSettings.setPath(QSettings.IniFormat, QSettings.UserScope, settings)
        desk = Desk(url, folder)
        play = Play(app, sitting(desk))
        code = app.exec_()
        play.timer.stop()
        desk.window.uaclient.disconnect()
        return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
