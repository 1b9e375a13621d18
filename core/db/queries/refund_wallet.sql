-- name: put(id, account_id, address, sealed_key, daily_cap_atomic)!
-- Store a wallet in place of the one before; it is switched on.
INSERT INTO refund_wallets (id, account_id, address, sealed_key, daily_cap_atomic)
VALUES (:id, :account_id, :address, :sealed_key, :daily_cap_atomic)
ON CONFLICT (account_id) DO UPDATE
SET id = excluded.id, address = excluded.address, sealed_key = excluded.sealed_key,
    daily_cap_atomic = excluded.daily_cap_atomic, enabled = true, trouble = NULL, created_at = now();

-- name: change(account_id, daily_cap_atomic, enabled)^
-- Change the cap, or switch it on or off; NULL leaves it.
-- types: :daily_cap_atomic? :enabled?
UPDATE refund_wallets
SET daily_cap_atomic = coalesce(:daily_cap_atomic, daily_cap_atomic), enabled = coalesce(:enabled, enabled), trouble = NULL
WHERE account_id = :account_id
RETURNING id;

-- name: state(account_id)^
-- What may be shown of a wallet, and what it paid or may pay today (UTC).
-- types: row=WalletState paid_today_atomic!
SELECT wallet.address, wallet.daily_cap_atomic, wallet.enabled, wallet.trouble, wallet.created_at, (
    SELECT coalesce(sum(amount_atomic), 0)::bigint FROM refund_transfers AS transfer
    WHERE transfer.account_id = wallet.account_id AND transfer.state <> 'void'
        AND transfer.capped_on = (now() AT TIME ZONE 'UTC')::date
) AS paid_today_atomic
FROM refund_wallets AS wallet
WHERE wallet.account_id = :account_id;

-- name: remove(account_id)!
-- Forget a wallet. What it has sent is still looked up on the chain.
DELETE FROM refund_wallets WHERE account_id = :account_id;

-- name: with_debts()
-- Wallets that are switched on, of creators who owe something.
-- types: row=StoredWallet
SELECT wallet.id, wallet.account_id, wallet.address, wallet.sealed_key
FROM refund_wallets AS wallet
WHERE wallet.enabled
    AND (wallet.trouble IS NOT NULL OR EXISTS (
        SELECT FROM refunds WHERE refunds.account_id = wallet.account_id AND refunds.state = 'due'
    ))
ORDER BY wallet.account_id;

-- name: note_trouble(id, trouble)!
-- Why refunds were left unpaid; NULL: none was.
UPDATE refund_wallets SET trouble = :trouble WHERE id = :id;

-- name: lock_cap(account_id, payer)$
-- The cap of a day, if this is still the wallet that pays by itself. Those who reserve under it wait here for each other.
SELECT daily_cap_atomic FROM refund_wallets
WHERE account_id = :account_id AND address = :payer AND enabled
FOR UPDATE;

-- name: fits(account_id, execution_id, payer, amount_atomic, cap_atomic)$
-- Whether a transfer fits into this day's cap (UTC), beside all others that may move money on it. Runs under `lock_cap`.
SELECT coalesce(sum(transfer.amount_atomic), 0) + :amount_atomic::bigint <= :cap_atomic::bigint
FROM refund_transfers AS transfer
WHERE transfer.account_id = :account_id AND transfer.state <> 'void'
    AND transfer.capped_on = (now() AT TIME ZONE 'UTC')::date
    AND NOT (transfer.execution_id = :execution_id AND transfer.payer = :payer);
