-- depends: 0031.leaving-models
-- An authorization that was answered from an earlier payment is answered from it for ever, and is never settled.

CREATE TABLE payment_aliases (
    network        text NOT NULL,
    asset          text NOT NULL CHECK (asset = lower(asset)),
    payer          text NOT NULL CHECK (payer = lower(payer)),
    nonce          bytea NOT NULL CHECK (length(nonce) = 32),
    payment_id     uuid NOT NULL REFERENCES payments,
    payload_sha256 bytea NOT NULL CHECK (length(payload_sha256) = 32),
    quoted         boolean NOT NULL,
    valid_before   timestamptz NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (network, asset, payer, nonce)
);
COMMENT ON TABLE payment_aliases IS 'Proved authorizations that were answered from an earlier payment of the same wallet. The same key is never in payments too: whoever writes either holds the lock of the wallet.';
COMMENT ON COLUMN payment_aliases.payment_id IS 'The payment that it was answered from.';
COMMENT ON COLUMN payment_aliases.payload_sha256 IS 'Hash of its own whole payload, as in payments: only its sender can replay it for the answer.';
COMMENT ON COLUMN payment_aliases.quoted IS 'Whether its own payload holds what never reaches the chain, as in payments.';
COMMENT ON COLUMN payment_aliases.valid_before IS 'When it expires. The row is deleted after that, once the content of its execution is deleted.';
COMMENT ON COLUMN payments.identifier_sha256 IS 'Hash of resource, network, wallet and payment-identifier: the client''s own idempotency key names one purchase of its wallet. A failed payment leaves its identifier to the next one.';
CREATE INDEX payment_aliases_payment ON payment_aliases (payment_id);
