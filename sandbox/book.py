"""Keep the practice chain's book: blocks, balances, transfers and spent nonces in SQLite.

It shares nothing with our Postgres, so the ledger can be compared with an independent source. Every transaction of the
chain is one transaction of SQLite and one block.
"""

import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from x402.mechanisms.evm.constants import (
    ERR_INSUFFICIENT_BALANCE,
    ERR_NONCE_ALREADY_USED,
    ERR_VALID_AFTER_FUTURE,
    ERR_VALID_BEFORE_EXPIRED,
)

NOBODY = "0x" + "0" * 40
"""The sender of minted money, as in every ERC-20 token."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS blocks (
    number    INTEGER PRIMARY KEY,
    timestamp INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS balances (
    address TEXT PRIMARY KEY,
    amount  INTEGER NOT NULL CHECK (amount >= 0)
);
-- nonce is NULL for minted money; pay_to and amount are NULL for a cancelled authorization.
CREATE TABLE IF NOT EXISTS transactions (
    block  INTEGER PRIMARY KEY REFERENCES blocks,
    hash   TEXT NOT NULL UNIQUE,
    payer  TEXT NOT NULL,
    pay_to TEXT,
    amount INTEGER CHECK (amount > 0),
    nonce  TEXT,
    UNIQUE (payer, nonce)
);
CREATE INDEX IF NOT EXISTS transactions_pay_to ON transactions (pay_to);
"""


class Reverted(Exception):
    """The chain refused a transaction, with a reason that has a name in the x402 SDK."""


@dataclass(frozen=True)
class Block:
    """A block; `timestamp` is in seconds since 1970."""

    number: int
    timestamp: int


@dataclass(frozen=True)
class Transaction:
    """The content of one block. Addresses, hash and nonce are lower-case hex; `amount` is atomic units of the asset.

    `nonce` is None for minted money, `pay_to` and `amount` are None for a cancelled authorization.
    """

    block: int
    hash: str
    payer: str
    pay_to: str | None
    amount: int | None
    nonce: str | None


