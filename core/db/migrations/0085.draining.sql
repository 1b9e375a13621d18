-- depends: 0083.refund-wallets
-- Processes that are asked to take no new work, before they are stopped.

ALTER TABLE workers ADD COLUMN drain_asked_at timestamptz;
COMMENT ON COLUMN workers.drain_asked_at IS 'Since when the process is asked to take no new work. It reads this with each heartbeat, and only a restart, which makes a new row, takes it back. NULL: it works.';
