-- name: lock_payers(payers)!
-- Claims and aliases of one wallet wait for each other, so that its undecided payments are counted exactly, and an
-- authorization becomes one of both. Wallets are locked in one order, before anything else.
SELECT pg_advisory_xact_lock(hashtextextended('x402-instant/payer/' || payer, 0))
FROM (SELECT DISTINCT payer FROM unnest(:payers::text[]) AS payer ORDER BY payer) AS claiming;

-- name: claim(ids, networks, assets, payers, nonces, pay_tos, amounts_atomic, valid_befores, version_ids, owners, payloads_sha256, requests_sha256, quoteds, identifiers_sha256, sealed_payloads, undecided_limit)
-- One insert claims an authorization, and an identifier; a second presentation returns no row, and neither does an
-- alias, or a payment of a wallet with too many undecided ones (a repetition in the same batch counts). Rows are inserted in a fixed order, so that concurrent claims of
-- several hardly ever wait for each other.
INSERT INTO payments (
    id, network, asset, payer, nonce, pay_to, amount_atomic, valid_before, version_id, state, owner,
    payload_sha256, request_sha256, quoted, identifier_sha256, sealed_payload
)
SELECT id, network, asset, payer, nonce, pay_to, amount_atomic, valid_before, version_id, 'settling', owner,
    payload_sha256, request_sha256, quoted, identifier_sha256, sealed_payload
FROM (
    SELECT *, dense_rank() OVER (PARTITION BY payer ORDER BY network, asset, nonce) AS turn
    FROM unnest(
        :ids::uuid[], :networks::text[], :assets::text[], :payers::text[], :nonces::bytea[], :pay_tos::text[],
        :amounts_atomic::bigint[], :valid_befores::timestamptz[], :version_ids::uuid[], :owners::uuid[],
        :payloads_sha256::bytea[], :requests_sha256::bytea[], :quoteds::boolean[], :identifiers_sha256::bytea[],
        :sealed_payloads::bytea[]
    ) AS claiming (
        id, network, asset, payer, nonce, pay_to, amount_atomic, valid_before, version_id, owner, payload_sha256,
        request_sha256, quoted, identifier_sha256, sealed_payload
    )
) AS asked
WHERE turn + count_undecided(payer) <= :undecided_limit AND NOT EXISTS (
    SELECT 1 FROM payment_aliases AS alias
    WHERE alias.network = asked.network AND alias.asset = asked.asset AND alias.payer = asked.payer
        AND alias.nonce = asked.nonce
)
ORDER BY network, asset, payer, nonce
ON CONFLICT DO NOTHING
RETURNING id;

-- name: undecided(payer)^
-- How many payments of a wallet are undecided, and the seconds until recovery looks at the first of them.
-- types: row=Undecided! seconds!
SELECT count_undecided(:payer) AS payments, (
    SELECT coalesce(extract(epoch FROM min(look_at) - now()), 0)::float8 FROM payments
    WHERE payer = :payer AND state IN ('settling', 'unknown')
) AS seconds;

-- name: reclaim(owner, id, payload_sha256, request_sha256)^
-- A cleanly refused authorization that is still valid may come back with the identical payload and request; one that
-- the chain shows as spent may not.
UPDATE payments
SET state = 'settling', reason = 'again', owner = :owner, decided_at = NULL, settles = 1, looks = 0, look_at = NULL
WHERE id = :id AND state = 'failed' AND payload_sha256 = :payload_sha256 AND request_sha256 = :request_sha256
    AND valid_before > now() AND proved_at IS NULL
RETURNING id;

-- name: alias(payment_id, network, asset, payer, nonce, payload_sha256, quoted, valid_before)^
-- An authorization is answered from another payment from now on, unless it was claimed or is an alias already.
INSERT INTO payment_aliases (payment_id, network, asset, payer, nonce, payload_sha256, quoted, valid_before)
SELECT payment_id, network, asset, payer, nonce, payload_sha256, quoted, valid_before
FROM (VALUES (
    :payment_id::uuid, :network::text, :asset::text, :payer::text, :nonce::bytea, :payload_sha256::bytea,
    :quoted::boolean, :valid_before::timestamptz
)) AS asked (payment_id, network, asset, payer, nonce, payload_sha256, quoted, valid_before)
WHERE NOT EXISTS (
    SELECT 1 FROM payments
    WHERE payments.network = asked.network AND payments.asset = asked.asset AND payments.payer = asked.payer
        AND payments.nonce = asked.nonce
)
ON CONFLICT DO NOTHING
RETURNING payment_id;

-- name: find(network, asset, payer, nonce)^
-- The payment that this authorization was claimed as, or answered from, and its execution; with the proof of the sender
-- that belongs to this authorization.
-- types: row=Payment payload_sha256! quoted!
SELECT payments.id, payments.state, payments.reason, payments.transaction, payments.network, payments.payer,
    payments.amount_atomic, presented.payload_sha256, payments.request_sha256, presented.quoted,
    executions.id AS execution_id
FROM (
    SELECT id AS payment_id, payload_sha256, quoted FROM payments
    WHERE network = :network AND asset = :asset AND payer = :payer AND nonce = :nonce
    UNION ALL
    SELECT payment_id, payload_sha256, quoted FROM payment_aliases
    WHERE network = :network AND asset = :asset AND payer = :payer AND nonce = :nonce
) AS presented
JOIN payments ON payments.id = presented.payment_id
JOIN executions ON executions.payment_id = payments.id;

