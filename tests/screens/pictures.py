"""Pictures as the pages have them: of a widget and what lies on it, in few colours, with nothing in the file but pixels."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from PyQt5.QtCore import QPoint, Qt
from PyQt5.QtGui import QImage, QPainter, QPixmap
from PyQt5.QtWidgets import QApplication, QWidget

# A palette's size. What a client shows has a few hundred colours, most of them edges of letters.
COLOURS_MAX = 256
# What a page's picture may weigh.
BYTES_MAX = 150_000


def of(window: QWidget, *above: QWidget) -> QImage:
    """The window as it is now, with the dialogs above it where they are."""
    QApplication.processEvents()
    shown = window.grab()
    painter = QPainter(shown)
    for dialog in above:
        at = dialog.mapToGlobal(QPoint(0, 0)) - window.mapToGlobal(QPoint(0, 0))
        painter.drawPixmap(at, dialog.grab())
        painter.setPen(Qt.darkGray)
        painter.drawRect(at.x() - 1, at.y() - 1, dialog.width() + 1, dialog.height() + 1)
    painter.end()
    return shown.toImage()


def stacked(images: list[QImage]) -> QImage:
    """Several, one below the other."""
    height = sum(image.height() for image in images) + 8 * (len(images) - 1)
    whole = QPixmap(max(image.width() for image in images), height)
    whole.fill(Qt.white)
    painter = QPainter(whole)
    y = 0
    for image in images:
        painter.drawImage(0, y, image)
        y += image.height() + 8
    painter.end()
    return whole.toImage()


def keep(image: QImage, file: Path) -> None:
    """Writes it, or says why it is none for a page."""
    flat = image.convertToFormat(QImage.Format_RGB32)
    pixels = memoryview(flat.constBits().asarray(flat.sizeInBytes())).cast("B").cast("I")
    most = [colour for colour, _ in Counter(pixels).most_common(COLOURS_MAX)]
    if not flat.convertToFormat(QImage.Format_Indexed8, most).save(str(file), "PNG", 0):
        raise OSError(f"{file}: cannot be written")
    weight = file.stat().st_size
    print(f"picture {file.name}: {image.width()} x {image.height()}, {weight} bytes, {len(most)} colours", flush=True)
    if weight > BYTES_MAX:
        raise ValueError(f"{file.name} has {weight} bytes; a page's picture has {BYTES_MAX} at the most")
