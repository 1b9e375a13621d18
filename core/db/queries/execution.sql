-- name: create(ids, payment_ids, account_ids, version_ids, sealed_inputs, streamed)!
-- A paid execution is held until its payment is settled; an owner's test is queued at once.
INSERT INTO executions (id, kind, payment_id, account_id, version_id, sealed_inputs, streamed, state, queued_at)
SELECT id, CASE WHEN payment_id IS NULL THEN 'test' ELSE 'paid' END, payment_id, account_id, version_id, sealed,
    streamed, CASE WHEN payment_id IS NULL THEN 'queued' ELSE 'held' END, CASE WHEN payment_id IS NULL THEN now() END
FROM unnest(
    :ids::uuid[], :payment_ids::uuid[], :account_ids::uuid[], :version_ids::uuid[], :sealed_inputs::bytea[],
    :streamed::text[]
) AS asked (id, payment_id, account_id, version_id, sealed, streamed);

-- name: notify_queued()!
-- Wake the launchers, because there may be work to claim.
SELECT pg_notify('execution_queued', '');

-- name: notify_changed(ids)!
-- Wake the requests that wait for these executions.
SELECT pg_notify('execution_changed', id::text) FROM unnest(:ids::uuid[]) AS id;

-- name: release_payment_holds(payment_ids)!
-- The payments are settled: queue their executions, and wake the launchers and those who read along.
WITH released AS (
    UPDATE executions SET state = 'queued', queued_at = now()
    WHERE payment_id = ANY(:payment_ids) AND state = 'held'
    RETURNING id, streamed
)
SELECT pg_notify('execution_queued', '') WHERE EXISTS (SELECT 1 FROM released)
UNION ALL
SELECT pg_notify('execution_changed', id::text) FROM released WHERE streamed IS NOT NULL;

-- name: void(payment_id)^
-- The payment failed: its execution never runs, and nothing is owed.
UPDATE executions SET state = 'void', finished_at = now()
WHERE payment_id = :payment_id AND state = 'held'
RETURNING id, round;

-- name: rehold(payment_id)^
-- The identical payload of a refused payment came back: hold its execution again.
UPDATE executions SET state = 'held', finished_at = NULL
WHERE payment_id = :payment_id AND state = 'void'
RETURNING id, round;

-- name: requeue(payment_id)^
-- A refused payment landed late: queue its execution.
UPDATE executions SET state = 'queued', queued_at = now(), finished_at = NULL
WHERE payment_id = :payment_id AND state = 'void'
RETURNING id, round, version_id;

-- name: fail_owed(rerun_seconds, payment_id)^
-- A refused payment landed late, and its creator has no room: a free re-run is possible, then a refund is due.
UPDATE executions
SET state = 'failed', code = 'resource_unavailable', fault = 'creator', detail = 'landed_late', finished_at = now(),
    rerun_until = now() + make_interval(secs => :rerun_seconds)
WHERE payment_id = :payment_id AND state = 'void'
RETURNING id;

-- name: lock_claims()!
-- Launchers claim one after the other, so that a creator's slots are counted exactly. A claim is short.
SELECT pg_advisory_xact_lock(hashtext('x402-instant/claim'));

-- name: claim(alone, send_limit, takeover_limit, most, worker_id, call_limit, batch_id)
-- Claim queued executions: within each creator's free slots, creators in turn, oldest first. An execution that was
-- taken over twice runs alone. One that reached its limit of sends or takeovers is left for recovery, which fails it.
WITH busy AS (
    SELECT account_id, count(*) AS calls
    FROM executions
    WHERE state = 'running' OR (state = 'queued' AND claimed_by IS NOT NULL)
    GROUP BY account_id
), waiting AS (
    SELECT id, account_id, queued_at, row_number() OVER (PARTITION BY account_id ORDER BY queued_at, id) AS turn
    FROM executions
    WHERE state = 'queued' AND claimed_by IS NULL AND (takeovers >= 2) = :alone
        AND sends < :send_limit AND takeovers < :takeover_limit
), chosen AS (
    SELECT waiting.id
    FROM waiting
    JOIN accounts ON accounts.id = waiting.account_id
    LEFT JOIN busy ON busy.account_id = waiting.account_id
    WHERE waiting.turn + coalesce(busy.calls, 0) <= accounts.slots
    ORDER BY waiting.turn, waiting.queued_at
    LIMIT least(:most, greatest(0, :call_limit - (
        SELECT count(*) FROM executions WHERE claimed_by = :worker_id AND state IN ('queued', 'running')
    )))
)
UPDATE executions SET claimed_by = :worker_id, batch_id = :batch_id
WHERE id IN (
    SELECT id FROM executions
    WHERE id IN (SELECT id FROM chosen) AND state = 'queued' AND claimed_by IS NULL
    FOR UPDATE SKIP LOCKED
)
RETURNING id;

