-- depends: 0081.receipts
-- Refunds that move money: the transfer that pays one back is recorded before anything is signed or sent.

CREATE TABLE refund_transfers (
    id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    execution_id  uuid NOT NULL REFERENCES refunds,
    account_id    uuid NOT NULL REFERENCES accounts,
    network       text NOT NULL,
    asset         text NOT NULL CHECK (asset = lower(asset)),
    payer         text NOT NULL CHECK (payer ~ '^0x[0-9a-f]{40}$'),
    nonce         bytea NOT NULL CHECK (length(nonce) = 32),
    pay_to        text NOT NULL CHECK (pay_to ~ '^0x[0-9a-f]{40}$'),
    amount_atomic bigint NOT NULL CHECK (amount_atomic > 0),
    valid_before  timestamptz NOT NULL,
    state         text NOT NULL DEFAULT 'sending' CHECK (state IN ('sending', 'paid', 'void')),
    reason        text,
    transaction   text CHECK (transaction ~ '^0x[0-9a-f]{64}$'),
    capped_on     date,
    created_at    timestamptz NOT NULL DEFAULT now(),
    looked_at     timestamptz,
    decided_at    timestamptz,
    UNIQUE (network, asset, payer, nonce),
    CHECK ((state = 'sending') = (decided_at IS NULL)),
    CHECK (state <> 'paid' OR transaction IS NOT NULL)
);
COMMENT ON TABLE refund_transfers IS 'The EIP-3009 authorizations that pay refunds back: one for each refund and wallet. The nonce is made from the refund, so the chain takes each at most once.';
COMMENT ON COLUMN refund_transfers.payer IS 'The wallet that pays.';
COMMENT ON COLUMN refund_transfers.pay_to IS 'The wallet that had paid for the call.';
COMMENT ON COLUMN refund_transfers.valid_before IS 'The latest validBefore that was ever signed.';
COMMENT ON COLUMN refund_transfers.state IS 'sending: it may move the money, or has; paid: the chain shows the transfer; void: the chain shows that it can never move it.';
COMMENT ON COLUMN refund_transfers.reason IS 'What was last said of it: the reason of a facilitator, or a code of ours.';
COMMENT ON COLUMN refund_transfers.transaction IS 'The transfer; while it is sending, the one that the facilitator told of.';
COMMENT ON COLUMN refund_transfers.capped_on IS 'The UTC day whose cap it counts against; NULL if its key was not stored here.';
COMMENT ON COLUMN refund_transfers.looked_at IS 'When the chain was last asked about it.';
CREATE INDEX refund_transfers_sending ON refund_transfers (looked_at) WHERE state = 'sending';
CREATE INDEX refund_transfers_capped ON refund_transfers (account_id, capped_on) WHERE capped_on IS NOT NULL;

ALTER TABLE refunds
    ADD COLUMN transfer_id uuid UNIQUE REFERENCES refund_transfers,
    ADD CHECK (state <> 'waived' OR transfer_id IS NULL);
COMMENT ON TABLE refunds IS 'What a creator owes a buyer: paid, not answered, and no re-run left. Money never passes through us: it goes from the creator''s or operator''s wallet to the buyer''s.';
COMMENT ON COLUMN refunds.transfer_id IS 'The one transfer that may pay it, or has paid it. No other wallet may pay until the chain shows that it can never move the money.';

ALTER TABLE refund_transfers ENABLE ROW LEVEL SECURITY;
CREATE POLICY everybody ON refund_transfers TO instant_app USING (true);
CREATE POLICY creator ON refund_transfers TO instant_creator USING (account_id = (SELECT acting_account()));
GRANT SELECT, INSERT, UPDATE ON refund_transfers TO instant_creator;
-- A creator's own request binds a refund to the transfer that it records; it decides none.
GRANT UPDATE (transfer_id) ON refunds TO instant_creator;
