-- name: claim(ids, networks, assets, payers, nonces, pay_tos, amounts_atomic, valid_befores, version_ids, owners, payloads_sha256, requests_sha256, quoteds, identifiers_sha256, sealed_payloads)
-- One insert claims an authorization, and an identifier; a second presentation returns no row. Rows are inserted in a
-- fixed order, so that concurrent claims of several hardly ever wait for each other.
INSERT INTO payments (
    id, network, asset, payer, nonce, pay_to, amount_atomic, valid_before, version_id, state, owner,
    payload_sha256, request_sha256, quoted, identifier_sha256, sealed_payload
)
SELECT id, network, asset, payer, nonce, pay_to, amount_atomic, valid_before, version_id, 'settling', owner,
    payload_sha256, request_sha256, quoted, identifier_sha256, sealed_payload
FROM unnest(
    :ids::uuid[], :networks::text[], :assets::text[], :payers::text[], :nonces::bytea[], :pay_tos::text[],
    :amounts_atomic::bigint[], :valid_befores::timestamptz[], :version_ids::uuid[], :owners::uuid[],
    :payloads_sha256::bytea[], :requests_sha256::bytea[], :quoteds::boolean[], :identifiers_sha256::bytea[],
    :sealed_payloads::bytea[]
) AS asked (
    id, network, asset, payer, nonce, pay_to, amount_atomic, valid_before, version_id, owner, payload_sha256,
    request_sha256, quoted, identifier_sha256, sealed_payload
)
ORDER BY network, asset, payer, nonce
ON CONFLICT DO NOTHING
RETURNING id;

-- name: reclaim(owner, id, payload_sha256, request_sha256)^
-- A cleanly refused authorization that is still valid may come back with the identical payload and request; one that
-- the chain shows as spent may not.
UPDATE payments SET state = 'settling', reason = 'again', owner = :owner, decided_at = NULL
WHERE id = :id AND state = 'failed' AND payload_sha256 = :payload_sha256 AND request_sha256 = :request_sha256
    AND valid_before > now() AND proved_at IS NULL
RETURNING id;

-- name: find(network, asset, payer, nonce)^
-- The payment that this authorization was claimed as, and its execution.
-- types: row=Payment
SELECT payments.id, payments.state, payments.reason, payments.transaction, payments.network, payments.amount_atomic,
    payments.payload_sha256, payments.request_sha256, payments.quoted, executions.id AS execution_id
FROM payments
JOIN executions ON executions.payment_id = payments.id
WHERE payments.network = :network AND payments.asset = :asset AND payments.payer = :payer
    AND payments.nonce = :nonce;

-- name: read(id)^
-- A payment with what is needed to settle it again or to look for it on the chain.
-- types: row=Recorded!
SELECT payments.id, payments.network, payments.asset, payments.payer, payments.nonce, payments.pay_to,
    payments.amount_atomic, payments.valid_before, payments.state, payments.sealed_payload, payments.version_id,
    payments.created_at, executions.account_id, executions.id AS execution_id
FROM payments
JOIN executions ON executions.payment_id = payments.id
WHERE payments.id = :id;

-- name: pay(ids, transactions, reasons)
-- The money moved, in the transactions that prove it.
UPDATE payments
SET state = 'paid', transaction = paid.transaction, reason = paid.reason, decided_at = now(), owner = NULL
FROM unnest(:ids::uuid[], :transactions::text[], :reasons::text[]) AS paid (id, transaction, reason)
WHERE payments.id = paid.id AND state IN ('settling', 'unknown')
RETURNING payments.id;

-- name: fail(reason, proved, id)^
-- No money moved: refused before the broadcast, or proved by the chain.
UPDATE payments
SET state = 'failed', reason = :reason, decided_at = now(), owner = NULL,
    proved_at = CASE WHEN :proved THEN now() END
WHERE id = :id AND state IN ('settling', 'unknown')
RETURNING id;

-- name: mark_unknown(reason, id)^
-- It is unknown whether money moved; recovery will ask the chain.
UPDATE payments SET state = 'unknown', reason = :reason, owner = NULL
WHERE id = :id AND state = 'settling'
RETURNING id;

-- name: record_late_settlement(transaction, id)^
-- The payment was refused, but landed later.
UPDATE payments SET state = 'paid', transaction = :transaction, reason = 'landed_late', decided_at = now()
WHERE id = :id AND state = 'failed'
RETURNING id;

-- name: mark_final(id)!
-- The payment was refused, and can no longer land.
UPDATE payments SET proved_at = now() WHERE id = :id AND state = 'failed' AND proved_at IS NULL;

-- name: clear_payloads(most)
-- Forget signed payloads that settle nothing any more: the payment was paid, or can no longer land, and has expired.
UPDATE payments SET sealed_payload = NULL
WHERE id IN (
    SELECT id FROM payments
    WHERE sealed_payload IS NOT NULL AND valid_before < now() AND (state = 'paid' OR proved_at IS NOT NULL)
    LIMIT :most
    FOR UPDATE SKIP LOCKED
)
RETURNING id;

-- name: owner_of_identifier(identifier_sha256)$
-- The payload that an identifier was first used with.
SELECT payload_sha256 FROM payments WHERE identifier_sha256 = :identifier_sha256;
