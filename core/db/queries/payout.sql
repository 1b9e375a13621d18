-- name: listing(account_id)
-- The address in force on each network, and the one that follows it.
-- types: row=PayoutRow address!
SELECT network, payout_in_force(payout_addresses) AS address,
    CASE WHEN next_from > now() THEN next_address END AS next_address,
    CASE WHEN next_from > now() THEN next_from END AS next_from
FROM payout_addresses
WHERE account_id = :account_id
ORDER BY network;

-- name: change(account_id, network, address, delay_seconds)!
-- The first address on a network is in force at once: no buyer paid another one there. A change that is in force
-- becomes the old address; one that is not is replaced.
INSERT INTO payout_addresses (account_id, network, address) VALUES (:account_id, :network, :address)
ON CONFLICT (account_id, network) DO UPDATE SET address = payout_in_force(payout_addresses),
    next_address = EXCLUDED.address, next_from = now() + make_interval(secs => :delay_seconds);

-- name: cancel(account_id, network)!
-- Only a change that is not in force yet.
UPDATE payout_addresses SET next_address = NULL, next_from = NULL
WHERE account_id = :account_id AND network = :network AND next_from > now();
