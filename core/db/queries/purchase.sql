-- name: spend_nonce(nonce_sha256)$
-- A signed nonce lists once. No row means that it was spent before; the primary key decides.
-- types: nonce_sha256?
INSERT INTO spent_nonces (nonce_sha256) VALUES (:nonce_sha256)
ON CONFLICT DO NOTHING
RETURNING nonce_sha256;

-- name: forget_nonces(seconds)!
-- Nonces that are too old to be signed any more.
DELETE FROM spent_nonces WHERE spent_at < now() - make_interval(secs => :seconds);

-- name: page(payer, network, after_time, after_id, most)
-- A wallet's purchases, newest first, unless no money moved. A contract's are only those on its own network.
SELECT executions.id, payments.created_at
FROM payments JOIN executions ON executions.payment_id = payments.id
WHERE payments.payer = :payer AND payments.state <> 'failed'
    AND (:network::text IS NULL OR payments.network = :network)
    AND (:after_time::timestamptz IS NULL OR :after_id::uuid IS NULL
        OR (payments.created_at, executions.id) < (:after_time, :after_id))
ORDER BY payments.created_at DESC, executions.id DESC
LIMIT :most;
