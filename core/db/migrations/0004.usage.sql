-- depends: 0002.money
-- The usage log by months, and what is counted from it: hours, days and months that always equal a recount.

-- Others queue behind a lock that waits.
SET LOCAL lock_timeout = '30s';

CREATE FUNCTION milliseconds(passed interval) RETURNS integer LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT least(greatest(extract(epoch FROM passed) * 1000, 0), 2147483647)::integer
$$;
COMMENT ON FUNCTION milliseconds IS 'A time that fits where it is logged: what takes longer than 24 days must not keep others from being logged.';

ALTER TABLE executions ADD CONSTRAINT executions_created UNIQUE (created_at, id);
COMMENT ON CONSTRAINT executions_created ON executions IS 'What the usage log refers to: through it a row of the log has the one creation time of its execution, which never changes.';

ALTER TABLE usage_log RENAME TO usage_log_flat;
ALTER TABLE usage_log_flat RENAME CONSTRAINT usage_log_pkey TO usage_log_flat_pkey;
ALTER INDEX usage_log_account RENAME TO usage_log_flat_account;

CREATE TABLE usage_log (
    execution_id  uuid NOT NULL,
    round         integer NOT NULL,
    created_at    timestamptz NOT NULL,
    kind          text NOT NULL CHECK (kind IN ('paid', 'test')),
    account_id    uuid NOT NULL,
    version_id    uuid NOT NULL,
    model_id      text NOT NULL,
    model_served  text,
    network       text,
    amount_atomic bigint NOT NULL CHECK (amount_atomic >= 0),
    outcome       text NOT NULL CHECK (outcome IN ('succeeded', 'failed', 'declined')),
    code          text,
    fault         text,
    detail        text,
    sends         integer NOT NULL,
    input_tokens  integer,
    output_tokens integer,
    cost_usd      numeric CHECK (cost_usd >= 0),
    spent_usd     numeric NOT NULL CHECK (spent_usd >= 0),
    charged       boolean NOT NULL GENERATED ALWAYS AS (outcome <> 'succeeded' AND spent_usd > 0) STORED,
    settle_ms     integer,
    queue_ms      integer,
    upstream_ms   integer,
    total_ms      integer NOT NULL,
    generation_id text,
    logged_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (execution_id, round, created_at),
    FOREIGN KEY (execution_id, created_at) REFERENCES executions (id, created_at)
) PARTITION BY RANGE (created_at);
COMMENT ON TABLE usage_log IS 'One row per round of an execution that came to rest; the source of every number a creator or operator is shown. Partitioned by month (UTC) of created_at.';
COMMENT ON COLUMN usage_log.created_at IS 'When the execution was created: the hour, day and month in which all its rounds are counted. It must be part of the key of a partitioned table; as an execution has only one, the key still allows one row per (execution, round).';
COMMENT ON COLUMN usage_log.amount_atomic IS 'Revenue in atomic USDC; only round 1 carries it, so that it is counted once.';
COMMENT ON COLUMN usage_log.model_served IS 'The model that the provider says answered. NULL where none did.';
COMMENT ON COLUMN usage_log.network IS 'What was paid on (CAIP-2). NULL for an owner''s test.';
COMMENT ON COLUMN usage_log.detail IS 'The precise cause for the creator, as a code of ours; NULL when it succeeded.';
COMMENT ON COLUMN usage_log.cost_usd IS 'What the provider charged. NULL means unknown, never free.';
COMMENT ON COLUMN usage_log.spent_usd IS 'What the round counts as spent: the cost, or all that was reserved where the provider may have charged and nobody knows how much. 0 only where it surely charged nothing. Whoever learns the cost later sets both.';
COMMENT ON COLUMN usage_log.settle_ms IS 'From claimed to paid; only round 1 has it.';
COMMENT ON COLUMN usage_log.queue_ms IS 'From queued to sent.';
COMMENT ON COLUMN usage_log.upstream_ms IS 'From sent to the provider''s answer, all sends of the round together.';
COMMENT ON COLUMN usage_log.total_ms IS 'To rest, from the claim, or from when the re-run was asked for.';
COMMENT ON COLUMN usage_log.charged IS 'It was not answered, and cost its creator something all the same, or may have: failed after tokens were spent.';
CREATE INDEX usage_log_created ON usage_log (created_at);
CREATE INDEX usage_log_account ON usage_log (account_id, created_at);

CREATE TABLE usage_log_default PARTITION OF usage_log DEFAULT;
COMMENT ON TABLE usage_log_default IS 'Rows of months that have no partition: no row is ever refused. They move when their partition is made.';


