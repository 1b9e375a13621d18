-- name: note(backup_at)$
-- Mark the moment to which the database was taken back.
INSERT INTO restores (backup_at) VALUES (:backup_at) RETURNING id;

-- name: unread(network, seconds)^
-- The restores whose time this network's chain was not read whole after everything from before had landed, as one: the
-- newest, and the earliest moment of all.
-- types: row! restore_id? since?
SELECT max(restores.id) AS restore_id, min(restores.backup_at) AS since
FROM restores
LEFT JOIN restore_readings ON restore_readings.restore_id = restores.id AND restore_readings.network = :network
WHERE read_at IS NULL OR read_at < restored_at + make_interval(secs => :seconds);

-- name: keep(network, asset, restore_id, payers, nonces, recipients, amounts, transactions)
-- Keep those transfers that no payment knows, each once.
-- types: row=KeptRow
INSERT INTO found_transfers (network, asset, payer, nonce, pay_to, amount_atomic, transaction, restore_id)
SELECT :network, :asset, seen.payer, seen.nonce, seen.recipient, seen.amount, seen.transaction, :restore_id::bigint
FROM unnest(:payers::text[], :nonces::bytea[], :recipients::text[], :amounts::numeric[], :transactions::text[])
    AS seen (payer, nonce, recipient, amount, transaction)
WHERE NOT EXISTS (
    SELECT FROM payments
    WHERE payments.network = :network AND payments.asset = :asset AND payments.payer = seen.payer
        AND payments.nonce = seen.nonce
)
ON CONFLICT DO NOTHING
RETURNING transaction;

-- name: note_read(network)!
-- The chain of this network was read whole for every restore until now.
INSERT INTO restore_readings (restore_id, network, read_at)
SELECT id, :network, now() FROM restores
ON CONFLICT (restore_id, network) DO UPDATE SET read_at = excluded.read_at;

-- name: found(most)
-- What was found, the newest restore first: claimed, if a payment of the same authorization is recorded by now.
-- types: row=Found payment_id?
SELECT found_transfers.network, found_transfers.asset, found_transfers.payer, found_transfers.pay_to,
    found_transfers.amount_atomic, found_transfers.transaction, found_transfers.found_at, restores.backup_at,
    payments.id AS payment_id
FROM found_transfers
JOIN restores ON restores.id = found_transfers.restore_id
LEFT JOIN payments ON payments.network = found_transfers.network AND payments.asset = found_transfers.asset
    AND payments.payer = found_transfers.payer AND payments.nonce = found_transfers.nonce
ORDER BY found_transfers.restore_id DESC, found_transfers.found_at, found_transfers.transaction, found_transfers.nonce
LIMIT :most;

-- name: forget_workers()!
-- The processes of before are gone, and what they held is free at once.
UPDATE workers SET stopped_at = now() WHERE stopped_at IS NULL;
