-- name: last(id)^
-- The number of sends of the current round, the last one, and the outcomes of all, NULL where nobody saw the end.
-- types: row! outcomes=list[str|None]
SELECT executions.sends, sends.number, sends.outcome, sends.model_id, sends.sealed_request,
    ARRAY(
        SELECT earlier.outcome FROM sends AS earlier
        WHERE earlier.execution_id = executions.id AND earlier.round = executions.round
    ) AS outcomes
FROM executions
LEFT JOIN sends ON sends.execution_id = executions.id AND sends.round = executions.round
WHERE executions.id = :id
ORDER BY sends.number DESC NULLS LAST
LIMIT 1;

-- name: mark(ids, attempt_ids, sealed_requests, model_ids, latin_characters, other_characters, send_limit)
-- The durable marks of sends. They are committed first, so no execution is sent more often than its limit.
WITH asked AS (
    SELECT *
    FROM unnest(
        :ids::uuid[], :attempt_ids::uuid[], :sealed_requests::bytea[], :model_ids::text[],
        :latin_characters::integer[], :other_characters::integer[]
    ) AS asked (id, attempt_id, sealed_request, model_id, latin_characters, other_characters)
), marked AS (
    UPDATE executions SET sends = sends + 1, call_started_at = coalesce(call_started_at, now())
    FROM asked
    WHERE executions.id = asked.id AND executions.attempt_id = asked.attempt_id AND state = 'running'
        AND sends < :send_limit
    RETURNING executions.id, round, sends, asked.attempt_id, asked.sealed_request, asked.model_id,
        asked.latin_characters, asked.other_characters
), noted AS (
    UPDATE attempts SET sends = attempts.sends + 1, call_started_at = coalesce(call_started_at, now())
    FROM marked
    WHERE attempts.id = marked.attempt_id
)
INSERT INTO sends (
    execution_id, round, number, attempt_id, sealed_request, model_id, latin_characters, other_characters
)
SELECT id, round, sends, attempt_id, sealed_request, model_id, latin_characters, other_characters FROM marked
RETURNING attempt_id, number;

-- name: note(execution_ids, rounds, numbers, generation_ids)!
-- The provider has begun: from now on its cost can be looked up, even if the answer is lost.
-- types: :generation_ids[]!
UPDATE sends SET generation_id = noted.generation_id
FROM unnest(:execution_ids::uuid[], :rounds::integer[], :numbers::integer[], :generation_ids::text[])
    AS noted (execution_id, round, number, generation_id)
WHERE (sends.execution_id, sends.round, sends.number) = (noted.execution_id, noted.round, noted.number);

-- name: finish(execution_ids, rounds, numbers, outcomes, generation_ids, models_served, input_tokens, output_tokens, costs_usd)!
-- Record how sends ended and what they used. The first record counts, also from an attempt that was taken
-- over since.
UPDATE sends
SET ended_at = now(), outcome = ended.outcome,
    generation_id = coalesce(ended.generation_id, sends.generation_id), model_served = ended.model_served,
    input_tokens = ended.input_tokens, output_tokens = ended.output_tokens, cost_usd = ended.cost_usd
FROM unnest(
    :execution_ids::uuid[], :rounds::integer[], :numbers::integer[], :outcomes::text[], :generation_ids::text[],
    :models_served::text[], :input_tokens::integer[], :output_tokens::integer[], :costs_usd::numeric[]
) AS ended (
    execution_id, round, number, outcome, generation_id, model_served, input_tokens, output_tokens, cost_usd
)
WHERE (sends.execution_id, sends.round, sends.number) = (ended.execution_id, ended.round, ended.number)
    AND sends.ended_at IS NULL;

-- name: name_source(source_id, execution_id, round, number)!
-- A cached answer names the generation of the earlier send that it was made for, whose own id was never received.
UPDATE sends SET generation_id = :source_id
WHERE execution_id = :execution_id AND round = :round AND number < :number AND generation_id IS NULL
    AND outcome IS DISTINCT FROM 'succeeded';