CREATE TABLE usage_dirty (
    span      text NOT NULL CHECK (span IN ('hour', 'day', 'month')),
    starts_at timestamptz NOT NULL
);
COMMENT ON TABLE usage_dirty IS 'Periods whose rollup must be counted again, marked in the transaction that changed what they are counted from, so that both are seen at once or not at all. Only ever added to, any number of times, so that no writer waits for another; a rollup takes the marks away and counts.';
COMMENT ON COLUMN usage_dirty.span IS 'hour: the log changed. day, month: the hours or days they are the sum of were counted again.';
CREATE INDEX usage_dirty_span ON usage_dirty (span, starts_at);

CREATE FUNCTION mark_usage_dirty() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO usage_dirty (span, starts_at)
    SELECT DISTINCT 'hour', date_bin('1 hour', created_at, '2000-01-01 00:00Z') FROM changed;
    RETURN NULL;
END $$;
-- By statement: one mark for a burst. What writes to a partition by its own name is not seen, and only moves rows.
CREATE TRIGGER usage_inserted AFTER INSERT ON usage_log REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION mark_usage_dirty();
CREATE TRIGGER usage_updated AFTER UPDATE ON usage_log REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION mark_usage_dirty();
CREATE TRIGGER usage_deleted AFTER DELETE ON usage_log REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION mark_usage_dirty();


CREATE TABLE usage_rollup (
    span           text NOT NULL CHECK (span IN ('hour', 'day', 'month')),
    starts_at      timestamptz NOT NULL,
    account_id     uuid NOT NULL,
    version_id     uuid NOT NULL,
    model_served   text,
    network        text,
    kind           text NOT NULL,
    log_dropped_at timestamptz,
    calls          bigint NOT NULL,
    succeeded      bigint NOT NULL,
    failed         bigint NOT NULL,
    declined       bigint NOT NULL,
    fault_buyer    bigint NOT NULL,
    fault_creator  bigint NOT NULL,
    fault_provider bigint NOT NULL,
    fault_ours     bigint NOT NULL,
    charged        bigint NOT NULL,
    sends          bigint NOT NULL,
    input_tokens   bigint NOT NULL,
    output_tokens  bigint NOT NULL,
    revenue_atomic bigint NOT NULL,
    cost_usd       numeric NOT NULL,
    cost_unknown   bigint NOT NULL,
    spent_usd      numeric NOT NULL,
    margin_usd     numeric NOT NULL GENERATED ALWAYS AS (revenue_atomic * 0.000001 - spent_usd) STORED,
    settle         integer[] NOT NULL,
    queue          integer[] NOT NULL,
    upstream       integer[] NOT NULL,
    total          integer[] NOT NULL,
    UNIQUE NULLS NOT DISTINCT (span, starts_at, version_id, model_served, network, kind, log_dropped_at),
    CHECK (span = 'hour' OR log_dropped_at IS NULL)
);
COMMENT ON TABLE usage_rollup IS 'The usage log counted by hour (UTC), and days and months as sums of these. Equal to a recount wherever usage_dirty has no mark: see usage_watermark. Every number can be added up over rows.';
COMMENT ON COLUMN usage_rollup.log_dropped_at IS 'Set on hours whose rows of the log were dropped: nobody counts them again. NULL for all others. An hour may have both, if a row arrived later; add them up.';
COMMENT ON COLUMN usage_rollup.calls IS 'Rows of the log: rounds that came to rest. Re-runs count.';
COMMENT ON COLUMN usage_rollup.fault_buyer IS 'This and the next three: calls that did not succeed, by whose fault it was.';
COMMENT ON COLUMN usage_rollup.charged IS 'Calls that were not answered and cost their creator something, or may have.';
COMMENT ON COLUMN usage_rollup.sends IS 'Requests to the provider; more than calls where some were sent again.';
COMMENT ON COLUMN usage_rollup.revenue_atomic IS 'Atomic USDC.';
COMMENT ON COLUMN usage_rollup.cost_usd IS 'What the provider said it charged, where it said so.';
COMMENT ON COLUMN usage_rollup.cost_unknown IS 'Calls that may have cost something and nobody knows how much: cost_usd does not have them, spent_usd has them at their worst case.';
COMMENT ON COLUMN usage_rollup.spent_usd IS 'The cost, with the worst case where it is not known.';
COMMENT ON COLUMN usage_rollup.margin_usd IS 'Revenue (one USDC as one dollar) less spent_usd: what is left at least.';
COMMENT ON COLUMN usage_rollup.settle IS 'This and the next three: how long it took in milliseconds, as a histogram (see histogram_bucket()): to settle the payment, from queued to sent, at the provider, and in total (see usage_log). Read them with histogram_percentile(histogram_sum(total), 0.95).';
CREATE INDEX usage_rollup_account ON usage_rollup (account_id, span, starts_at);

