-- depends: 0032.payment-aliases
-- The catalog is synced every hour, and reported once a day.

CREATE TABLE catalog_reports (
    day date PRIMARY KEY,
    at  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE catalog_reports IS 'The days whose report on the catalog was made. The next one tells what changed since the last of them.';
COMMENT ON COLUMN catalog_reports.day IS 'A day begins at 03:00 UTC.';
COMMENT ON TABLE catalog_syncs IS 'The syncs that changed the catalog or were refused, in numbers of models. One that found nothing new leaves no row.';
