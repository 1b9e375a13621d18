-- name: payable(account_id, handle, execution_id, most)
-- Refunds that are due, oldest first, with everything that is needed to pay them, and the wallet that may pay them now.
-- types: row=Payable bound_to? valid_before? stored? :execution_id?
SELECT refunds.execution_id, refunds.account_id, accounts.handle, payments.network, payments.asset,
    payments.payer AS pay_to, refunds.amount_atomic, refunds.due_at, payments.created_at AS paid_at,
    payments.pay_to AS received_by,
    (SELECT lower(payout_in_force(payout)) FROM payout_addresses AS payout
     WHERE payout.account_id = refunds.account_id AND payout.network = payments.network) AS payout,
    (SELECT wallet.address FROM refund_wallets AS wallet WHERE wallet.account_id = refunds.account_id) AS stored,
    transfer.payer AS bound_to, transfer.valid_before
FROM refunds
JOIN payments ON payments.id = refunds.payment_id
JOIN accounts ON accounts.id = refunds.account_id
LEFT JOIN refund_transfers AS transfer ON transfer.id = refunds.transfer_id
WHERE refunds.state = 'due' AND (:account_id::uuid IS NULL OR refunds.account_id = :account_id)
    AND (:handle::text IS NULL OR accounts.handle = :handle)
    AND (:execution_id::uuid IS NULL OR refunds.execution_id = :execution_id)
ORDER BY refunds.due_at, refunds.execution_id
LIMIT :most;

-- name: lock(execution_id)^
-- A refund, until this transaction ends. Whoever records, waives or pays it waits here, and then sees what was done.
-- types: row=Locked
SELECT refunds.execution_id, refunds.account_id, refunds.state, refunds.amount_atomic, refunds.transfer_id
FROM refunds
WHERE refunds.execution_id = :execution_id
FOR UPDATE OF refunds;

-- name: wanted(execution_id)^
-- What a transfer of a due refund must be like.
SELECT payments.asset, payments.payer AS pay_to, refunds.amount_atomic, payments.created_at AS paid_at
FROM refunds
JOIN payments ON payments.id = refunds.payment_id
WHERE refunds.execution_id = :execution_id AND refunds.state = 'due' AND refunds.transfer_id IS NULL;

-- name: bound_to(id)$
-- The wallet of a transfer. A statement of its own after `lock`, so that it sees what was committed meanwhile.
SELECT payer FROM refund_transfers WHERE id = :id;

-- name: reserve(execution_id, payer, nonce, least_seconds, seconds, is_capped)^
-- Record an authorization before it is signed. One that is valid for long enough stays as it is, so that it is signed
-- again with the same bytes; otherwise it gets a new end. Runs under `lock`.
-- types: row=Reserved
INSERT INTO refund_transfers AS transfer (
    execution_id, account_id, network, asset, payer, nonce, pay_to, amount_atomic, valid_before, capped_on
)
SELECT refunds.execution_id, refunds.account_id, payments.network, payments.asset, :payer::text, :nonce::bytea,
    payments.payer, refunds.amount_atomic,
    date_trunc('second', now()) + make_interval(secs => :seconds::float8),
    CASE WHEN :is_capped::boolean THEN (now() AT TIME ZONE 'UTC')::date END
FROM refunds
JOIN payments ON payments.id = refunds.payment_id
WHERE refunds.execution_id = :execution_id AND refunds.state = 'due'
ON CONFLICT (network, asset, payer, nonce) DO UPDATE
SET state = 'sending', decided_at = NULL, looked_at = now(),
    capped_on = coalesce(excluded.capped_on, CASE WHEN transfer.state = 'sending' THEN transfer.capped_on END),
    valid_before = CASE
        WHEN transfer.valid_before > now() + make_interval(secs => :least_seconds::float8) THEN transfer.valid_before
        ELSE excluded.valid_before END
WHERE transfer.state <> 'paid'
RETURNING transfer.id, transfer.network, transfer.asset, transfer.payer, transfer.nonce, transfer.pay_to,
    transfer.amount_atomic, transfer.valid_before;

-- name: find_reserved(execution_id, payer)^
-- The transfer of a refund that a wallet was asked to sign, while it is open.
-- types: row=Reserved
SELECT id, network, asset, payer, nonce, pay_to, amount_atomic, valid_before FROM refund_transfers
WHERE execution_id = :execution_id AND payer = :payer AND state = 'sending';

-- name: bind(execution_id, transfer_id)!
-- From now on only this transfer may pay the refund. Runs under `lock`.
UPDATE refunds SET transfer_id = :transfer_id WHERE execution_id = :execution_id;

-- name: read(id)^
-- A transfer with what is needed to look for it on the chain.
-- types: row=Transfer!
SELECT transfer.id, transfer.execution_id, transfer.account_id, transfer.network, transfer.asset, transfer.payer,
    transfer.nonce, transfer.pay_to, transfer.amount_atomic, transfer.valid_before, transfer.state, transfer.reason,
    transfer.transaction, payments.created_at AS paid_at
FROM refund_transfers AS transfer
JOIN refunds ON refunds.execution_id = transfer.execution_id
JOIN payments ON payments.id = refunds.payment_id
WHERE transfer.id = :id;

-- name: note(reason, transaction, id)!
-- What was said of a transfer that was sent.
UPDATE refund_transfers SET reason = :reason, transaction = coalesce(:transaction, transaction)
WHERE id = :id AND state = 'sending';

-- name: land(transaction, id)^
-- The chain shows the transfer: the refund is paid. Runs under `lock`.
WITH landed AS (
    UPDATE refund_transfers SET state = 'paid', transaction = :transaction, decided_at = now()
    WHERE id = :id AND state = 'sending'
    RETURNING id, execution_id
)
UPDATE refunds SET state = 'recorded', transaction = :transaction, decided_at = now()
FROM landed
WHERE refunds.execution_id = landed.execution_id AND refunds.transfer_id = landed.id AND refunds.state = 'due'
RETURNING refunds.execution_id;

-- name: void(reason, id, valid_before)^
-- The chain shows that the transfer can never move the money: another may pay the refund. Not if it was signed anew. Runs
-- under `lock`.
WITH void AS (
    UPDATE refund_transfers SET state = 'void', reason = :reason, decided_at = now()
    WHERE id = :id AND state = 'sending' AND valid_before = :valid_before
    RETURNING id, execution_id
)
UPDATE refunds SET transfer_id = NULL
FROM void
WHERE refunds.execution_id = void.execution_id AND refunds.transfer_id = void.id
RETURNING refunds.execution_id;

-- name: take_sending(pause_seconds, account_id, most)
-- Transfers that are not decided, and that the chain was not asked about just now.
-- types: :account_id?
UPDATE refund_transfers SET looked_at = now()
WHERE id IN (
    SELECT id FROM refund_transfers
    WHERE state = 'sending' AND (:account_id::uuid IS NULL OR account_id = :account_id)
        AND (looked_at IS NULL OR looked_at <= now() - make_interval(secs => :pause_seconds))
    ORDER BY looked_at NULLS FIRST
    LIMIT :most
    FOR UPDATE SKIP LOCKED
)
RETURNING id;