CREATE FUNCTION usage_watermark(of_span text) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT date_trunc(of_span, least(now(), min(starts_at)), 'UTC')
    FROM (
        SELECT min(starts_at) AS starts_at FROM usage_dirty WHERE span = 'hour'
        UNION ALL SELECT min(starts_at) FROM usage_dirty WHERE span = 'day' AND of_span IN ('day', 'month')
        UNION ALL SELECT min(starts_at) FROM usage_dirty WHERE span = 'month' AND of_span = 'month'
    ) AS marked
$$;
COMMENT ON FUNCTION usage_watermark IS 'Every hour, day or month that starts before it equals a recount of the log. The present one at most: that one is not over.';


CREATE FUNCTION histogram_bucket(ms integer) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN ms <= 1 THEN 1
        WHEN ms <= 4194304 THEN ceil(4 * ln(ms::double precision) / ln(2::double precision))::integer + 1
        WHEN ms > 4194304 THEN 90
        ELSE 0
    END
$$;
COMMENT ON FUNCTION histogram_bucket IS 'Which of 90 buckets a time in milliseconds is in: each ends at 2^(1/4) times where it begins. The first holds up to 1 ms, the last all above 2^22 ms (70 minutes). 0 for NULL, which nobody measured.';

CREATE FUNCTION histogram(buckets integer[]) RETURNS integer[] LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    counted integer[] := array_fill(0, ARRAY[91], ARRAY[0]);
    bucket  integer;
BEGIN
    FOREACH bucket IN ARRAY buckets LOOP
        counted[bucket] := counted[bucket] + 1;
    END LOOP;
    RETURN counted[1:90];
END $$;
COMMENT ON FUNCTION histogram IS 'How many of these are in each of the 90 buckets.';

CREATE FUNCTION histogram_add(counted integer[], more integer[]) RETURNS integer[]
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    FOR bucket IN 1 .. 90 LOOP
        IF more[bucket] > 0 THEN
            counted[bucket] := counted[bucket] + more[bucket];
        END IF;
    END LOOP;
    RETURN counted;
END $$;
CREATE AGGREGATE histogram_sum(integer[]) (SFUNC = histogram_add, STYPE = integer[], PARALLEL = SAFE, COMBINEFUNC = histogram_add);
COMMENT ON AGGREGATE histogram_sum(integer[]) IS 'Histograms of the same kind added up, bucket by bucket.';

CREATE FUNCTION histogram_percentile(histogram integer[], share double precision) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE bucket WHEN 1 THEN 1 WHEN 90 THEN 4194304 ELSE round(power(2, (bucket - 1.5) / 4))::integer END
    FROM (
        SELECT bucket, sum(calls) OVER (ORDER BY bucket) AS reached, sum(calls) OVER () AS calls
        FROM unnest(histogram) WITH ORDINALITY AS counted (calls, bucket)
    ) AS counted
    WHERE calls > 0 AND reached >= greatest(ceil(share * calls), 1)
    ORDER BY bucket
    LIMIT 1
$$;
COMMENT ON FUNCTION histogram_percentile IS 'The time in milliseconds that this share of calls did not exceed; NULL if there were none. It is the middle of its bucket: within 9.1 % (2^(1/8)) of the exact one between 1 ms and 70 minutes, give or take the rounding to 1 ms; above, 4194304 means at least that.';


CREATE TABLE usage_dropped (
    month      timestamptz PRIMARY KEY,
    log_rows   bigint NOT NULL,
    dropped_at timestamptz NOT NULL
);
COMMENT ON TABLE usage_dropped IS 'Months (UTC) whose rows of the log are gone by retention: their executions are compared with the rollup instead.';
COMMENT ON COLUMN usage_dropped.log_rows IS 'How many rows were dropped, over all times that this month was dropped.';

