-- depends: 0074.webhooks
-- Notices of caps, refusals and unusual buyers, and a weekly digest.

ALTER TABLE accounts ADD COLUMN weekly_digest boolean NOT NULL DEFAULT true;
COMMENT ON COLUMN accounts.weekly_digest IS 'Whether the creator gets a digest of each week that had sales.';

ALTER TABLE notices DROP CONSTRAINT notices_rule_check;
ALTER TABLE notices ADD CONSTRAINT notices_rule_check CHECK (rule IN (
    'success_low', 'failures_charged', 'cost_unusual', 'calls_unusual', 'key_failing', 'key_low', 'key_old', 'chain_differs',
    'refunds_repeated', 'model_leaving', 'payout_changing', 'prompt_leaking', 'webhook_disabled', 'cap_reached', 'call_too_dear',
    'refused_often', 'spend_unusual', 'payer_unusual', 'sold_below_cost', 'weekly_digest'
));

CREATE OR REPLACE FUNCTION event_of(notice notices) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN notice.rule IN ('key_failing', 'key_low') THEN 'key.trouble'
        WHEN notice.rule = 'model_leaving' AND notice.facts ->> 'cause' IN ('withdrawn', 'unfit', 'loss')
            THEN 'product.paused'
        WHEN notice.rule = 'call_too_dear' OR (notice.rule = 'cap_reached' AND notice.facts ->> 'percent' = '100')
            THEN 'product.paused'
    END
$$;
