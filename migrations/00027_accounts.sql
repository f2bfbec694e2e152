-- +goose Up
-- Accounts and what proves them. A secret is never stored: passwords as argon2id with their parameters, everything else as SHA-256, since
-- 32 random bytes cannot be guessed.
CREATE TABLE users (
    id            integer     GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email         text        CONSTRAINT users_email_length CHECK (octet_length(email) BETWEEN 3 AND 254),
    username      text        NOT NULL CONSTRAINT users_username_length CHECK (octet_length(username) BETWEEN 3 AND 50),
    display_name  text        NOT NULL CONSTRAINT users_display_name_length CHECK (octet_length(display_name) BETWEEN 1 AND 100),
    avatar_color  text        NOT NULL CONSTRAINT users_avatar_color_length CHECK (octet_length(avatar_color) <= 64),
    password_hash text        CONSTRAINT users_password_hash_length CHECK (octet_length(password_hash) <= 300),
    code_hash     bytea       CONSTRAINT users_code_hash_length CHECK (octet_length(code_hash) = 32),
    code_expires  timestamptz,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    last_login_at timestamptz,
    disabled_at   timestamptz,
    CONSTRAINT users_code_whole CHECK ((code_hash IS NULL) = (code_expires IS NULL))
);
CREATE UNIQUE INDEX users_by_email ON users (lower(email));
CREATE UNIQUE INDEX users_by_username ON users (lower(username));
CREATE UNIQUE INDEX users_by_code ON users (code_hash) WHERE code_hash IS NOT NULL;
COMMENT ON TABLE users IS 'Accounts. Nobody has one until an operator makes it, or registration is open.';
COMMENT ON COLUMN users.id IS '32-bit, because the wire''s Int is. Events and presence name it in decimal.';
COMMENT ON COLUMN users.email IS 'As given, unique in any case; null when the identity provider says none.';
COMMENT ON COLUMN users.username IS 'As given, unique in any case.';
COMMENT ON COLUMN users.display_name IS 'The name for people to read.';
COMMENT ON COLUMN users.avatar_color IS 'The colour by which others see the account.';
COMMENT ON COLUMN users.password_hash IS 'argon2id in the PHC format, with its parameters; null when the account has no password.';
COMMENT ON COLUMN users.code_hash IS 'SHA-256 of a code of an operator, which sets a password once; null when none is open.';
COMMENT ON COLUMN users.code_expires IS 'When the code ends.';
COMMENT ON COLUMN users.created_at IS 'When the account was made.';
COMMENT ON COLUMN users.updated_at IS 'When its names last changed.';
COMMENT ON COLUMN users.last_login_at IS 'When somebody last signed in; null before the first time.';
COMMENT ON COLUMN users.disabled_at IS 'When an operator disabled it; null while it may be used.';

CREATE TABLE identities (
    issuer     text        NOT NULL CONSTRAINT identities_issuer_length CHECK (octet_length(issuer) BETWEEN 1 AND 500),
    subject    text        NOT NULL CONSTRAINT identities_subject_length CHECK (octet_length(subject) BETWEEN 1 AND 255),
    user_id    integer     NOT NULL CONSTRAINT identities_user REFERENCES users ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    used_at    timestamptz,
    PRIMARY KEY (issuer, subject)
);
CREATE INDEX identities_by_user ON identities (user_id);
COMMENT ON TABLE identities IS 'Who an account is at identity providers. An identity is issuer and subject, never an e-mail.';
COMMENT ON COLUMN identities.issuer IS 'The identity provider, as its tokens name it.';
COMMENT ON COLUMN identities.subject IS 'The person there.';
COMMENT ON COLUMN identities.user_id IS 'The account.';
COMMENT ON COLUMN identities.created_at IS 'When it was joined to the account.';
COMMENT ON COLUMN identities.used_at IS 'When somebody last signed in by it.';

