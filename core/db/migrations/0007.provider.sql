-- depends: 0002.money
-- One row for each send: what was asked, how it ended, and what it cost.

CREATE TABLE sends (
    execution_id   uuid NOT NULL REFERENCES executions,
    round          integer NOT NULL,
    number         integer NOT NULL CHECK (number > 0),
    attempt_id     uuid NOT NULL REFERENCES attempts,
    sealed_request bytea,
    sent_at        timestamptz NOT NULL DEFAULT now(),
    generation_id  text,
    ended_at       timestamptz,
    outcome        text,
    model_served   text,
    input_tokens   integer,
    output_tokens  integer,
    cost_usd       numeric CHECK (cost_usd >= 0),
    PRIMARY KEY (execution_id, round, number),
    CHECK ((ended_at IS NULL) = (outcome IS NULL))
);
COMMENT ON TABLE sends IS 'Each request that left for the provider, committed before it did. A round has more than one after a re-send or a takeover.';
COMMENT ON COLUMN sends.sealed_request IS 'The exact bytes, sealed, so that the identical request can be answered from the provider''s cache; NULL once its round is logged.';
COMMENT ON COLUMN sends.generation_id IS 'The provider''s id of the generation, committed before its body is read: by it the cost can be asked for.';
COMMENT ON COLUMN sends.outcome IS '`succeeded` or the name of the failure; NULL while it runs, or when nobody saw its end.';
COMMENT ON COLUMN sends.cost_usd IS 'What the provider charged for it: 0 only where that is certain, NULL where nobody knows.';
CREATE INDEX sends_attempt ON sends (attempt_id);
CREATE INDEX sends_unpriced ON sends (sent_at) WHERE cost_usd IS NULL;

-- What a running shop has not logged yet gets its rows from its attempts, which hold no more than one send's figures.
INSERT INTO sends (
    execution_id, round, number, attempt_id, sent_at, generation_id, ended_at, outcome, model_served, input_tokens,
    output_tokens, cost_usd
)
SELECT attempts.execution_id, attempts.round,
    row_number() OVER (PARTITION BY attempts.execution_id ORDER BY attempts.started_at, attempts.id), attempts.id,
    attempts.call_started_at, attempts.generation_id, seen.ended_at, seen.outcome, attempts.model_served,
    attempts.input_tokens, attempts.output_tokens, attempts.cost_usd
FROM attempts
LEFT JOIN LATERAL (
    SELECT attempts.ended_at, attempts.outcome
    WHERE attempts.ended_at IS NOT NULL AND attempts.outcome IS NOT NULL AND attempts.outcome <> 'abandoned'
) AS seen ON true
JOIN executions ON executions.id = attempts.execution_id AND executions.round = attempts.round
WHERE attempts.sends > 0 AND executions.logged_round < executions.round;

COMMENT ON COLUMN attempts.generation_id IS 'Superseded by sends.';
COMMENT ON COLUMN attempts.model_served IS 'Superseded by sends.';
COMMENT ON COLUMN attempts.input_tokens IS 'Superseded by sends.';
COMMENT ON COLUMN attempts.output_tokens IS 'Superseded by sends.';
COMMENT ON COLUMN attempts.cost_usd IS 'Superseded by sends.';

ALTER TABLE resource_versions ADD COLUMN zdr boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN resource_versions.zdr IS 'Zero data retention: only providers that keep nothing, and no response cache.';
