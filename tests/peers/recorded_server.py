"""An OPC UA server (asyncua) that serves a recording: each column of a CSV file as a variable `ns=2;s=<column>`.

Beside them are `counter` (Int64), `recipe` (String) and `running` (Boolean), served by hand alone. The first column is the time, either `timestamp` (ISO 8601, UTC) or `seconds` from the first row. Source time stamps keep
the recording's spacing, whatever the rate at which rows are served. Nothing is served until it is asked for; before that
each variable has the status BadWaitingForInitialData and no value.

    recorded_server.py --port 4841 --csv run.csv --first 2024-01-01T00:00:00

With `--pki FOLDER` it offers every safe policy, signed and signed and encrypted, and nothing in the clear, with a
certificate of its own made there, and trusts every client. With `--user-certificate FILE` only its owner may come in. With `--user NAME PASSWORD` nobody else may come in. With `--history FILE` it keeps the history of every
variable in that file, from one run to the next. With `--renumbered` its namespace has another index than 2. Requests (see `lines.py`):

    {"do": "serve", "rows": 100, "rate": 200}    the next rows, so many a second; answers when they are served
    {"do": "set", "signal": "a", "value": 1.5, "status": 0, "seconds": 3600}    one value, by hand
    {"do": "record"}        all that was served: signal -> [[time ns, value or null, status, digits of a number], ...]
    {"do": "forget"}        ends all sessions and keeps their subscriptions, as when sessions run out
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import datetime
import pickle
import socket
import time
from pathlib import Path
from typing import Any

from asyncua import Server, ua
from asyncua.crypto.cert_gen import setup_self_signed_certificate
from asyncua.crypto.permission_rules import SimpleRoleRuleset
from asyncua.server.history import HistoryDict
from asyncua.server.user_managers import CertificateUserManager, User, UserManager, UserRole
from cryptography.x509.oid import ExtendedKeyUsageOID

from lines import answer_requests, say

NAMESPACE = "urn:watchfire:test:recording"
APPLICATION = "urn:watchfire:test:recorded-server"
EXTRAS = {"counter": ua.VariantType.Int64, "recipe": ua.VariantType.String, "running": ua.VariantType.Boolean}
NUMBERS = {ua.VariantType.Int64, ua.VariantType.Double}
SERVER_LATER = datetime.timedelta(milliseconds=250)
EPOCH = datetime.datetime(1970, 1, 1)


class OneUser(UserManager):
    """Lets in one user with a password."""

    def __init__(self, name: str, password: str) -> None:
        self.name, self.password = name, password

    def get_user(self, iserver: Any, username: str | None = None, password: Any = None, certificate: Any = None) -> User | None:
        """The user, or none."""
        if (username, password) == (self.name, self.password):
            return User(role=UserRole.Admin, name=username)
        return None


class FileHistory(HistoryDict):
    """Keeps what was given in a file. Like the one it is made of it tells nobody when it answers less than there is."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file = file
        if file.exists():
            self._datachanges = pickle.loads(file.read_bytes())

    async def save_node_value(self, node_id: ua.NodeId, datavalue: ua.DataValue) -> None:
        """Keeps a value before it is shown."""
        self._datachanges.setdefault(node_id, []).append(datavalue)
        self.file.with_suffix(".new").write_bytes(pickle.dumps(self._datachanges))
        self.file.with_suffix(".new").rename(self.file)

    async def read_node_history(
        self, node_id: ua.NodeId, start: datetime.datetime | None, end: datetime.datetime | None, nb_values: int
    ) -> tuple[list[ua.DataValue], None]:
        """The values from `start` to `end`, the first `nb_values` of them."""
        begin, last = (time.replace(tzinfo=None) if time else None for time in (start, end))
        kept = self._datachanges.get(node_id, [])
        # The beginning of all times is none.
        last = last if last and last > EPOCH else datetime.datetime.max
        found = [one for one in kept if begin <= one.SourceTimestamp.replace(tzinfo=None) <= last]
        return found[: nb_values or None], None


class Recording:
    """The rows of a file and which of them comes next."""

    def __init__(self, path: Path, first: datetime.datetime | None) -> None:
        with open(path, newline="") as file:
            header, *rows = csv.reader(file)
        self.signals = header[1:]
        self.rows = [[float(cell) for cell in row[1:]] for row in rows]
        if header[0] == "seconds":
            offsets = [float(row[0]) for row in rows]
            self.first = first or EPOCH
        else:
            stamps = [datetime.datetime.fromisoformat(row[0]) for row in rows]
            offsets = [(stamp - stamps[0]).total_seconds() for stamp in stamps]
            self.first = first or stamps[0]
        self.offsets = offsets
        self.next = 0

    def time(self, seconds: float) -> datetime.datetime:
        """A source time stamp."""
        return self.first + datetime.timedelta(seconds=seconds)