CREATE TABLE sessions (
    id           integer     GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id      integer     NOT NULL CONSTRAINT sessions_user REFERENCES users ON DELETE CASCADE,
    secret_hash  bytea       NOT NULL CONSTRAINT sessions_secret_hash_length CHECK (octet_length(secret_hash) = 32),
    created_at   timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    ended_at     timestamptz,
    ended_by     text        CONSTRAINT sessions_ended_by_length CHECK (char_length(ended_by) <= 200),
    address      inet,
    issuer       text,
    issuer_session text      CONSTRAINT sessions_issuer_session_length CHECK (octet_length(issuer_session) <= 500),
    subject      text,
    CONSTRAINT sessions_expire CHECK (expires_at > created_at),
    CONSTRAINT sessions_ended_whole CHECK ((ended_at IS NULL) = (ended_by IS NULL))
);
CREATE UNIQUE INDEX sessions_by_secret ON sessions (secret_hash);
CREATE INDEX sessions_by_user ON sessions (user_id, id) WHERE user_id IS NOT NULL; -- as 00018_indexes.sql says
CREATE INDEX sessions_by_issuer ON sessions (issuer, id) WHERE issuer IS NOT NULL;
CREATE INDEX sessions_by_end ON sessions ((coalesce(ended_at, expires_at)));
COMMENT ON TABLE sessions IS 'Sessions of people: 24 hours from login. Ended ones stay for a week after their end.';
COMMENT ON COLUMN sessions.id IS 'The public id. It proves nothing.';
COMMENT ON COLUMN sessions.user_id IS 'The account.';
COMMENT ON COLUMN sessions.secret_hash IS 'SHA-256 of the secret.';
COMMENT ON COLUMN sessions.created_at IS 'When somebody signed in.';
COMMENT ON COLUMN sessions.last_used_at IS 'When it was last used, as old as a minute.';
COMMENT ON COLUMN sessions.expires_at IS 'When it ends at the latest.';
COMMENT ON COLUMN sessions.ended_at IS 'When it was ended; null while it was not.';
COMMENT ON COLUMN sessions.ended_by IS 'Who ended it, and how.';
COMMENT ON COLUMN sessions.address IS 'Where somebody signed in.';
COMMENT ON COLUMN sessions.issuer IS 'The identity provider by which somebody signed in; null for a password.';
COMMENT ON COLUMN sessions.issuer_session IS 'The session there, which ends this one.';
COMMENT ON COLUMN sessions.subject IS 'The person there.';

CREATE TABLE tokens (
    id           integer     GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id      integer     NOT NULL CONSTRAINT tokens_user REFERENCES users ON DELETE CASCADE,
    name         text        NOT NULL CONSTRAINT tokens_name_length CHECK (char_length(name) BETWEEN 1 AND 100),
    scopes       text[]      NOT NULL CONSTRAINT tokens_scopes CHECK (scopes <@ '{READ,EDIT,RUN}' AND cardinality(scopes) BETWEEN 1 AND 3),
    project_id   integer     CONSTRAINT tokens_project REFERENCES projects ON DELETE CASCADE,
    secret_hash  bytea       NOT NULL CONSTRAINT tokens_secret_hash_length CHECK (octet_length(secret_hash) = 32),
    former_hash  bytea       CONSTRAINT tokens_former_hash_length CHECK (octet_length(former_hash) = 32),
    former_until timestamptz,
    created_at   timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz,
    expires_at   timestamptz NOT NULL,
    ended_at     timestamptz,
    ended_by     text        CONSTRAINT tokens_ended_by_length CHECK (char_length(ended_by) <= 200),
    CONSTRAINT tokens_expire CHECK (expires_at > created_at),
    CONSTRAINT tokens_former_whole CHECK ((former_hash IS NULL) = (former_until IS NULL)),
    CONSTRAINT tokens_ended_whole CHECK ((ended_at IS NULL) = (ended_by IS NULL))
);
CREATE UNIQUE INDEX tokens_by_secret ON tokens (secret_hash);
CREATE UNIQUE INDEX tokens_by_former ON tokens (former_hash) WHERE former_hash IS NOT NULL;
CREATE INDEX tokens_by_user ON tokens (user_id, id) WHERE user_id IS NOT NULL;
CREATE INDEX tokens_by_project ON tokens (project_id) WHERE project_id IS NOT NULL;
CREATE INDEX tokens_by_end ON tokens ((coalesce(ended_at, expires_at)));
COMMENT ON TABLE tokens IS 'Tokens by which programs act for an account: 30 days unless told otherwise. Ended ones stay for a week after their end.';
COMMENT ON COLUMN tokens.id IS 'The public id.';
COMMENT ON COLUMN tokens.user_id IS 'The account that it acts for.';
COMMENT ON COLUMN tokens.name IS 'What its owner calls it; events name it.';
COMMENT ON COLUMN tokens.scopes IS 'What it may do: READ, EDIT, RUN.';
COMMENT ON COLUMN tokens.project_id IS 'The only project that it may touch; null for all of its owner''s.';
COMMENT ON COLUMN tokens.secret_hash IS 'SHA-256 of the secret.';
COMMENT ON COLUMN tokens.former_hash IS 'SHA-256 of the secret before the last rotation; null when that is over.';
COMMENT ON COLUMN tokens.former_until IS 'When the former secret ends.';
COMMENT ON COLUMN tokens.created_at IS 'When it was made.';
COMMENT ON COLUMN tokens.last_used_at IS 'When it was last used, as old as a minute; null before.';
COMMENT ON COLUMN tokens.expires_at IS 'When it ends at the latest.';
COMMENT ON COLUMN tokens.ended_at IS 'When it was ended; null while it was not.';
COMMENT ON COLUMN tokens.ended_by IS 'Who ended it, and how.';