class Book:
    """One book, in a file or in memory. All addresses, hashes and nonces must be lower-case.

    Args:
        path: the SQLite file, created if missing; ":memory:" for a book that ends with its process.

    Raises:
        sqlite3.Error: the file cannot be opened or is not a book.
    """

    def __init__(self, path: Path | Literal[":memory:"]) -> None:
        # Opened by the creator of the app and used by the event loop that serves it, never by two threads at once.
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(_SCHEMA)
        self._db.execute("INSERT OR IGNORE INTO blocks VALUES (0, ?)", (int(time.time()),))

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def settle(
        self, *, payer: str, pay_to: str, amount: int, nonce: str, valid_after: int, valid_before: int
    ) -> Transaction:
        """Execute a signed transfer, by the rules of EIP-3009: at most once per (payer, nonce).

        The window is strict and measured by the new block's own clock, as in Circle's FiatTokenV2.

        Raises:
            Reverted: the transfer was refused and nothing changed.
        """
        with self._new_block() as block:
            if block.timestamp >= valid_before:
                raise Reverted(ERR_VALID_BEFORE_EXPIRED)
            if block.timestamp <= valid_after:
                raise Reverted(ERR_VALID_AFTER_FUTURE)
            if self.is_used(payer, nonce):
                raise Reverted(ERR_NONCE_ALREADY_USED)
            if self.balance(payer) < amount:
                raise Reverted(ERR_INSUFFICIENT_BALANCE)
            self._db.execute("UPDATE balances SET amount = amount - ? WHERE address = ?", (amount, payer))
            self._credit(pay_to, amount)
            return self._record(block, payer, pay_to, amount, nonce)

    def cancel(self, *, payer: str, nonce: str) -> Transaction:
        """Spend a nonce without a transfer, as EIP-3009's cancelAuthorization does.

        Raises:
            Reverted: it was spent before.
        """
        with self._new_block() as block:
            if self.is_used(payer, nonce):
                raise Reverted(ERR_NONCE_ALREADY_USED)
            return self._record(block, payer, None, None, nonce)

    def mint(self, address: str, amount: int) -> Transaction:
        """Mint money for `address`."""
        with self._new_block() as block:
            self._credit(address, amount)
            return self._record(block, NOBODY, address, amount, None)

    def mine(self, blocks: int) -> Block:
        """Add empty blocks; return the last."""
        with self._write():
            last = self._last()
            now = max(int(time.time()), last.timestamp)
            numbers = range(last.number + 1, last.number + 1 + blocks)
            self._db.executemany("INSERT INTO blocks VALUES (?, ?)", ((number, now) for number in numbers))
        return self._last()

    def head(self) -> Block:
        """Return the latest block; if it is older than a second, add an empty one first, as on a live chain."""
        last = self._last()
        return last if last.timestamp >= int(time.time()) else self.mine(1)

    def block(self, number: int) -> Block | None:
        """Return the block of that number."""
        row = self._db.execute("SELECT number, timestamp FROM blocks WHERE number = ?", (number,)).fetchone()
        return Block(*row) if row else None

    def balance(self, address: str) -> int:
        """Return the balance of `address` now, in atomic units."""
        row = self._db.execute("SELECT amount FROM balances WHERE address = ?", (address,)).fetchone()
        return int(row[0]) if row else 0

    def balance_at(self, address: str, block: int) -> int:
        """Return the balance of `address` after `block`, summed from the transactions."""
        (amount,) = self._db.execute(
            "SELECT coalesce(sum(CASE WHEN pay_to = :address THEN amount ELSE 0 END"
            " - CASE WHEN payer = :address THEN amount ELSE 0 END), 0)"
            " FROM transactions WHERE block <= :block AND amount IS NOT NULL AND :address IN (payer, pay_to)",
            {"address": address, "block": block},
        ).fetchone()
        return int(amount)

    def is_used(self, payer: str, nonce: str, block: int | None = None) -> bool:
        """Whether the nonce was spent, at `block` or before; by default, by now."""
        row = self._db.execute(
            "SELECT 1 FROM transactions WHERE payer = ?1 AND nonce = ?2 AND (?3 IS NULL OR block <= ?3)",
            (payer, nonce, block),
        ).fetchone()
        return row is not None

    def transfers(self, pay_to: str | None = None) -> list[Transaction]:
        """List all settled payments, oldest first; only those to `pay_to`, if given."""
        rows = self._db.execute(
            "SELECT block, hash, payer, pay_to, amount, nonce FROM transactions"
            " WHERE amount IS NOT NULL AND nonce IS NOT NULL AND (?1 IS NULL OR pay_to = ?1) ORDER BY block",
            (pay_to,),
        )
        return [Transaction(*row) for row in rows]

    def transactions(self, first: int, last: int) -> list[Transaction]:
        """List the transactions of the blocks `first` to `last`, both included."""
        rows = self._db.execute(
            "SELECT block, hash, payer, pay_to, amount, nonce FROM transactions"
            " WHERE block BETWEEN ? AND ? ORDER BY block",
            (first, last),
        )
        return [Transaction(*row) for row in rows]

    def transaction(self, transaction_hash: str) -> Transaction | None:
        """Return the transaction of that hash."""
        row = self._db.execute(
            "SELECT block, hash, payer, pay_to, amount, nonce FROM transactions WHERE hash = ?", (transaction_hash,)
        ).fetchone()
        return Transaction(*row) if row else None

    @contextmanager
    def _write(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        with self._db:
            yield

    @contextmanager
    def _new_block(self) -> Iterator[Block]:
        with self._write():
            last = self._last()
            block = Block(last.number + 1, max(int(time.time()), last.timestamp))
            self._db.execute("INSERT INTO blocks VALUES (?, ?)", (block.number, block.timestamp))
            yield block

    def _last(self) -> Block:
        row = self._db.execute("SELECT number, timestamp FROM blocks ORDER BY number DESC LIMIT 1").fetchone()
        return Block(*row)

    def _credit(self, address: str, amount: int) -> None:
        self._db.execute(
            "INSERT INTO balances VALUES (?, ?) ON CONFLICT (address) DO UPDATE SET amount = amount + excluded.amount",
            (address, amount),
        )

    def _record(
        self, block: Block, payer: str, pay_to: str | None, amount: int | None, nonce: str | None
    ) -> Transaction:
        made = Transaction(block.number, "0x" + secrets.token_hex(32), payer, pay_to, amount, nonce)
        self._db.execute(
            "INSERT INTO transactions (block, hash, payer, pay_to, amount, nonce) VALUES (?, ?, ?, ?, ?, ?)",
            (made.block, made.hash, made.payer, made.pay_to, made.amount, made.nonce),
        )
        return made
