-- +goose Up
-- What single sign-on needs beside 00027_accounts.sql: one network must not fill the table of flows, and a session at an identity provider
-- may be older than the one that begins by it.
ALTER TABLE oidc_flows ADD COLUMN network cidr;
CREATE INDEX oidc_flows_by_network ON oidc_flows (network, expires_at);
COMMENT ON COLUMN oidc_flows.network IS 'Where it began: an IPv4 address, or a /64 of IPv6. One has a thousand at most.';
ALTER TABLE sessions ADD COLUMN proved_at timestamptz;
COMMENT ON COLUMN sessions.proved_at IS 'When somebody proved who they are: by a password, or to the identity provider; null when that does not say.';

-- +goose Down
ALTER TABLE sessions DROP COLUMN proved_at;
DROP INDEX oidc_flows_by_network;
ALTER TABLE oidc_flows DROP COLUMN network;