-- Failures to prove an account, by the name that was typed, whether there is such an account or not, and by network.
CREATE TABLE login_attempts (
    id      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account text        NOT NULL CONSTRAINT login_attempts_account_length CHECK (octet_length(account) = 64),
    network cidr        NOT NULL,
    failed  boolean     NOT NULL,
    at      timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX login_attempts_by_account ON login_attempts (account, at);
CREATE INDEX login_attempts_by_network ON login_attempts (network, at);
CREATE INDEX login_attempts_by_age ON login_attempts (at);
COMMENT ON TABLE login_attempts IS 'Attempts to sign in. Failures are kept for a day, and successes for 30 days: who signed in from a network may try again from there, whatever others do.';
COMMENT ON COLUMN login_attempts.id IS 'The attempt.';
COMMENT ON COLUMN login_attempts.account IS 'SHA-256 in hexadecimal of what was typed as the account, in lower case: it may be a password in the wrong field.';
COMMENT ON COLUMN login_attempts.network IS 'Where from: an IPv4 address, or a /64 of IPv6.';
COMMENT ON COLUMN login_attempts.failed IS 'Whether it failed.';
COMMENT ON COLUMN login_attempts.at IS 'When.';

CREATE TABLE security_log (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    event      text        NOT NULL CONSTRAINT security_log_event_length CHECK (char_length(event) BETWEEN 1 AND 50),
    user_id    integer,
    username   text        CONSTRAINT security_log_username_length CHECK (octet_length(username) <= 200),
    by_whom    text        NOT NULL CONSTRAINT security_log_by_whom_length CHECK (char_length(by_whom) BETWEEN 1 AND 200),
    address    inet,
    request_id text        CONSTRAINT security_log_request_id_length CHECK (octet_length(request_id) <= 200),
    detail     text        CONSTRAINT security_log_detail_length CHECK (char_length(detail) <= 1000)
);
CREATE INDEX security_log_by_time ON security_log (at);
CREATE INDEX security_log_by_user ON security_log (user_id, at);
COMMENT ON TABLE security_log IS 'What happened to accounts and their credentials; kept for 90 days. No secrets.';
COMMENT ON COLUMN security_log.id IS 'The entry.';
COMMENT ON COLUMN security_log.at IS 'When.';
COMMENT ON COLUMN security_log.event IS 'What: login, login_failed, logout, session_ended, token_created, account_disabled, and so on.';
COMMENT ON COLUMN security_log.user_id IS 'The account; null when there is none. It may have been deleted since.';
COMMENT ON COLUMN security_log.username IS 'Its name then.';
COMMENT ON COLUMN security_log.by_whom IS 'Who did it: an account by its name, a role of the database, or the server.';
COMMENT ON COLUMN security_log.address IS 'Where from; null for operators.';
COMMENT ON COLUMN security_log.request_id IS 'The request, as the log of the server names it.';
COMMENT ON COLUMN security_log.detail IS 'More of it.';

CREATE TABLE collaborators (
    id             integer     GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id     integer     NOT NULL CONSTRAINT collaborators_project REFERENCES projects ON DELETE CASCADE,
    user_id        integer     NOT NULL CONSTRAINT collaborators_user REFERENCES users ON DELETE CASCADE,
    role           text        NOT NULL CONSTRAINT collaborators_role CHECK (role IN ('owner', 'editor', 'viewer')),
    status         text        NOT NULL CONSTRAINT collaborators_status CHECK (status IN ('pending', 'accepted', 'declined', 'revoked')),
    active         boolean     NOT NULL DEFAULT true,
    invited_by     integer     CONSTRAINT collaborators_invited_by REFERENCES users ON DELETE SET NULL,
    invited_at     timestamptz NOT NULL DEFAULT now(),
    joined_at      timestamptz,
    last_active_at timestamptz,
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT collaborators_unique UNIQUE (project_id, user_id),
    CONSTRAINT collaborators_revoked_inactive CHECK (status <> 'revoked' OR NOT active)
);
CREATE INDEX collaborators_by_user ON collaborators (user_id, id) WHERE user_id IS NOT NULL;
CREATE INDEX collaborators_by_inviter ON collaborators (invited_by) WHERE invited_by IS NOT NULL;
COMMENT ON TABLE collaborators IS 'Who may what in a project: an account has a right when its row is active and accepted. Changes are events of the project.';
COMMENT ON COLUMN collaborators.id IS 'The collaboration.';
COMMENT ON COLUMN collaborators.project_id IS 'The project.';
COMMENT ON COLUMN collaborators.user_id IS 'The account.';
COMMENT ON COLUMN collaborators.role IS 'owner, editor or viewer.';
COMMENT ON COLUMN collaborators.status IS 'pending until the invited person accepts or declines; revoked once removed.';
COMMENT ON COLUMN collaborators.active IS 'False once removed.';
COMMENT ON COLUMN collaborators.invited_by IS 'Who invited; null for who made the project, and when that account is gone.';
COMMENT ON COLUMN collaborators.invited_at IS 'When.';
COMMENT ON COLUMN collaborators.joined_at IS 'When the person accepted; null before.';
COMMENT ON COLUMN collaborators.last_active_at IS 'When the person accepted or was given another role.';
COMMENT ON COLUMN collaborators.created_at IS 'When the row was made.';
COMMENT ON COLUMN collaborators.updated_at IS 'When it last changed.';

-- A flow of single sign-on begins on one replica, and its callback may reach another one.
CREATE TABLE oidc_flows (
    state_hash   bytea       PRIMARY KEY CONSTRAINT oidc_flows_state_hash_length CHECK (octet_length(state_hash) = 32),
    browser_hash bytea       NOT NULL CONSTRAINT oidc_flows_browser_hash_length CHECK (octet_length(browser_hash) = 32),
    nonce        text        NOT NULL CONSTRAINT oidc_flows_nonce_length CHECK (octet_length(nonce) BETWEEN 20 AND 200),
    verifier     text        NOT NULL CONSTRAINT oidc_flows_verifier_length CHECK (octet_length(verifier) BETWEEN 43 AND 128),
    return_to    text        NOT NULL CONSTRAINT oidc_flows_return_to_path CHECK (return_to ~ '^/' AND octet_length(return_to) <= 2000),
    joins        integer     CONSTRAINT oidc_flows_joins REFERENCES users ON DELETE CASCADE,
    expires_at   timestamptz NOT NULL
);
CREATE INDEX oidc_flows_by_expiry ON oidc_flows (expires_at);
CREATE INDEX oidc_flows_by_user ON oidc_flows (joins) WHERE joins IS NOT NULL;
COMMENT ON TABLE oidc_flows IS 'Sign-ins under way at an identity provider: ten minutes at most, and each is used once.';
COMMENT ON COLUMN oidc_flows.state_hash IS 'SHA-256 of the state that the answer has to have.';
COMMENT ON COLUMN oidc_flows.browser_hash IS 'SHA-256 of the cookie of the browser that began it.';
COMMENT ON COLUMN oidc_flows.nonce IS 'What the ID token has to have.';
COMMENT ON COLUMN oidc_flows.verifier IS 'The code verifier of PKCE.';
COMMENT ON COLUMN oidc_flows.return_to IS 'The path where the browser goes afterwards.';
COMMENT ON COLUMN oidc_flows.joins IS 'The account that the identity is to be joined to, as its owner asked; null for a sign-in.';
COMMENT ON COLUMN oidc_flows.expires_at IS 'When it ends.';

-- A logout token counts once.
CREATE TABLE oidc_logouts (
    issuer     text        NOT NULL,
    jti        text        NOT NULL CONSTRAINT oidc_logouts_jti_length CHECK (octet_length(jti) BETWEEN 1 AND 500),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (issuer, jti)
);
CREATE INDEX oidc_logouts_by_expiry ON oidc_logouts (expires_at);
COMMENT ON TABLE oidc_logouts IS 'Logout tokens that were used, until none of them would be taken any more.';
COMMENT ON COLUMN oidc_logouts.issuer IS 'The identity provider.';
COMMENT ON COLUMN oidc_logouts.jti IS 'The id of the token.';
COMMENT ON COLUMN oidc_logouts.expires_at IS 'When the row may go.';

REVOKE ALL ON users, identities, sessions, tokens, login_attempts, security_log, collaborators, oidc_flows, oidc_logouts FROM PUBLIC;

ALTER TABLE replicas ADD COLUMN required boolean;
COMMENT ON COLUMN replicas.required IS 'Whether callers need a credential; null of a release that knows no accounts.';
ALTER TABLE replicas ADD COLUMN exposed boolean;
COMMENT ON COLUMN replicas.exposed IS 'Whether other machines reach it, and it knows neither a proxy nor an https address: secrets may travel in the clear. Null as for required.';

-- +goose Down
DROP SCHEMA IF EXISTS layercake CASCADE; -- its views stand on these tables; the next migration makes them again
DROP FUNCTION IF EXISTS account_named(text);
ALTER TABLE replicas DROP COLUMN exposed;
ALTER TABLE replicas DROP COLUMN required;
DROP TABLE oidc_logouts, oidc_flows, collaborators, security_log, login_attempts, tokens, sessions, identities, users;
