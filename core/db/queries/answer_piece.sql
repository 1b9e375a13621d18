-- name: append(ids, execution_ids, attempt_ids, rounds, starts_at, sealed_texts)
-- Add pieces of answers that are being made, and wake their readers. Only the current attempt of a running execution
-- may. The lock keeps the execution from ending before the piece is there; a locked one is left for the next time, so
-- this waits for nobody.
-- types: row=AppendedRow is_written! is_over!
WITH asked AS (
    SELECT * FROM unnest(
        :ids::uuid[], :execution_ids::uuid[], :attempt_ids::uuid[], :rounds::integer[], :starts_at::integer[],
        :sealed_texts::bytea[]
    ) AS asked (id, execution_id, attempt_id, round, starts_at, sealed_text)
), held AS (
    SELECT executions.id, executions.attempt_id, executions.round FROM executions
    WHERE executions.id IN (SELECT execution_id FROM asked) AND executions.state = 'running'
    FOR SHARE SKIP LOCKED
), written AS (
    INSERT INTO answer_pieces (id, execution_id, round, starts_at, sealed_text)
    SELECT asked.id, asked.execution_id, asked.round, asked.starts_at, asked.sealed_text
    FROM asked JOIN held
        ON held.id = asked.execution_id AND held.attempt_id = asked.attempt_id AND held.round = asked.round
    ON CONFLICT DO NOTHING
    RETURNING id, execution_id
), told AS (
    SELECT written.id, pg_notify('answer_growing', written.execution_id::text) FROM written
)
SELECT asked.id,
    -- It may have been written before, by a transaction whose end nobody heard of.
    told.id IS NOT NULL OR EXISTS (SELECT 1 FROM answer_pieces WHERE answer_pieces.id = asked.id) AS is_written,
    executions.state <> 'running' OR executions.round <> asked.round
        OR executions.attempt_id IS DISTINCT FROM asked.attempt_id AS is_over
FROM asked
JOIN executions ON executions.id = asked.execution_id
LEFT JOIN told ON told.id = asked.id;

-- name: read(execution_ids, rounds, starts_at, most)
-- The next pieces of each reader, who may all read different executions or places.
-- types: row=PieceRow reader! starts_at! sealed_text! id!
SELECT asked.reader, piece.id, piece.starts_at, piece.sealed_text
FROM unnest(:execution_ids::uuid[], :rounds::integer[], :starts_at::integer[]) WITH ORDINALITY
    AS asked (execution_id, round, starts_at, reader)
CROSS JOIN LATERAL (
    SELECT answer_pieces.id, answer_pieces.starts_at, answer_pieces.sealed_text FROM answer_pieces
    WHERE answer_pieces.execution_id = asked.execution_id AND answer_pieces.round = asked.round
        AND answer_pieces.starts_at >= asked.starts_at
    ORDER BY answer_pieces.starts_at
    LIMIT :most
) AS piece
ORDER BY asked.reader, piece.starts_at;

-- name: has_any(execution_id, round)$
-- Whether somebody may have seen the beginning of an answer of this round.
SELECT EXISTS (SELECT 1 FROM answer_pieces WHERE execution_id = :execution_id AND round = :round);

-- name: ask(execution_id, streamed)!
-- Somebody wants to watch. That counts only until the execution begins.
UPDATE executions SET streamed = :streamed
WHERE id = :execution_id AND state IN ('held', 'queued') AND streamed IS NULL;
