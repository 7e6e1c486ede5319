"""Draws a watched signal as any HMI can that reads history: raw values by HistoryRead, broken where the server says that
values are missing.

    trend.py URL NODE FOLDER

Writes `trend-with-a-gap.png` into the folder. It is no HMI of anybody's: the Qt client of the other pictures reads no
history. Needs a display and what `requirements.txt` names (see `take.py`).
"""

from __future__ import annotations

import datetime
import sys
from pathlib import Path

import pyqtgraph as pg
from asyncua import ua
from asyncua.sync import Client
from PyQt5.QtCore import Qt
from PyQt5.QtWidgets import QApplication

import pictures

PAST = datetime.timedelta(minutes=5)
LIMIT_C = 80.0


def main(url: str, node: str, folder: Path) -> int:
    """Reads, draws and keeps."""
    with Client(url) as client:
        end = datetime.datetime.now(datetime.timezone.utc)
        rows = client.get_node(node).read_raw_history(end - PAST, end)
    lost = [row for row in rows if row.StatusCode.value == ua.StatusCodes.BadDataLost]
    if not lost:
        raise LookupError(f"{node} has no gap in the last {PAST}")
    app = QApplication(sys.argv[:1])
    pg.setConfigOptions(antialias=True, background="w", foreground="k")
    plot = pg.PlotWidget(axisItems={"bottom": pg.DateAxisItem(utcOffset=0)})
    plot.resize(1000, 380)
    draw(plot, node, rows, lost)
    plot.show()
    app.processEvents()
    pictures.keep(pictures.of(plot), folder / "trend-with-a-gap.png")
    return 0


def draw(plot: pg.PlotWidget, node: str, rows: list[ua.DataValue], lost: list[ua.DataValue]) -> None:
    """A line that ends where values are missing, and what the server says of it."""
    plot.setTitle(f"HistoryRead, raw values of {node}")
    plot.setLabel("left", "°C")
    plot.setLabel("bottom", "SourceTimestamp, UTC")
    plot.showGrid(x=True, y=True, alpha=0.2)
    times = [row.SourceTimestamp.timestamp() for row in rows]
    values = [row.Value.Value if row.StatusCode.is_good() else float("nan") for row in rows]
    known = [time for time, value in zip(times, values) if value == value]
    plot.setXRange(known[0], known[-1], padding=0.02)
    plot.addItem(pg.InfiniteLine(LIMIT_C, angle=0, pen=pg.mkPen("#ce5c00", style=Qt.DashLine), label="high limit",
                                 labelOpts={"position": 0.06, "color": "#ce5c00"}))
    plot.plot(times, values, pen=pg.mkPen("#3465a4", width=2), connect="finite")
    for row in lost:
        ends = row.ServerTimestamp
        span = [row.SourceTimestamp.timestamp(), ends.timestamp()]
        plot.addItem(pg.LinearRegionItem(span, movable=False, brush="#cc000030", pen="#cc0000"))
        words = f"BadDataLost\nServerTimestamp {ends:%H:%M:%S}"
        text = pg.TextItem(words, color="#cc0000", anchor=(0.5, 0.0))
        text.setPos(sum(span) / 2, max(value for value in values if value == value))
        plot.addItem(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
