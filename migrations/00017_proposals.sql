-- +goose Up
-- A proposal is no event: replicas of the release before this one would not understand such events, and a plan does not change by it.
-- Revisions are stepped under the lock of this row, so they follow commits, as versions of plans do under that of a head in heads. That one
-- would do, too, but changes of a busy plan would wait for proposals, and proposals for them.
CREATE TABLE proposal_heads (
    project_id integer PRIMARY KEY CONSTRAINT proposal_heads_project REFERENCES projects ON DELETE CASCADE,
    revision   bigint  NOT NULL CONSTRAINT proposal_heads_revision CHECK (revision >= 0),
    last_id    integer NOT NULL CONSTRAINT proposal_heads_last_id CHECK (last_id >= 0)
);
COMMENT ON TABLE proposal_heads IS 'How far the proposals of a project are; no row before the first one.';
COMMENT ON COLUMN proposal_heads.project_id IS 'The project.';
COMMENT ON COLUMN proposal_heads.revision IS 'The number of the last change of any of its proposals.';
COMMENT ON COLUMN proposal_heads.last_id IS 'The id of the last proposal.';
REVOKE ALL ON proposal_heads FROM PUBLIC;

-- Proposals refer to their head rather than to the project: then everybody who writes takes its lock first, and so does the deletion of a
-- project.
CREATE TABLE proposals (
    project_id      integer     NOT NULL CONSTRAINT proposals_head REFERENCES proposal_heads ON DELETE CASCADE,
    id              integer     NOT NULL CONSTRAINT proposals_id CHECK (id > 0),
    revision        bigint      NOT NULL CONSTRAINT proposals_revision CHECK (revision > 0),
    status          text        NOT NULL CONSTRAINT proposals_status CHECK (status IN ('OPEN', 'ACCEPTED', 'REJECTED', 'WITHDRAWN')),
    operations      json        NOT NULL,
    size            integer     NOT NULL CONSTRAINT proposals_size CHECK (size > 0),
    base_version    bigint      NOT NULL CONSTRAINT proposals_base_version CHECK (base_version >= 0),
    note            text,
    by_id           text        NOT NULL,
    by_kind         text        NOT NULL,
    by_name         text        NOT NULL,
    op_actor        text        NOT NULL,
    op_id           text        NOT NULL,
    request_hash    bytea       NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    decided_by_id   text,
    decided_by_kind text,
    decided_by_name text,
    decided_op_id   text,
    decided_at      timestamptz,
    reason          text,
    version         bigint      CONSTRAINT proposals_version_accepted CHECK (version IS NULL OR version > 0 AND status = 'ACCEPTED'),
    PRIMARY KEY (project_id, id),
    CONSTRAINT proposals_decided CHECK (
        CASE status WHEN 'OPEN' THEN num_nonnulls(decided_by_id, decided_by_kind, decided_by_name, decided_op_id, decided_at, reason) = 0
        ELSE num_nonnulls(decided_by_id, decided_by_kind, decided_by_name, decided_op_id, decided_at) = 5 END
    ),
    CONSTRAINT proposals_one_an_operation UNIQUE (project_id, op_actor, op_id),
    CONSTRAINT proposals_one_a_revision UNIQUE (project_id, revision)
);
CREATE INDEX proposals_by_status ON proposals (project_id, status, id);
CREATE INDEX proposals_open ON proposals (project_id, revision) WHERE status = 'OPEN';
CREATE INDEX proposals_decided_at ON proposals (decided_at) WHERE decided_at IS NOT NULL;
COMMENT ON TABLE proposals IS 'Changes of plans that somebody proposes, for somebody else to decide; decided ones are kept for 30 days.';
COMMENT ON COLUMN proposals.project_id IS 'The project.';
COMMENT ON COLUMN proposals.id IS 'Its number in the project.';
COMMENT ON COLUMN proposals.revision IS 'The revision of the project''s proposals at which this one last changed.';
COMMENT ON COLUMN proposals.status IS 'OPEN, ACCEPTED, REJECTED or WITHDRAWN.';
COMMENT ON COLUMN proposals.operations IS 'What it would do to the plan: an array of flat objects, as the tool edit_plan takes them.';
COMMENT ON COLUMN proposals.size IS 'Bytes of operations.';
COMMENT ON COLUMN proposals.base_version IS 'The version of the plan for which it was made and checked.';
COMMENT ON COLUMN proposals.note IS 'What the proposer says of it; null when nothing.';
COMMENT ON COLUMN proposals.by_id IS 'The id of the proposer.';
COMMENT ON COLUMN proposals.by_kind IS 'What the proposer is: a person, an agent.';
COMMENT ON COLUMN proposals.by_name IS 'The name of the proposer.';
COMMENT ON COLUMN proposals.op_actor IS 'The actor among whose operation ids op_id is unique; empty for those without a lasting identity.';
COMMENT ON COLUMN proposals.op_id IS 'The operation id of the request that made it.';
COMMENT ON COLUMN proposals.request_hash IS 'A digest of that request: another one under the same operation id is refused.';
COMMENT ON COLUMN proposals.created_at IS 'When it was made.';
COMMENT ON COLUMN proposals.decided_by_id IS 'The id of who decided; null while it is open, like the next ones.';
COMMENT ON COLUMN proposals.decided_by_kind IS 'What they are.';
COMMENT ON COLUMN proposals.decided_by_name IS 'Their name.';
COMMENT ON COLUMN proposals.decided_op_id IS 'The operation id of the request that decided.';
COMMENT ON COLUMN proposals.decided_at IS 'When it was decided.';
COMMENT ON COLUMN proposals.reason IS 'Why, for people; null when nobody said.';
COMMENT ON COLUMN proposals.version IS 'The version of the change that accepting made; null when nothing was left to change, and unless it was accepted.';
REVOKE ALL ON proposals FROM PUBLIC;

-- +goose Down
DROP SCHEMA IF EXISTS layercake CASCADE; -- its view stands on this table; the next migration makes it again
DROP TABLE proposals;
DROP TABLE proposal_heads;
