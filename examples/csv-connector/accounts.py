"""Accounts as the rows of CSV files: a folder of them, each a class of objects by its name (`account.csv`).

    login,id,enabled,display_name,mail,groups[]
    ada,5b0c…,true,Ada Lovelace,ada@example.org,"[""staff"", ""engine""]"

`login` names an account, `id` is its own for good, `enabled` is true or false; every other column is an attribute. A column
whose name ends in `[]` holds many values, as a JSON array. An empty cell is no value.

A file is the truth: it is read again whenever anybody has changed it, and written as a whole, by a rename, under a lock that
other processes of this connector respect. An account's version is a hash of its row, so that a change by hand is noticed as
any other.
"""

import contextlib
import csv
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import threading
import uuid
from dataclasses import dataclass, field, replace

LOGIN, ID, ENABLED = FIXED = ("login", "id", "enabled")
MANY = "[]"
# The contract's longest value, in bytes.
LONGEST = 65_536

csv.field_size_limit(16 * 1024 * 1024)


class Invalid(Exception):
    """What is asked for makes no sense here."""


class Exists(Exception):
    """The login is taken."""


class Missing(Exception):
    """There is no such account."""


class Stale(Exception):
    """The account has another version."""


class Unusable(Exception):
    """The file cannot be read, or is no file of accounts."""


