-- name: last(id)^
-- How often the current round was sent, and how the last of them ended as far as anybody saw.
SELECT executions.sends, sends.number, sends.outcome, sends.sealed_request
FROM executions
LEFT JOIN sends ON sends.execution_id = executions.id AND sends.round = executions.round
WHERE executions.id = :id
ORDER BY sends.number DESC NULLS LAST
LIMIT 1;

-- name: mark(id, attempt_id, send_limit, sealed_request)^
-- The durable mark before a send: committed first, so that no execution is ever sent more often than its bound.
WITH marked AS (
    UPDATE executions SET sends = sends + 1, call_started_at = coalesce(call_started_at, now())
    WHERE id = :id AND attempt_id = :attempt_id AND state = 'running' AND sends < :send_limit
    RETURNING id, round, sends
), noted AS (
    UPDATE attempts SET sends = attempts.sends + 1, call_started_at = coalesce(call_started_at, now())
    WHERE id = :attempt_id AND EXISTS (SELECT 1 FROM marked)
)
INSERT INTO sends (execution_id, round, number, attempt_id, sealed_request)
SELECT id, round, sends, :attempt_id, :sealed_request FROM marked
RETURNING number;

-- name: note(generation_id, execution_id, round, number)!
-- The provider has begun: from here on its cost can be asked for, whatever becomes of the answer.
UPDATE sends SET generation_id = :generation_id
WHERE execution_id = :execution_id AND round = :round AND number = :number;

-- name: finish(outcome, generation_id, model_served, input_tokens, output_tokens, cost_usd, execution_id, round, number)!
-- How it ended and what it used; the first word counts, also from an attempt that was taken over meanwhile.
UPDATE sends
SET ended_at = now(), outcome = :outcome, generation_id = coalesce(:generation_id, generation_id),
    model_served = :model_served, input_tokens = :input_tokens, output_tokens = :output_tokens,
    cost_usd = :cost_usd
WHERE execution_id = :execution_id AND round = :round AND number = :number AND ended_at IS NULL;

-- name: name_source(source_id, execution_id, round, number)!
-- A stored answer names the send that it was made for, whose own headers nobody saw.
UPDATE sends SET generation_id = :source_id
WHERE execution_id = :execution_id AND round = :round AND number < :number AND generation_id IS NULL
    AND outcome IS DISTINCT FROM 'succeeded';
