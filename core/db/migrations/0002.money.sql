-- depends: 0001.first-sale
-- Money that cannot be kept for nothing: what is owed, and payments that land late.

CREATE TABLE refunds (
    execution_id  uuid PRIMARY KEY REFERENCES executions,
    payment_id    uuid NOT NULL UNIQUE REFERENCES payments,
    account_id    uuid NOT NULL REFERENCES accounts,
    amount_atomic bigint NOT NULL CHECK (amount_atomic > 0),
    state         text NOT NULL DEFAULT 'due' CHECK (state IN ('due', 'recorded', 'waived')),
    reason        text NOT NULL,
    transaction   text CHECK (transaction ~ '^0x[0-9a-f]{64}$'),
    note          text CHECK (length(note) <= 500),
    due_at        timestamptz NOT NULL DEFAULT now(),
    decided_at    timestamptz,
    CHECK ((state = 'due') = (decided_at IS NULL)),
    CHECK ((state = 'recorded') = (transaction IS NOT NULL)),
    CHECK (state <> 'waived' OR note IS NOT NULL)
);
COMMENT ON TABLE refunds IS 'What a creator owes a buyer: paid, not answered, and no re-run left. Money never passes through us, so a refund is recorded, not sent.';
COMMENT ON COLUMN refunds.reason IS 'The detail of the execution''s last failure.';
COMMENT ON COLUMN refunds.transaction IS 'The transfer that paid it back.';
COMMENT ON COLUMN refunds.note IS 'Why it was waived, or a remark on the transfer.';
CREATE INDEX refunds_due ON refunds (due_at) WHERE state = 'due';
CREATE INDEX executions_rerunnable ON executions (rerun_until) WHERE state = 'failed';

ALTER TABLE payments ADD COLUMN checked_at timestamptz;
ALTER TABLE payments ADD COLUMN proved_at timestamptz;
COMMENT ON COLUMN payments.checked_at IS 'When the chain was last asked about it.';
COMMENT ON COLUMN payments.proved_at IS 'When the chain''s own clock said that a failed payment can no longer land. Until then it is watched.';
CREATE INDEX payments_watched ON payments (checked_at) WHERE state = 'failed' AND proved_at IS NULL;

ALTER TABLE payments ADD COLUMN identifier_sha256 bytea UNIQUE CHECK (length(identifier_sha256) = 32);
COMMENT ON COLUMN payments.identifier_sha256 IS 'Hash of resource and payment-identifier: the client''s own idempotency key names one payment only.';
COMMENT ON COLUMN payments.quoted IS 'Whether the payload holds what never reaches the chain, our quote or an identifier. Without it a replay gets the receipt but no answer.';

-- A refused authorization is live until it expires: it may land late, and is then paid after all.
CREATE OR REPLACE FUNCTION record_payment_transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO payment_transitions (payment_id, to_state, reason) VALUES (NEW.id, NEW.state, NEW.reason);
    ELSIF OLD.state <> NEW.state THEN
        IF NOT (OLD.state, NEW.state) IN (
            ('settling', 'paid'), ('settling', 'failed'), ('settling', 'unknown'),
            ('unknown', 'paid'), ('unknown', 'failed'), ('failed', 'settling'), ('failed', 'paid')
        ) THEN
            RAISE EXCEPTION 'payment % may not go from % to %', NEW.id, OLD.state, NEW.state;
        END IF;
        INSERT INTO payment_transitions (payment_id, from_state, to_state, reason, transaction)
        VALUES (NEW.id, OLD.state, NEW.state, NEW.reason, NEW.transaction);
    END IF;
    RETURN NEW;
END $$;
