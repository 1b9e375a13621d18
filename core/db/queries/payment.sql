-- name: claim(id, network, asset, payer, nonce, pay_to, amount_atomic, valid_before, version_id, owner, payload_sha256, request_sha256, quoted, identifier_sha256, sealed_payload)^
-- One insert decides who spends this authorization, and this identifier; a second presentation returns no row.
INSERT INTO payments (
    id, network, asset, payer, nonce, pay_to, amount_atomic, valid_before, version_id, state, owner,
    payload_sha256, request_sha256, quoted, identifier_sha256, sealed_payload
)
VALUES (
    :id, :network, :asset, :payer, :nonce, :pay_to, :amount_atomic, :valid_before, :version_id, 'settling', :owner,
    :payload_sha256, :request_sha256, :quoted, :identifier_sha256, :sealed_payload
)
ON CONFLICT DO NOTHING
RETURNING id;

-- name: reenter(owner, id, payload_sha256, request_sha256)^
-- A cleanly refused authorization that is still valid may come back with the identical payload and request; one that
-- the chain has shown to be spent may not.
UPDATE payments SET state = 'settling', reason = 'again', owner = :owner, decided_at = NULL
WHERE id = :id AND state = 'failed' AND payload_sha256 = :payload_sha256 AND request_sha256 = :request_sha256
    AND valid_before > now() AND proved_at IS NULL
RETURNING id;

-- name: find(network, asset, payer, nonce)^
-- The payment that this authorization made, and its execution.
SELECT payments.id, payments.state, payments.reason, payments.transaction, payments.network, payments.amount_atomic,
    payments.payload_sha256, payments.request_sha256, payments.quoted, executions.id AS execution_id
FROM payments
JOIN executions ON executions.payment_id = payments.id
WHERE payments.network = :network AND payments.asset = :asset AND payments.payer = :payer
    AND payments.nonce = :nonce;

-- name: read(id)^
-- A payment with what is needed to settle or look for it again.
SELECT payments.id, payments.network, payments.asset, payments.payer, payments.nonce, payments.pay_to,
    payments.amount_atomic, payments.valid_before, payments.state, payments.sealed_payload, payments.version_id,
    payments.created_at, executions.account_id, executions.id AS execution_id
FROM payments
JOIN executions ON executions.payment_id = payments.id
WHERE payments.id = :id;

-- name: pay(ids, transactions, reasons)
-- The money is there, with the transactions that prove it.
UPDATE payments
SET state = 'paid', transaction = paid.transaction, reason = paid.reason, decided_at = now(), owner = NULL
FROM unnest(:ids::uuid[], :transactions::text[], :reasons::text[]) AS paid (id, transaction, reason)
WHERE payments.id = paid.id AND state IN ('settling', 'unknown')
RETURNING payments.id;

-- name: fail(reason, proved, id)^
-- No money moved: refused before broadcast, or proved by the chain.
UPDATE payments
SET state = 'failed', reason = :reason, decided_at = now(), owner = NULL,
    proved_at = CASE WHEN :proved THEN now() END
WHERE id = :id AND state IN ('settling', 'unknown')
RETURNING id;

-- name: doubt(reason, id)^
-- Nobody knows whether money moved; the chain will tell.
UPDATE payments SET state = 'unknown', reason = :reason, owner = NULL
WHERE id = :id AND state = 'settling'
RETURNING id;

-- name: land(transaction, id)^
-- It was refused, and landed all the same.
UPDATE payments SET state = 'paid', transaction = :transaction, reason = 'landed_late', decided_at = now()
WHERE id = :id AND state = 'failed'
RETURNING id;

-- name: prove(id)!
-- It was refused, and can no longer land.
UPDATE payments SET proved_at = now() WHERE id = :id AND state = 'failed' AND proved_at IS NULL;

-- name: owner_of_identifier(identifier_sha256)$
-- The payload that an identifier was first used with.
SELECT payload_sha256 FROM payments WHERE identifier_sha256 = :identifier_sha256;