-- name: find_named(identifier_sha256)^
-- The payment that an identifier names, unless no money moved.
-- types: row=Payment
SELECT payments.id, payments.state, payments.reason, payments.transaction, payments.network, payments.payer,
    payments.amount_atomic, payments.payload_sha256, payments.request_sha256, payments.quoted, executions.id AS execution_id
FROM payments
JOIN executions ON executions.payment_id = payments.id
WHERE payments.identifier_sha256 = :identifier_sha256 AND payments.state <> 'failed';

-- name: find_unfetched(network, payer, request_sha256, seconds)^
-- The oldest payment of a wallet for the same request, without an identifier, whose outcome no client has yet.
-- types: row=Payment
SELECT payments.id, payments.state, payments.reason, payments.transaction, payments.network, payments.payer,
    payments.amount_atomic, payments.payload_sha256, payments.request_sha256, payments.quoted, executions.id AS execution_id
FROM payments
JOIN executions ON executions.payment_id = payments.id
WHERE payments.payer = :payer AND payments.request_sha256 = :request_sha256 AND payments.fetched_at IS NULL
    AND payments.identifier_sha256 IS NULL AND payments.state <> 'failed' AND payments.network = :network
    AND payments.created_at > now() - make_interval(secs => :seconds)
ORDER BY payments.created_at
LIMIT 1;

-- name: find_lost(network, payer, request_sha256, seconds)^
-- The newest payment of a wallet for the same request, without an identifier, whose outcome was written out within so many
-- seconds, for a client that says that it got none. The index of the wallet's payments by time finds it.
-- types: row=Payment
SELECT payments.id, payments.state, payments.reason, payments.transaction, payments.network, payments.payer,
    payments.amount_atomic, payments.payload_sha256, payments.request_sha256, payments.quoted, executions.id AS execution_id
FROM payments
JOIN executions ON executions.payment_id = payments.id
WHERE payments.payer = :payer AND payments.request_sha256 = :request_sha256 AND payments.network = :network
    AND payments.fetched_at > now() - make_interval(secs => :seconds)
    AND payments.identifier_sha256 IS NULL AND payments.state <> 'failed'
    AND payments.created_at > now() - interval '1 day'
ORDER BY payments.created_at DESC
LIMIT 1;

-- name: mark_fetched(ids)!
-- A client has the outcome. The commit need not reach the disk before the last byte goes out: a mark that a crash of
-- Postgres loses gives a buyer the same answer once more, for nothing.
UPDATE payments SET fetched_at = now()
FROM (SELECT set_config('synchronous_commit', 'off', true)) AS commit
WHERE id = ANY(:ids) AND fetched_at IS NULL;

-- name: release_identifiers(identifiers_sha256)!
-- A failed payment bought nothing, so its identifier may name the next one.
UPDATE payments SET identifier_sha256 = NULL
WHERE identifier_sha256 = ANY(:identifiers_sha256) AND state = 'failed';

-- name: read(id)^
-- A payment with what is needed to settle it again or to look for it on the chain.
-- types: row=Recorded!
SELECT payments.id, payments.network, payments.asset, payments.payer, payments.nonce, payments.pay_to,
    payments.amount_atomic, payments.valid_before, payments.state, payments.sealed_payload, payments.version_id,
    payments.created_at, executions.account_id, executions.id AS execution_id
FROM payments
JOIN executions ON executions.payment_id = payments.id
WHERE payments.id = :id;

-- name: begin_settling_again(id, settle_limit)^
-- Count one more request to settle an unknown payment, before it is made.
UPDATE payments SET settles = settles + 1
WHERE id = :id AND state = 'unknown' AND settles < :settle_limit
RETURNING id;

-- name: lock_transactions(transactions)!
-- Payments that name one transaction are written one after the other, so that each sees the ones before.
SELECT pg_advisory_xact_lock(hashtextextended('x402-instant/transaction/' || transaction, 0))
FROM (SELECT DISTINCT transaction FROM unnest(:transactions::text[]) AS transaction ORDER BY transaction) AS naming;

-- name: pay(ids, transactions, reasons)
-- The money moved, in the transactions that prove it. A facilitator's word is no proof if another payment names the
-- same transaction: it may hold several transfers, but only the chain shows whose they are.
WITH asked AS (
    SELECT payments.id, payments.network, paid.transaction, paid.reason,
        paid.reason IN ('settled', 'settled_again') AS is_told
    FROM unnest(:ids::uuid[], :transactions::text[], :reasons::text[]) AS paid (id, transaction, reason)
    JOIN payments ON payments.id = paid.id
), ordered AS (
    SELECT *, row_number() OVER (PARTITION BY network, transaction ORDER BY is_told, id) AS turn FROM asked
)
UPDATE payments
SET state = 'paid', transaction = ordered.transaction, reason = ordered.reason, decided_at = now(), owner = NULL
FROM ordered
WHERE payments.id = ordered.id AND payments.state IN ('settling', 'unknown') AND NOT (ordered.is_told AND (
    ordered.turn > 1 OR EXISTS (
        SELECT 1 FROM payments AS other
        WHERE other.network = ordered.network AND other.transaction = ordered.transaction AND other.id <> ordered.id
    )
))
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

-- name: delete_aliases(most)
-- Delete expired aliases of payments whose content is deleted. One that is still valid would be settled as a new payment.
DELETE FROM payment_aliases
WHERE (network, asset, payer, nonce) IN (
    SELECT alias.network, alias.asset, alias.payer, alias.nonce
    FROM payment_aliases AS alias
    JOIN executions ON executions.payment_id = alias.payment_id
    WHERE executions.content_deleted_at IS NOT NULL AND alias.valid_before < now()
    LIMIT :most
    FOR UPDATE OF alias SKIP LOCKED
)
RETURNING payment_id;
