-- depends: 0002.money
-- What is forgotten after a time, and what people are told without asking.

ALTER TABLE executions ADD COLUMN content_deleted_at timestamptz;
COMMENT ON COLUMN executions.content_deleted_at IS 'When inputs and answer were deleted, because their time was over. What it was, what it cost and what became of it stay.';
ALTER TABLE executions ALTER COLUMN sealed_inputs DROP NOT NULL;
ALTER TABLE executions DROP CONSTRAINT executions_check2;
ALTER TABLE executions
    ADD CHECK ((content_deleted_at IS NULL) = (sealed_inputs IS NOT NULL)),
    ADD CHECK ((state = 'succeeded' AND content_deleted_at IS NULL) = (sealed_result IS NOT NULL)),
    ADD CHECK (content_deleted_at IS NULL OR state IN ('succeeded', 'failed', 'declined', 'void'));
CREATE INDEX executions_deletable ON executions (finished_at)
    WHERE content_deleted_at IS NULL AND state IN ('succeeded', 'failed', 'declined', 'void');

ALTER TABLE provider_keys ADD COLUMN limit_remaining_usd numeric;
COMMENT ON COLUMN provider_keys.limit_remaining_usd IS 'US dollars left under the key''s own limit when it was last checked; NULL without a limit. Not the balance of its account, which the provider does not tell a key.';

CREATE TABLE notice_addresses (
    id         uuid PRIMARY KEY,
    account_id uuid REFERENCES accounts,
    name       text NOT NULL CHECK (length(name) BETWEEN 1 AND 60),
    scheme     text NOT NULL,
    sealed_url bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE notice_addresses IS 'Where notices are sent, as apprise URLs.';
COMMENT ON COLUMN notice_addresses.account_id IS 'The creator who is told about their own; NULL is the operator, who is told about everything.';
COMMENT ON COLUMN notice_addresses.name IS 'What its owner calls it; shown instead of the URL.';
COMMENT ON COLUMN notice_addresses.sealed_url IS 'Sealed, because these URLs hold tokens and passwords.';
CREATE INDEX notice_addresses_account ON notice_addresses (account_id);

CREATE TABLE notices (
    id          uuid PRIMARY KEY,
    rule        text NOT NULL CHECK (rule IN (
        'success_low', 'failures_charged', 'cost_unusual', 'calls_unusual', 'key_failing', 'key_low'
    )),
    account_id  uuid NOT NULL REFERENCES accounts,
    resource_id uuid REFERENCES resources,
    facts       jsonb NOT NULL,
    found_at    timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE notices IS 'What was worth telling, once a week at most for each rule and subject.';
COMMENT ON COLUMN notices.resource_id IS 'What it is about; NULL: the whole account, or its key.';
COMMENT ON COLUMN notices.facts IS 'Counts, codes of ours, and money as text: what its sentences are made of.';
CREATE INDEX notices_subject ON notices (account_id, rule, found_at);
CREATE INDEX notices_found ON notices (found_at);

CREATE TABLE notice_deliveries (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    notice_id   uuid NOT NULL REFERENCES notices,
    address_id  uuid REFERENCES notice_addresses ON DELETE SET NULL,
    to_operator boolean NOT NULL,
    name        text NOT NULL,
    state       text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sending', 'sent', 'failed')),
    tries       integer NOT NULL DEFAULT 0 CHECK (tries >= 0),
    reason      text,
    tried_at    timestamptz,
    UNIQUE (notice_id, address_id),
    CHECK ((state = 'waiting' AND tries = 0) = (tried_at IS NULL))
);
COMMENT ON TABLE notice_deliveries IS 'The log of what was sent where: one row for each notice and address.';
COMMENT ON COLUMN notice_deliveries.address_id IS 'NULL once the address was removed.';
COMMENT ON COLUMN notice_deliveries.tries IS 'Counted before it is sent, so that a courier that died is not sent out for ever.';
COMMENT ON COLUMN notice_deliveries.reason IS 'Why it was not delivered, as a code of ours; never what a server said.';
CREATE INDEX notice_deliveries_open ON notice_deliveries (tried_at NULLS FIRST) WHERE state IN ('waiting', 'sending');
CREATE INDEX notice_deliveries_notice ON notice_deliveries (notice_id);

CREATE INDEX executions_account ON executions (account_id, created_at, id);