class RecordedServer:
    """The server with the recording in it."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.storage: FileHistory | None = None
        self.kinds = dict.fromkeys(recording.signals, ua.VariantType.Double) | EXTRAS
        self.served: dict[str, list[list[Any]]] = {signal: [] for signal in self.kinds}

    async def run(self, options: argparse.Namespace) -> None:
        """Serves until standard input ends."""
        users: Any = OneUser(*options.user) if options.user else None
        if options.user_certificate:
            users = CertificateUserManager()
            await users.add_user(options.user_certificate, name="somebody")
        self.server = Server(user_manager=users)
        await self.server.init()
        self.server.set_endpoint(f"opc.tcp://127.0.0.1:{options.port}/recorded")
        await self.server.set_application_uri(APPLICATION)
        if options.user_certificate:
            self.server.set_identity_tokens([ua.X509IdentityToken])
        if options.pki:
            await self.secure(options.pki)
        else:
            self.server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        if options.renumbered:
            await self.server.register_namespace(f"{NAMESPACE}:before")
        index = await self.server.register_namespace(NAMESPACE)
        waiting = ua.DataValue(StatusCode=ua.StatusCode(ua.StatusCodes.BadWaitingForInitialData))
        self.nodes = {}
        for signal, kind in self.kinds.items():
            node_id = ua.NodeId(signal, index)
            first = "" if kind == ua.VariantType.String else 0
            await self.server.nodes.objects.add_variable(node_id, f"{index}:{signal}", first, varianttype=kind)
            await self.server.write_attribute_value(node_id, waiting)
            self.nodes[signal] = node_id
        if options.history:
            await self.keep_history(options.history)
        async with self.server:
            say(ready=options.port)
            able = {"serve": self.serve, "set": self.set, "record": self.record, "forget": self.forget}
            await answer_requests(able)

    async def keep_history(self, file: Path) -> None:
        """Writes what each variable is given into a file, and answers reads of it."""
        storage = self.storage = FileHistory(file)
        for node_id in self.nodes.values():
            node = self.server.get_node(node_id)
            levels = {ua.AccessLevel.CurrentRead, ua.AccessLevel.HistoryRead}
            await self.server.write_attribute_value(node_id, ua.DataValue(True), ua.AttributeIds.Historizing)
            for attribute in (ua.AttributeIds.AccessLevel, ua.AttributeIds.UserAccessLevel):
                level = ua.Variant(sum(1 << level.value for level in levels), ua.VariantType.Byte)
                await node.write_attribute(attribute, ua.DataValue(level))
        self.server.iserver.history_manager.set_storage(storage)

    async def secure(self, pki: Path) -> None:
        """Encryption alone, with a certificate of its own."""
        pki.mkdir(parents=True, exist_ok=True)
        key, certificate = pki / "key.pem", pki / "certificate.der"
        use = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
        await setup_self_signed_certificate(key, certificate, APPLICATION, socket.gethostname(), use, {})
        policies = [
            kind
            for kind in ua.SecurityPolicyType
            if kind.name.split("_")[0] in ("Basic256Sha256", "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss")
        ]
        self.server.set_security_policy(policies, permission_ruleset=SimpleRoleRuleset())
        await self.server.load_certificate(str(certificate))
        await self.server.load_private_key(str(key))

    async def write(self, signal: str, seconds: float, value: Any, status: int) -> None:
        """One value with its time and status; the server's own time is a little later."""
        stamp = self.recording.time(seconds)
        variant = None if value is None else ua.Variant(value, self.kinds[signal])
        data = ua.DataValue(variant, ua.StatusCode(status), SourceTimestamp=stamp, ServerTimestamp=stamp + SERVER_LATER)
        if self.storage:
            await self.storage.save_node_value(self.nodes[signal], data)
        await self.server.write_attribute_value(self.nodes[signal], data)
        nanoseconds = (stamp - EPOCH) // datetime.timedelta(microseconds=1) * 1000
        number = repr(variant.Value) if variant and self.kinds[signal] in NUMBERS else None
        self.served[signal].append([nanoseconds, value, status, number])

    async def serve(self, request: dict[str, Any]) -> dict[str, Any]:
        """The next rows, at an even rate."""
        recording, began = self.recording, time.monotonic()
        last = min(recording.next + request.get("rows", len(recording.rows)), len(recording.rows))
        count = last - recording.next
        for done in range(count):
            due = began + done / request["rate"]
            if (left := due - time.monotonic()) > 0.002:
                await asyncio.sleep(left)
            elif done % 20 == 0:
                await asyncio.sleep(0)
            seconds, row = recording.offsets[recording.next], recording.rows[recording.next]
            recording.next += 1
            for signal, value in zip(recording.signals, row):
                await self.write(signal, seconds, value, 0)
        return {"served": count, "next": recording.next}

    async def set(self, request: dict[str, Any]) -> dict[str, Any]:
        """One value by hand."""
        await self.write(request["signal"], request["seconds"], request["value"], request["status"])
        return {"served": 1}

    async def record(self, _request: dict[str, Any]) -> dict[str, Any]:
        """All that was served."""
        return {"served": self.served}

    async def forget(self, _request: dict[str, Any]) -> dict[str, Any]:
        """Ends all sessions and keeps their subscriptions."""
        sessions = list(self.server.iserver._external_sessions.values())
        for session in sessions:
            await session.close_session(delete_subs=False)
        return {"forgotten": len(sessions)}


def main() -> None:
    """The command line."""
    options = argparse.ArgumentParser(description="serve a recording over OPC UA")
    options.add_argument("--port", type=int, required=True)
    options.add_argument("--csv", type=Path, required=True)
    options.add_argument("--first", type=datetime.datetime.fromisoformat)
    options.add_argument("--pki", type=Path)
    options.add_argument("--user-certificate", type=Path)
    options.add_argument("--history", type=Path)
    options.add_argument("--renumbered", action="store_true")
    options.add_argument("--user", nargs=2, metavar=("NAME", "PASSWORD"))
    given = options.parse_args()
    asyncio.run(RecordedServer(Recording(given.csv, given.first)).run(given))


if __name__ == "__main__":
    main()