-- name: may_top_up(batch_id, ids)$
-- Whether there are executions that may join this batch. A batch of an execution that was taken over twice stays alone.
SELECT EXISTS (SELECT 1 FROM executions WHERE state = 'queued' AND claimed_by IS NULL)
    AND EXISTS (SELECT 1 FROM batches WHERE id = :batch_id)
    AND NOT EXISTS (SELECT 1 FROM executions WHERE id = ANY(:ids) AND takeovers >= 2);

-- name: begin_batch(id, worker_id)!
-- The executions of a batch are run together while this row exists.
INSERT INTO batches (id, worker_id) VALUES (:id, :worker_id);

-- name: end_batch(id, worker_id)!
-- The batch's run is over. If another process has become its owner, the batch ends with that one.
DELETE FROM batches WHERE id = :id AND worker_id = :worker_id;

-- name: orphaned(batch_ids, execution_ids)
-- Which of these batches, each given with one of its executions, have no owner any more. A batch whose execution is not
-- in this database belongs to another installation that shares our Prefect server.
SELECT batch.id
FROM unnest(:batch_ids::uuid[], :execution_ids::uuid[]) AS batch (id, execution_id)
WHERE EXISTS (SELECT 1 FROM executions WHERE executions.id = batch.execution_id)
    AND NOT EXISTS (SELECT 1 FROM batches WHERE batches.id = batch.id);

-- name: take(worker_id, ids, batch_id, flow_run_id)
-- Begin: each execution claimed for this batch gets an attempt, and from now on only that attempt's writes count.
-- The process that begins the batch becomes its owner; on a work pool that is not the launcher.
-- types: attempt_id! sealed_inputs!
WITH taken AS (
    UPDATE executions SET state = 'running', attempt_id = gen_random_uuid(), claimed_by = :worker_id
    WHERE id = ANY(:ids) AND state = 'queued' AND claimed_by IS NOT NULL AND batch_id = :batch_id
    RETURNING id, attempt_id, batch_id, account_id, version_id, payment_id, round, sends, takeovers, claimed_by,
        sealed_inputs, streamed
), noted AS (
    INSERT INTO attempts (id, execution_id, round, reason, worker_id, flow_run_id)
    SELECT attempt_id, id, round,
        CASE WHEN takeovers > 0 THEN 'takeover' WHEN round > 1 THEN 'rerun' ELSE 'first' END,
        claimed_by, :flow_run_id
    FROM taken
), owned AS (
    UPDATE batches SET worker_id = :worker_id WHERE id = :batch_id AND worker_id <> :worker_id
)
SELECT taken.*, payments.payer
FROM taken LEFT JOIN payments ON payments.id = taken.payment_id;

-- name: notify_begun(batch_id)!
-- Notify the launcher that this run has begun its batch, so that it may start the next.
SELECT pg_notify('batch_begun', :batch_id::uuid::text);

-- name: succeed(ids, rounds, sealed_results, truncateds, leaks, deliveries)
-- The first valid answer is stored, from whichever attempt it comes.
-- types: :sealed_results[]! :deliveries[]!
UPDATE executions
SET state = 'succeeded', sealed_result = answered.sealed_result, truncated = answered.truncated,
    leak = answered.leak, finished_at = now(),
    delivery = CAST(answered.delivery AS jsonb) || jsonb_build_object('answered_at', now())
FROM unnest(
    :ids::uuid[], :rounds::integer[], :sealed_results::bytea[], :truncateds::boolean[], :leaks::text[],
    :deliveries::text[]
) AS answered (id, round, sealed_result, truncated, leak, delivery)
WHERE executions.id = answered.id AND executions.round = answered.round AND state IN ('queued', 'running')
RETURNING executions.id, call_started_at - queued_at AS queue, finished_at - call_started_at AS upstream,
    finished_at - CASE WHEN executions.round = 1 THEN created_at ELSE queued_at END AS total;

-- name: fail(state, code, fault, detail, rerun_seconds, id, attempt_id)^
-- Only the current attempt can fail the execution.
UPDATE executions
SET state = :state, code = :code, fault = :fault, detail = :detail, finished_at = now(),
    rerun_until = CASE WHEN kind = 'paid' AND :state = 'failed' THEN now() + make_interval(secs => :rerun_seconds) END
WHERE id = :id AND attempt_id = :attempt_id AND state = 'running'
RETURNING id, call_started_at - queued_at AS queue, finished_at - call_started_at AS upstream,
    finished_at - CASE WHEN round = 1 THEN created_at ELSE queued_at END AS total;

