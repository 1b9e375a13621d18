-- depends: 0024.retries
-- The door, executors and flows may run as a role that owns nothing and changes no schema. Partitions are made and
-- dropped by two functions, which therefore run with their owner's rights. No flow needs the owner's password.

-- pg_temp is searched last: a caller's temporary table must not stand for one of ours.
ALTER FUNCTION make_usage_month SECURITY DEFINER SET search_path = public, pg_temp;
ALTER FUNCTION drop_usage_month SECURITY DEFINER SET search_path = public, pg_temp;

-- A signed payload is of no more use once its payment is decided for good, and is then cleared.
ALTER TABLE payments ALTER COLUMN sealed_payload DROP NOT NULL;
ALTER TABLE payments ADD CONSTRAINT payments_payload_while_undecided
    CHECK (sealed_payload IS NOT NULL OR state = 'paid' OR proved_at IS NOT NULL);
COMMENT ON COLUMN payments.sealed_payload IS 'The payload, sealed, so that an interrupted settle can be finished with the identical authorization. NULL once that cannot happen any more: it was paid or can no longer land, and has expired.';
CREATE INDEX payments_with_payload ON payments (valid_before) WHERE sealed_payload IS NOT NULL;
