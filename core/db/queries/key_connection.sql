-- name: begin(id, account_id, state_sha256, browser_sha256, sealed_verifier, seconds)$
-- One connection at a time for each account: a new one ends the one before.
INSERT INTO key_connections (id, account_id, state_sha256, browser_sha256, sealed_verifier, expires_at)
VALUES (:id, :account_id, :state_sha256, :browser_sha256, :sealed_verifier, now() + make_interval(secs => :seconds))
ON CONFLICT (account_id) DO UPDATE
SET id = EXCLUDED.id, state_sha256 = EXCLUDED.state_sha256, browser_sha256 = EXCLUDED.browser_sha256,
    sealed_verifier = EXCLUDED.sealed_verifier, created_at = EXCLUDED.created_at, expires_at = EXCLUDED.expires_at
RETURNING expires_at;

-- name: take(state_sha256, browser_sha256, account_id)^
-- Take a connection, once, for the browser that began it or for its account.
-- types: :browser_sha256? :account_id?
DELETE FROM key_connections
WHERE state_sha256 = :state_sha256 AND expires_at > now()
    AND (browser_sha256 = CAST(:browser_sha256 AS bytea) OR account_id = CAST(:account_id AS uuid))
RETURNING id, account_id, sealed_verifier;