-- name: failures(ids)
-- Why these executions failed: operators see the counts of a run's codes.
-- types: fault! detail!
SELECT fault, detail FROM executions WHERE id = ANY(:ids) AND state IN ('failed', 'declined');

-- name: end_attempts(outcome, attempt_ids)!
-- End attempts with their outcome; usage is recorded by their sends.
UPDATE attempts SET ended_at = now(), outcome = :outcome WHERE id = ANY(:attempt_ids) AND ended_at IS NULL;

-- name: wake_waiting()!
-- A slot of a creator and of a process is free: wake the launchers if executions are waiting.
SELECT pg_notify('execution_queued', '')
WHERE EXISTS (SELECT 1 FROM executions WHERE state = 'queued' AND claimed_by IS NULL);

-- name: count_of_batch(batch_id, worker_id)$
-- How many unfinished executions a run carries, with those that joined when it began.
SELECT count(*) FROM executions
WHERE batch_id = :batch_id AND claimed_by = :worker_id AND state IN ('queued', 'running');

-- name: release(batch_id, worker_id)
-- Return a run's unfinished executions to the queue. Only those that had begun count as taken over.
WITH freed AS (
    UPDATE executions
    SET takeovers = takeovers + (state = 'running')::integer, state = 'queued', claimed_by = NULL, attempt_id = NULL
    WHERE batch_id = :batch_id AND claimed_by = :worker_id AND state IN ('queued', 'running')
    RETURNING id
), ended AS (
    UPDATE attempts SET ended_at = now(), outcome = 'abandoned'
    WHERE execution_id IN (SELECT id FROM freed) AND ended_at IS NULL
)
SELECT id FROM freed;

-- name: lock(id)!
-- Wait for concurrent writes to this execution.
SELECT id FROM executions WHERE id = :id FOR UPDATE;

-- name: rerun(id, rerun_limit)^
-- The buyer asks for the same inputs again: begin a new round, if the limits of number and time allow it.
UPDATE executions
SET state = 'queued', round = round + 1, sends = 0, takeovers = 0, code = NULL, fault = NULL, detail = NULL,
    claimed_by = NULL, batch_id = NULL, attempt_id = NULL, queued_at = now(), call_started_at = NULL,
    finished_at = NULL, rerun_until = NULL
WHERE id = :id AND may_rerun(executions, :rerun_limit) AND logged_round = round
RETURNING id, round, account_id, version_id;

-- name: show(ids, rerun_limit, failure_limit)
-- Everything that a buyer, creator or operator may see of executions.
-- types: row=Execution may_rerun! delivery=dict[str,object]|None
SELECT executions.id, executions.kind, executions.state, executions.code, executions.fault, executions.detail,
    executions.round, executions.sends, executions.account_id, executions.version_id, executions.sealed_result,
    executions.truncated, executions.streamed, executions.delivery, executions.erased_by_buyer,
    -- Only where a buyer cannot know it from the offer.
    CASE WHEN resource_versions.fallbacks <> '{}' THEN (
        SELECT coalesce(sends.model_served, sends.model_id) FROM sends
        WHERE sends.execution_id = executions.id AND sends.round = executions.round AND sends.outcome = 'succeeded'
        ORDER BY sends.number DESC LIMIT 1
    ) END AS model_served,
    -- A re-run that would be refused is not offered: its wallet has had too many refundable failures.
    CASE WHEN may_rerun(executions, :rerun_limit) THEN coalesce(
        refused_until(payments.payer, resource_versions.resource_id, :failure_limit::integer) IS NULL, true
    ) ELSE false END AS may_rerun, executions.created_at, executions.queued_at,
    executions.call_started_at, executions.finished_at, executions.content_deleted_at, executions.claimed_by IS NOT NULL AS claimed,
    resource_versions.modality, resource_versions.number, resource_versions.model_id, resources.slug, accounts.handle,
    payments.asset, payments.pay_to, payments.id AS payment_id, payments.state AS payment_state, payments.reason,
    payments.transaction, payments.network, payments.payer, payments.amount_atomic, payments.created_at AS claimed_at,
    payments.decided_at, payments.fetched_at, attempts.flow_run_id, attempts.call_started_at AS sent_at, attempts.ended_at,
    refunds.state AS refund, refunds.transaction AS refund_transaction
FROM executions
JOIN resource_versions ON resource_versions.id = executions.version_id
JOIN resources ON resources.id = resource_versions.resource_id
JOIN accounts ON accounts.id = executions.account_id
LEFT JOIN payments ON payments.id = executions.payment_id
LEFT JOIN attempts ON attempts.id = executions.attempt_id
LEFT JOIN refunds ON refunds.execution_id = executions.id
WHERE executions.id = ANY(:ids);

