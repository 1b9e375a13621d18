-- name: forget_old(account_id)!
-- An answer is kept for a day.
DELETE FROM idempotency_keys WHERE account_id = :account_id AND created_at < now() - interval '1 day';

-- name: begin(account_id, key, request)!
-- Zero rows if the key is there already. A concurrent request with it waits here until the first has committed.
INSERT INTO idempotency_keys (account_id, key, request, status, answer)
VALUES (:account_id, :key, :request, 0, 'null')
ON CONFLICT (account_id, key) DO NOTHING;

-- name: find(account_id, key)^
-- What was answered.
-- types: answer=dict[str,object]
SELECT request, status, answer FROM idempotency_keys WHERE account_id = :account_id AND key = :key;

-- name: finish(account_id, key, status, answer)!
-- Keep the answer, in the transaction that did the work.
UPDATE idempotency_keys SET status = :status, answer = CAST(:answer AS json)
WHERE account_id = :account_id AND key = :key;
