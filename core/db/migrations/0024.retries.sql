-- depends: 0023.truncated-answers
-- A lost reply has a way back for clients that sign afresh: by the payment-identifier, or while nobody has the answer.

ALTER TABLE payments ADD COLUMN fetched_at timestamptz;
COMMENT ON COLUMN payments.fetched_at IS 'When its outcome, an answer or a failure, was first written out to a client that was still connected. Until then a fresh signature of the same wallet for the same request gets that outcome, and is not settled.';
CREATE INDEX payments_unfetched ON payments (payer, request_sha256) WHERE fetched_at IS NULL AND identifier_sha256 IS NULL;
COMMENT ON COLUMN payments.identifier_sha256 IS 'Hash of resource and payment-identifier: the client''s own idempotency key names one purchase. A failed payment leaves its identifier to the next one.';