@dataclass(frozen=True)
class Account:
    login: str
    id: str
    enabled: bool = True
    # By attribute, without those that have no value.
    values: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def version(self) -> str:
        said = json.dumps([self.login, self.id, self.enabled, self.values], sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Table:
    """The file at one moment."""

    # Whether each attribute may have many values.
    attributes: dict[str, bool]
    by_id: dict[str, Account]
    by_login: dict[str, Account]
    # What keeps a reading from being complete.
    flaws: tuple[str, ...]
    size: int

    def get(self, login: str, id: str | None) -> Account | None:
        """By the id alone, where there is one: whoever has the login by now may be another."""
        return self.by_login.get(login) if id is None else self.by_id.get(id)

    def find(self, attribute: str, value: str) -> list[Account]:
        if attribute in ("external_uid", LOGIN):
            return [account for account in [self.by_login.get(value)] if account]
        self.check(attribute)
        return [account for account in self.by_id.values() if value in account.values.get(attribute, ())]

    def check(self, attribute: str) -> None:
        if attribute not in self.attributes:
            raise Invalid("the file has no such column")

    def checked(self, values: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        """The values as they can stand in a row."""
        for attribute, many in values.items():
            self.check(attribute)
            if len(many) > 1 and not self.attributes[attribute]:
                raise Invalid(f"{attribute} holds one value")
            if any(value == "" or "\0" in value or len(value.encode()) > LONGEST for value in many):
                raise Invalid(f"{attribute}: a value has 1 to {LONGEST} bytes, and no U+0000")
        return {attribute: many for attribute, many in values.items() if many}


class Folder:
    def __init__(self, path: str):
        if not os.path.isdir(path):
            raise Unusable("no such folder")
        self.path = path
        self._files: dict[str, Accounts] = {}

    def classes(self) -> list[str]:
        return sorted(name.removesuffix(".csv") for name in os.listdir(self.path) if name.endswith(".csv"))

    def file(self, object_class: str) -> "Accounts":
        # What is not in the list is no name of ours, whatever its dots and slashes may lead to.
        if object_class not in self.classes():
            raise Invalid("the folder has no file of that class")
        path = os.path.join(self.path, f"{object_class}.csv")
        return self._files.setdefault(object_class, Accounts(path))


class Accounts:
    """One file."""

    def __init__(self, path: str):
        self.path = path
        self._lock = threading.Lock()
        self._last: tuple[tuple[int, int, int], Table] | None = None

    def table(self) -> Table:
        """The file as it is now; parsed again only where somebody has changed it."""
        with self._lock, self._unusable():
            return self._read()

    def create(self, login: str, enabled: bool, values: dict[str, tuple[str, ...]]) -> Account:
        if not login or "\0" in login:
            raise Invalid("a login has at least one character, and no U+0000")
        with self._changing() as table:
            if login in table.by_login:
                raise Exists("the login is taken")
            account = Account(login, str(uuid.uuid4()), enabled, table.checked(values))
            self._write(table, {**table.by_id, account.id: account})
            return account

    def update(self, key: tuple[str, str | None], change, if_version: str | None = None) -> Account:
        """`change` gets the account as it is, and answers what it is to be."""
        with self._changing() as table:
            old = self._meant(table, key, if_version)
            new = change(old)
            new = replace(new, values=table.checked(new.values))
            if new.login != old.login and new.login in table.by_login:
                raise Exists("the login is taken")
            if not new.login or "\0" in new.login:
                raise Invalid("a login has at least one character, and no U+0000")
            if new != old:
                self._write(table, {**table.by_id, old.id: new})
            return new

    def delete(self, key: tuple[str, str | None], if_version: str | None = None) -> None:
        with self._changing() as table:
            gone = self._meant(table, key, if_version)
            self._write(table, {id: it for id, it in table.by_id.items() if id != gone.id})

    @staticmethod
    def _meant(table: Table, key: tuple[str, str | None], if_version: str | None) -> Account:
        account = table.get(*key)
        if account is None:
            raise Missing("there is no such account")
        if if_version is not None and account.version != if_version:
            raise Stale("the account has another version")
        return account

    @contextlib.contextmanager
    def _changing(self):
        """The table, while nobody else writes. A file with a flaw is not written: the flaw would be lost."""
        with self._lock, self._unusable(), open(f"{self.path}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            table = self._read()
            if table.flaws:
                raise Unusable(f"the file must be mended first: {table.flaws[0]}")
            yield table

    @contextlib.contextmanager
    def _unusable(self):
        try:
            yield
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise Unusable(f"{os.path.basename(self.path)}: {error}") from error

    def _read(self) -> Table:
        with open(self.path, newline="", encoding="utf-8") as file:
            stamp = stamp_of(file)
            if self._last and self._last[0] == stamp:
                return self._last[1]
            table = parse(csv.reader(file, strict=True), stamp[2])
        self._last = (stamp, table)
        return table

    def _write(self, table: Table, accounts: dict[str, Account]) -> None:
        columns = [name + MANY if many else name for name, many in table.attributes.items()]
        folder = os.path.dirname(os.path.abspath(self.path))
        with tempfile.TemporaryDirectory(dir=folder, prefix=".writing-") as beside:
            new = os.path.join(beside, "new")
            with open(new, "w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                writer.writerow([*FIXED, *columns])
                writer.writerows(row(account, table.attributes) for account in accounts.values())
                file.flush()
                os.fsync(file.fileno())
                stamp = stamp_of(file)
            shutil.copymode(self.path, new)
            os.replace(new, self.path)
        by_login = {account.login: account for account in accounts.values()}
        self._last = (stamp, Table(table.attributes, accounts, by_login, (), stamp[2]))


def stamp_of(file) -> tuple[int, int, int]:
    """What tells a changed file from the one that was read."""
    status = os.fstat(file.fileno())
    return status.st_ino, status.st_mtime_ns, status.st_size


def parse(rows, size: int) -> Table:
    header = next(rows, None)
    if not header or any(name not in header for name in FIXED) or len(set(header)) != len(header):
        raise Unusable(f"the first row must name the columns, among them {', '.join(FIXED)}, each once")
    attributes = {name.removesuffix(MANY): name.endswith(MANY) for name in header if name not in FIXED}
    by_id: dict[str, Account] = {}
    by_login: dict[str, Account] = {}
    flaws = []
    for number, cells in enumerate(rows, start=2):
        try:
            account = account_of(dict(zip(header, cells, strict=True)))
            if account.id in by_id or account.login in by_login:
                raise ValueError("the login or the id is there twice")
        except ValueError as error:
            flaws.append(f"row {number}: {error}")
        else:
            by_id[account.id] = by_login[account.login] = account
    return Table(attributes, by_id, by_login, tuple(flaws), size)


def account_of(cells: dict[str, str]) -> Account:
    login, id, enabled = (cells.pop(name) for name in FIXED)
    if not login or not id or enabled not in ("true", "false"):
        raise ValueError("a login, an id, and true or false are needed")
    values = {}
    for name, cell in cells.items():
        if name.endswith(MANY):
            many = json.loads(cell) if cell else []
            if not isinstance(many, list) or not all(isinstance(value, str) for value in many):
                raise ValueError(f"{name} is no JSON array of texts")
            values[name.removesuffix(MANY)] = tuple(many)
        elif cell:
            values[name] = (cell,)
    return Account(login, id, enabled == "true", {name: many for name, many in values.items() if many})


def row(account: Account, attributes: dict[str, bool]) -> list[str]:
    def cell(name: str, many: bool) -> str:
        values = account.values.get(name, ())
        if many:
            return json.dumps(values, ensure_ascii=False) if values else ""
        return values[0] if values else ""

    fixed = [account.login, account.id, "true" if account.enabled else "false"]
    return fixed + [cell(name, many) for name, many in attributes.items()]
