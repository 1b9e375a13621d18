-- name: unverified(network, asset, after_decided, after_id, most)
-- Paid payments of a network that were not verified yet, oldest first.
-- types: row=Unverified decided_at! transaction!
SELECT id, payer, nonce, pay_to, amount_atomic, transaction, created_at, decided_at
FROM payments
WHERE state = 'paid' AND verification = 'pending' AND network = :network AND asset = :asset
    AND (decided_at, id) > (:after_decided::timestamptz, :after_id::uuid)
ORDER BY decided_at, id
LIMIT :most;

-- name: record(ids, verdicts)!
-- Record what the chain shows for these payments.
UPDATE payments SET verification = found.verdict, verified_at = now()
FROM unnest(:ids::uuid[], :verdicts::text[]) AS found (id, verdict)
WHERE payments.id = found.id AND verification = 'pending';

-- name: pause(network, limit)^
-- Pause a network with too many differences; no row if it has fewer, or is paused already.
INSERT INTO networks (id, paused_at)
SELECT :network, now() WHERE count_differing(:network) >= :limit
ON CONFLICT (id) DO UPDATE SET paused_at = now() WHERE networks.paused_at IS NULL
RETURNING id;

-- name: resume(network)^
-- Sell on a paused network again; differences found until now no longer count. No row if it is not paused.
UPDATE networks SET paused_at = NULL, counted_since = now()
WHERE id = :network AND paused_at IS NOT NULL
RETURNING id;
