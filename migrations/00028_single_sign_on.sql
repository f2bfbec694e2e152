-- +goose Up
-- What single sign-on needs beside 00027_accounts.sql: one network must not fill the table of flows, and a session at an identity provider
-- may be older than the one that begins by it.
ALTER TABLE oidc_flows ADD COLUMN network cidr;
CREATE INDEX oidc_flows_by_network ON oidc_flows (network, expires_at);
COMMENT ON COLUMN oidc_flows.network IS 'Where it began: an IPv4 address, or a /64 of IPv6. One has a thousand at most.';
ALTER TABLE sessions ADD COLUMN proved_at timestamptz;
COMMENT ON COLUMN sessions.proved_at IS 'When somebody proved who they are: by a password, or to the identity provider; null when that does not say.';
-- A logout may come before the session that it ends: who traded a code for tokens before it begins no session after it.
ALTER TABLE oidc_logouts ADD COLUMN session text, ADD COLUMN subject text, ADD COLUMN issued_at timestamptz;
COMMENT ON COLUMN oidc_logouts.session IS 'The session of the identity provider that ended; null for all of the subject.';
COMMENT ON COLUMN oidc_logouts.subject IS 'The person there; null when only the session is named.';
COMMENT ON COLUMN oidc_logouts.issued_at IS 'When it ended, by the clock of the identity provider.';

-- +goose Down
ALTER TABLE oidc_logouts DROP COLUMN issued_at, DROP COLUMN subject, DROP COLUMN session;
ALTER TABLE sessions DROP COLUMN proved_at;
DROP INDEX oidc_flows_by_network;
ALTER TABLE oidc_flows DROP COLUMN network;
