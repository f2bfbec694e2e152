CREATE OR REPLACE VIEW layercake.proposals AS
SELECT p.project_id, p.id, p.status, p.by_name, p.by_kind, p.created_at, p.base_version, p.note, p.operations,
    p.decided_by_name, p.decided_by_kind, p.decided_at, p.reason, p.version, p.by_id, p.decided_by_id, p.revision
FROM public.proposals p;
COMMENT ON VIEW layercake.proposals IS 'Changes of plans that somebody proposed, for somebody else to decide. Decided ones are kept for 30 days.';
COMMENT ON COLUMN layercake.proposals.project_id IS 'The project.';
COMMENT ON COLUMN layercake.proposals.id IS 'Its number in the project.';
COMMENT ON COLUMN layercake.proposals.status IS 'OPEN, ACCEPTED, REJECTED or WITHDRAWN.';
COMMENT ON COLUMN layercake.proposals.by_name IS 'Who proposed it.';
COMMENT ON COLUMN layercake.proposals.by_kind IS 'What they are: a person, an agent.';
COMMENT ON COLUMN layercake.proposals.created_at IS 'When it was made.';
COMMENT ON COLUMN layercake.proposals.base_version IS 'The version of the plan for which it was made.';
COMMENT ON COLUMN layercake.proposals.note IS 'What the proposer says of it; null when nothing.';
COMMENT ON COLUMN layercake.proposals.operations IS 'What it would do to the plan: an array of flat objects.';
COMMENT ON COLUMN layercake.proposals.decided_by_name IS 'Who decided; null while it is open.';
COMMENT ON COLUMN layercake.proposals.decided_by_kind IS 'What they are; null while it is open.';
COMMENT ON COLUMN layercake.proposals.decided_at IS 'When it was decided; null while it is open.';
COMMENT ON COLUMN layercake.proposals.reason IS 'Why; null when nobody said.';
COMMENT ON COLUMN layercake.proposals.version IS 'The version of the change that accepting it made; see plan_history. Null when it made none.';
COMMENT ON COLUMN layercake.proposals.by_id IS 'The id of who proposed it. Anonymous callers have one by their client id, or for the request.';
COMMENT ON COLUMN layercake.proposals.decided_by_id IS 'The id of who decided; null while it is open.';
COMMENT ON COLUMN layercake.proposals.revision IS 'Counts what happens to the proposals of the project: this is when it last happened to this one.';