CREATE FUNCTION make_usage_month(at timestamptz) RETURNS boolean LANGUAGE plpgsql SET lock_timeout = '5s' AS $$
DECLARE
    starts  timestamptz := date_trunc('month', at, 'UTC');
    ends    timestamptz := (starts AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC';
    name    text := to_char(starts AT TIME ZONE 'UTC', '"usage_log_"YYYY_MM');
    columns text;
BEGIN
    IF to_regclass(name) IS NOT NULL THEN
        RETURN false;
    END IF;
    LOCK TABLE ONLY usage_log IN SHARE UPDATE EXCLUSIVE MODE;
    IF to_regclass(name) IS NOT NULL THEN
        RETURN false;
    END IF;
    -- Rows that went to the default partition meanwhile move; none may arrive there until the new one is attached.
    LOCK TABLE usage_log_default IN ACCESS EXCLUSIVE MODE;
    SELECT string_agg(quote_ident(attname), ', ') INTO columns
    FROM pg_attribute
    WHERE attrelid = 'usage_log'::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '';
    EXECUTE format('CREATE TABLE %I (LIKE usage_log INCLUDING ALL)', name);
    EXECUTE format(
        'WITH moved AS (DELETE FROM usage_log_default WHERE created_at >= %L AND created_at < %L RETURNING %s)'
        'INSERT INTO %I (%3$s) SELECT %3$s FROM moved', starts, ends, columns, name);
    EXECUTE format('ALTER TABLE usage_log ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', name, starts, ends);
    RETURN true;
END $$;
COMMENT ON FUNCTION make_usage_month IS 'Make the partition of the month (UTC) that this time is in; false if there is one.';

CREATE FUNCTION drop_usage_month(at timestamptz) RETURNS bigint LANGUAGE plpgsql SET lock_timeout = '5s' AS $$
DECLARE
    starts  timestamptz := date_trunc('month', at, 'UTC');
    ends    timestamptz := (starts AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC';
    name    text := to_char(starts AT TIME ZONE 'UTC', '"usage_log_"YYYY_MM');
    dropped bigint;
BEGIN
    -- From here on nothing is logged, so that what is not marked now is counted for good.
    LOCK TABLE usage_log IN ACCESS EXCLUSIVE MODE;
    IF to_regclass(name) IS NULL
        OR EXISTS (SELECT FROM usage_dirty WHERE span = 'hour' AND starts_at >= starts AND starts_at < ends) THEN
        RETURN NULL;
    END IF;
    WITH counted AS (
        UPDATE usage_rollup SET log_dropped_at = now()
        WHERE span = 'hour' AND starts_at >= starts AND starts_at < ends AND log_dropped_at IS NULL
        RETURNING calls
    )
    SELECT coalesce(sum(calls), 0) INTO dropped FROM counted;
    INSERT INTO usage_dropped AS already (month, log_rows, dropped_at) VALUES (starts, dropped, now())
    ON CONFLICT (month) DO UPDATE
    SET log_rows = already.log_rows + excluded.log_rows, dropped_at = excluded.dropped_at;
    EXECUTE format('DROP TABLE %I', name);
    RETURN dropped;
END $$;
COMMENT ON FUNCTION drop_usage_month IS 'Drop the partition of the month (UTC) that this time is in; how many rows it had. NULL if there is none, or an hour of it is marked.';


INSERT INTO usage_log (
    execution_id, round, created_at, kind, account_id, version_id, model_id, model_served, network, amount_atomic,
    outcome, code, fault, detail, sends, input_tokens, output_tokens, cost_usd, spent_usd, settle_ms, queue_ms,
    upstream_ms, total_ms, generation_id, logged_at
)
SELECT flat.execution_id, flat.round, executions.created_at, flat.kind, flat.account_id, flat.version_id,
    flat.model_id, flat.model_served, flat.network, flat.amount_atomic, flat.outcome, flat.code, flat.fault,
    CASE
        WHEN flat.outcome = 'succeeded' THEN NULL
        WHEN flat.round = executions.round THEN executions.detail
        ELSE (
            SELECT outcome FROM attempts
            WHERE attempts.execution_id = flat.execution_id AND attempts.round = flat.round
            ORDER BY started_at DESC LIMIT 1
        )
    END,
    flat.sends, flat.input_tokens, flat.output_tokens, flat.cost_usd,
    coalesce(reservations.spent_usd, reservations.reserved_usd, flat.cost_usd, 0),
    flat.settle_ms, flat.queue_ms, flat.upstream_ms, flat.total_ms, flat.generation_id, flat.logged_at
FROM usage_log_flat AS flat
JOIN executions ON executions.id = flat.execution_id
LEFT JOIN reservations ON reservations.execution_id = flat.execution_id AND reservations.round = flat.round;
DROP TABLE usage_log_flat;

DO $$
BEGIN
    PERFORM make_usage_month(at)
    FROM (
        SELECT DISTINCT date_trunc('month', created_at, 'UTC') AS at FROM usage_log_default
        UNION SELECT (date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => ahead)) AT TIME ZONE 'UTC'
        FROM generate_series(0, 2) AS ahead
    ) AS months;
END $$;