-- name: tested(id)^
-- How an owner's test went at the provider: what was billed for its sends, NULL while it is unknown for one of them, and
-- how the last send to the version's own model ended; NULL if nothing was sent to it.
-- types: row! cost_usd? outcome?
SELECT
    (
        SELECT CASE WHEN bool_and(sends.cost_usd IS NOT NULL) THEN sum(sends.cost_usd) END
        FROM sends WHERE sends.execution_id = executions.id AND sends.round = executions.round
    ) AS cost_usd,
    (
        SELECT sends.outcome FROM sends
        WHERE sends.execution_id = executions.id AND sends.round = executions.round
            AND sends.model_id = resource_versions.model_id
        ORDER BY sends.number DESC LIMIT 1
    ) AS outcome
FROM executions JOIN resource_versions ON resource_versions.id = executions.version_id
WHERE executions.id = :id;

-- name: ahead(id)$
-- Count the same creator's executions that will start before this one.
SELECT count(*)
FROM executions AS other
JOIN executions AS mine ON mine.account_id = other.account_id
WHERE mine.id = :id AND mine.state = 'queued' AND other.state = 'queued'
    AND (other.queued_at, other.id) < (mine.queued_at, mine.id);

-- name: listing(handle, most)
-- The newest executions, for an operator or one creator.
SELECT executions.id, executions.kind, accounts.handle, resources.slug, executions.state, executions.code,
    executions.detail, executions.round, executions.sends, executions.created_at, executions.finished_at
FROM executions
JOIN accounts ON accounts.id = executions.account_id
JOIN resource_versions ON resource_versions.id = executions.version_id
JOIN resources ON resources.id = resource_versions.resource_id
WHERE :handle::text IS NULL OR accounts.handle = :handle
ORDER BY executions.created_at DESC
LIMIT :most;

-- name: history(account_id, state, slug, after, most)
-- A creator's executions, newest first, with the usage of all rounds together; never inputs or answers.
SELECT executions.id, executions.kind, resources.slug, resource_versions.number, executions.state, executions.code,
    executions.fault, executions.detail, executions.truncated, executions.leak, executions.round, executions.sends,
    executions.created_at, executions.finished_at, CASE WHEN payments.state = 'paid' THEN payments.amount_atomic END AS amount_atomic,
    payments.network, payments.transaction, refunds.state AS refund, resource_versions.model_id, used.model_served,
    used.input_tokens, used.output_tokens, used.cost_usd
FROM executions
JOIN resource_versions ON resource_versions.id = executions.version_id
JOIN resources ON resources.id = resource_versions.resource_id
LEFT JOIN payments ON payments.id = executions.payment_id
LEFT JOIN refunds ON refunds.execution_id = executions.id
LEFT JOIN LATERAL (
    SELECT max(usage_log.model_served) AS model_served, sum(usage_log.input_tokens) AS input_tokens,
        sum(usage_log.output_tokens) AS output_tokens, sum(usage_log.cost_usd) AS cost_usd
    FROM usage_log
    WHERE usage_log.execution_id = executions.id AND usage_log.created_at = executions.created_at
) AS used ON true
WHERE executions.account_id = :account_id AND (:state::text IS NULL OR executions.state = :state)
    AND (:slug::text IS NULL OR resources.slug = :slug)
    AND (:after::uuid IS NULL OR (executions.created_at, executions.id)
        < (SELECT created_at, id FROM executions WHERE id = :after AND account_id = :account_id))
ORDER BY executions.created_at DESC, executions.id DESC
LIMIT :most;

-- name: milestones(account_id)^
-- What a new creator has done: had an answer to a test of their own, and sold one.
-- types: row! tested! sold!
SELECT
    EXISTS (SELECT FROM executions WHERE account_id = :account_id AND kind = 'test' AND state = 'succeeded') AS tested,
    EXISTS (SELECT FROM executions WHERE account_id = :account_id AND kind = 'paid' AND state = 'succeeded') AS sold;

-- name: failed(days, most)
-- The newest executions without an answer, of all creators, each with its last flow run: reads an index by time.
-- types: row=FailedRow flow_run_id?
SELECT executions.id, executions.kind, accounts.handle, resources.slug, executions.fault, executions.detail,
    executions.sends, executions.finished_at, last.flow_run_id
FROM executions
JOIN accounts ON accounts.id = executions.account_id
JOIN resource_versions ON resource_versions.id = executions.version_id
JOIN resources ON resources.id = resource_versions.resource_id
LEFT JOIN LATERAL (
    SELECT attempts.flow_run_id FROM attempts WHERE attempts.execution_id = executions.id
    ORDER BY attempts.started_at DESC LIMIT 1
) AS last ON true
WHERE executions.finished_at > now() - make_interval(days => :days) AND executions.content_deleted_at IS NULL
    AND executions.state = 'failed'
ORDER BY executions.finished_at DESC
LIMIT :most;
